//! Prompt templates: `{name}` is filled in, `{{` and `}}` are braces.
//!
//! A template is looked at once; values that are filled in are never looked at again, so braces in a model's text or in
//! an input are nothing but text.

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// The value of this name.
    Name(String),
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace that opens and never closes.
    #[error("the brace at character {at} is never closed")]
    Open {
        /// Position in characters, from 1.
        at: usize,
    },
    /// A brace that closes nothing.
    #[error("the brace at character {at} closes nothing")]
    Close {
        /// Position in characters, from 1.
        at: usize,
    },
    /// What stands between braces cannot be a name.
    #[error("{name:?} between braces is no name")]
    Name {
        /// What stands there; cut at 40 characters.
        name: String,
    },
}

/// Whether a text can name an input or an agent: letters of any script, digits, `_`, `-`, at most 64 characters.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.chars().count() <= 64 && text.chars().all(fits)
}

/// Takes a template apart.
///
/// # Errors
/// The first brace that is none of a pair, or a pair around something that is no name.
pub fn parse(template: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    let position = |rest: &str| template[..template.len() - rest.len()].chars().count() + 1;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..];
        if let Some(behind) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            text.push_str(&brace[..1]);
            rest = behind;
            continue;
        }
        let Some(inner) = brace.strip_prefix('{') else {
            return Err(TemplateError::Close { at: position(brace) });
        };
        let Some(end) = inner.find(['}', '{']).filter(|end| inner[*end..].starts_with('}')) else {
            return Err(TemplateError::Open { at: position(brace) });
        };
        let name = inner[..end].trim();
        if !is_name(name) {
            return Err(TemplateError::Name { name: name.chars().take(40).collect() });
        }
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Name(name.to_owned()));
        rest = &inner[end + 1..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

/// The names that a template needs, each once; none where it has a fault.
pub fn names(template: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in parse(template).unwrap_or_default() {
        if let Part::Name(name) = part
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// Fills a template in. A name without a value, which a checked team has not, is left out.
pub fn fill<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let Ok(parts) = parse(template) else { return template.to_owned() };
    let mut text = String::with_capacity(template.len());
    for part in &parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Name(name) => text.push_str(value(name).unwrap_or_default()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_and_names_of_any_script() {
        let fill = |template| fill(template, |name| (name == "größe" || name == "a").then_some("{a}"));
        assert_eq!(fill("{{x}} {größe} {a}"), "{x} {a} {a}");
        assert_eq!(parse("a } b"), Err(TemplateError::Close { at: 3 }));
        assert_eq!(parse("ä {b"), Err(TemplateError::Open { at: 3 }));
        assert!(matches!(parse("{\"k\": 1}"), Err(TemplateError::Name { .. })));
        assert_eq!(names("{a} {b} {a}"), ["a", "b"]);
    }
}
