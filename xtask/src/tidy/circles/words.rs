//! The paths in a source file that begin at the root of its crate.

/// A path with the line where it begins.
pub struct Path {
    /// Its names, from the root of the crate.
    pub names: Vec<String>,
    /// The name that it is known by.
    pub alias: String,
    pub line: usize,
    /// Whether it stands in a `use` item.
    pub is_use: bool,
}

/// Every such path of a file whose module lies `depth` modules below the root.
pub fn paths(text: &str, depth: usize) -> Vec<Path> {
    let words = without_tests(split(text));
    let mut found = Vec::new();
    // For each open inline module the number of open braces before it.
    let (mut braces, mut inline): (usize, Vec<usize>) = (0, Vec::new());
    let mut i = 0;
    while i < words.len() {
        let is = |n: usize, text: &str| words.get(i + n).is_some_and(|word| word.text == text);
        match words[i].text.as_str() {
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
            }
            "mod" if is(2, "{") => inline.push(braces),
            "use" => {
                let mut reader = Reader { words: &words, at: i + 1, found: Vec::new() };
                reader.tree(&[]);
                i = reader.at;
                for (names, alias, line) in reader.found {
                    found.extend(rooted(&names, depth + inline.len(), true, alias, line));
                }
                continue;
            }
            "crate" | "super" if is(1, "::") => {
                let mut names = vec![words[i].text.clone()];
                let line = words[i].line;
                while words.get(i + 1).is_some_and(|w| w.text == "::")
                    && words.get(i + 2).is_some_and(|w| is_name(&w.text))
                {
                    i += 2;
                    names.push(words[i].text.clone());
                }
                found.extend(rooted(&names, depth + inline.len(), false, String::new(), line));
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// The path from the root, where it leads there.
fn rooted(names: &[String], depth: usize, is_use: bool, alias: String, line: usize) -> Option<Path> {
    let first = names.first()?.as_str();
    let up = names.iter().take_while(|name| *name == "super").count();
    let names = match first {
        "crate" => &names[1..],
        "super" if up == depth => &names[up..],
        // In the root a `use` begins at a module of its own.
        _ if depth == 0 && is_use => names,
        _ => return None,
    };
    (!names.is_empty()).then(|| Path { names: names.to_vec(), alias, line, is_use })
}

/// Reads the tree of a `use` item.
struct Reader<'w> {
    words: &'w [Word],
    at: usize,
    found: Vec<(Vec<String>, String, usize)>,
}

impl Reader<'_> {
    fn next(&mut self) -> &str {
        self.at += 1;
        self.words.get(self.at - 1).map_or(";", |word| word.text.as_str())
    }

    fn peek(&self) -> &str {
        self.words.get(self.at).map_or(";", |word| word.text.as_str())
    }

    fn tree(&mut self, before: &[String]) {
        let mut names = before.to_vec();
        let line = self.words.get(self.at).map_or(0, |word| word.line);
        loop {
            match self.peek() {
                "{" => {
                    self.at += 1;
                    while !matches!(self.peek(), "}" | ";") {
                        self.tree(&names);
                        if self.peek() == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "::" => self.at += 1,
                "as" => {
                    self.at += 1;
                    let alias = self.next().to_owned();
                    self.found.push((names, alias, line));
                    return;
                }
                name if is_name(name) || name == "*" => {
                    let name = name.to_owned();
                    self.at += 1;
                    // `self` inside braces names what stands before them.
                    if name != "self" {
                        names.push(name);
                    }
                }
                _ => {
                    let alias = names.last().cloned().unwrap_or_default();
                    self.found.push((names, alias, line));
                    return;
                }
            }
        }
    }
}

#[derive(Clone)]
struct Word {
    text: String,
    line: usize,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names and signs; comments and texts are left out, and `::` is one sign.
fn split(text: &str) -> Vec<Word> {
    let chars: Vec<char> = text.chars().collect();
    let (mut i, mut line, mut words) = (0, 1, Vec::new());
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    while i < chars.len() {
        let (c, from) = (chars[i], i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut open = 1;
            i += 2;
            while i < chars.len() && open > 0 {
                match (chars[i], at(i + 1)) {
                    ('*', '/') => (open, i) = (open - 1, i + 2),
                    ('/', '*') => (open, i) = (open + 1, i + 2),
                    _ => i += 1,
                }
            }
        } else if c == 'r' && (at(i + 1) == '"' || (at(i + 1) == '#' && matches!(at(i + 2), '"' | '#'))) {
            let marks = chars[i + 1..].iter().take_while(|c| **c == '#').count();
            i += marks + 2;
            let closes = |i: usize| at(i) == '"' && (1..=marks).all(|n| at(i + n) == '#');
            while i < chars.len() && !closes(i) {
                i += 1;
            }
            i += marks + 1;
        } else if c == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if c.is_alphanumeric() || c == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            words.push(Word { text: chars[from..i].iter().collect(), line });
        } else {
            i += if c == ':' && at(i + 1) == ':' { 2 } else { 1 };
            if !c.is_whitespace() {
                words.push(Word { text: chars[from..i.min(chars.len())].iter().collect(), line });
            }
        }
        line += chars[from..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    words
}

/// Leaves out what stands behind `#[cfg(test)]` or `#[cfg(all(test, …))]`: an item up to its closing brace or its
/// semicolon.
fn without_tests(words: Vec<Word>) -> Vec<Word> {
    let mut kept = Vec::with_capacity(words.len());
    let mut i = 0;
    while i < words.len() {
        let Some(end) = test_mark(&words[i..]) else {
            kept.push(words[i].clone());
            i += 1;
            continue;
        };
        i += end;
        let mut open = 0_usize;
        while i < words.len() {
            let text = words[i].text.as_str();
            i += 1;
            match text {
                "{" | "(" | "[" => open += 1,
                "}" | ")" | "]" => {
                    open = open.saturating_sub(1);
                    if open == 0 && text == "}" {
                        break;
                    }
                }
                ";" | "," if open == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

/// How many words a mark of test code has that the words begin with.
fn test_mark(words: &[Word]) -> Option<usize> {
    let begins = words.iter().map(|word| word.text.as_str()).take(4).eq(["#", "[", "cfg", "("]);
    let end = begins.then(|| words.iter().position(|word| word.text == "]")).flatten()?;
    let inside = |name: &str| words[..end].iter().any(|word| word.text == name);
    (inside("test") && !inside("not") && !inside("any")).then_some(end + 1)
}
