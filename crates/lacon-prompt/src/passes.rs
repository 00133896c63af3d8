//! The list of passes, in the order they run.

use crate::error::{Error, Result};

/// One pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pass {
    /// Moves the bodies of functions to the store, so that source code becomes its outline. Only runs where asked for.
    ///
    /// Keeps: every line that is not inside a function, signatures and their comments; a marker for each body of four
    /// lines and more. Does nothing: without a store, or where the store is full.
    /// Example: a file of 521 lines, 4,810 tokens, becomes 1,937.
    Outline,
    /// Moves runs of passing tests and of a build's progress, eight lines and more, to the store.
    ///
    /// Keeps: every line that is not in full what a known tool prints when all is well, totals, and a marker with the number of
    /// lines and what all of them begin and end with. Does nothing: without a store, or where the store is full.
    /// Example: 77 lines `test … ok`, 960 tokens, become a marker of 33.
    Progress,
    /// Moves opaque runs (base64, hex, from 160 characters on) to the store.
    ///
    /// Keeps: a marker with kind, length and handle. Does nothing: without a store, or where the store is full.
    /// Example: an inline image of 4,404 characters, 2,900 tokens, becomes `[blob image/jpeg base64, 4404 chars,
    /// ref=…]`, 24 tokens.
    Blobs,
    /// Writes JSON without its layout, records as tables, strings with many escapes as blocks.
    ///
    /// Keeps: every lexeme, order and layout. Does nothing: on JSON inside a text that no common printer laid out so.
    /// Example: 60 orders, 20,246 tokens, become a table of 10,528.
    Json,
    /// Writes JSON lines that share a shape as one table.
    ///
    /// Keeps and does nothing: as for JSON. Example: `{"id": 1, "side": "buy"}` on four lines becomes `id|side` and
    /// four rows.
    JsonLines,
    /// Writes comma-, semicolon- and tab-separated rows as columns, what a whole column says in its heading.
    ///
    /// Keeps: every cell as it is written, quotes included. Does nothing: on rows of different widths, and where no
    /// column has a constant, a default or runs. Example: 60 trades whose venue, currency and account never change,
    /// 1,680 tokens, become 720.
    Columns,
    /// Writes the lines of a search or a compiler, `path:line:text`, with each path once above its lines.
    ///
    /// Keeps: every line and their order. Does nothing: where no path has two lines in a row.
    /// Example: 150 lines of `grep -n`, 4,794 tokens, become 3,300.
    Hits,
    /// Writes what `git diff` prints with the name of each file once.
    ///
    /// Keeps: hunks line for line, objects and modes. Does nothing: on renames, binary files and changed modes.
    /// Example: a diff of seven files, 8,094 tokens, becomes 7,808.
    Diffs,
    /// Writes log lines and separated rows as templates and their values.
    ///
    /// Keeps: every token whole, the order of lines. Does nothing: on prose, and on lines that share too little.
    /// Example: 400 lines of a sshd log, 16,817 tokens, become 6,480.
    Logs,
    /// Writes markdown tables without outer bars and padding.
    ///
    /// Keeps: cells and look. Does nothing: on tables drawn by hand, and in texts that address the model.
    /// Example: `| a   | b |` with its ruler becomes `a|b`.
    Grids,
    /// Writes a run of lines that stands above in nearly the same words as the changes against it.
    ///
    /// Keeps: the first version as it is, changed lines word for word. Does nothing: below six lines, where naming the
    /// repeated passages is shorter, and in texts that address the model. Example: a file of 120 lines that is read
    /// again after two edits, 1,650 tokens, becomes 60.
    Edits,
    /// Names passages that occur again, and repeats the name.
    ///
    /// Keeps: the first occurrence in place; passages are whole lines, sentences, cells or values. Does nothing: where
    /// it saves less than a fiftieth, and in texts that address the model.
    /// Example: a run's state that holds each report three times, 37,316 tokens, becomes 24,288.
    Repeats,
    /// Replaces a whole segment that stands earlier in the prompt by one line that quotes its beginning.
    ///
    /// Keeps: the first copy. Does nothing: below 240 bytes, or where another text begins alike.
    Duplicates,
}

/// Every pass in its order.
///
/// What goes to the store comes first, because nothing else may look into it; bodies before what may lie in them. Forms come next, while the text is still what a program
/// printed; columns and hits before logs, which read the same lines with less knowledge of them. Edits come after forms, because
/// unescaping a string turns it into lines, and before repeats, which would break up a second version into the passages
/// it shares. Repeats come last of what one text needs: tables and unescaped strings bring more passages into the same
/// words. Duplicates look at whole segments and are the only pass that sees more than one.
pub const PASSES: [Pass; ROWS.len()] = {
    let mut passes = [Pass::Outline; ROWS.len()];
    let mut i = 0;
    while i < ROWS.len() {
        passes[i] = ROWS[i].0;
        i += 1;
    }
    passes
};

/// Each pass, its name in receipts and switches, and what it did, in one sentence for a user.
#[rustfmt::skip]
const ROWS: [(Pass, &str, &str); 13] = [
    (Pass::Outline, "outline", "moved the bodies of functions to the store; each marker names its entry"),
    (Pass::Progress, "progress", "moved runs of passing tests and of a build's progress to the store"),
    (Pass::Blobs, "blobs", "moved opaque runs (base64, hex) to the store; each marker names its entry"),
    (Pass::Json, "json", "wrote JSON without its layout and records as tables"),
    (Pass::JsonLines, "jsonl", "wrote JSON lines as one table"),
    (Pass::Columns, "columns", "wrote separated rows as columns with their constants and defaults in the heading"),
    (Pass::Hits, "hits", "wrote the path of search hits once above them"),
    (Pass::Diffs, "diffs", "wrote the name of each file of a diff once"),
    (Pass::Logs, "logs", "wrote log lines as templates and their values"),
    (Pass::Grids, "grids", "wrote markdown tables without padding"),
    (Pass::Edits, "edits", "wrote text that stands above in nearly the same words as its changes"),
    (Pass::Repeats, "repeats", "named passages that occur again and repeated the name"),
    (Pass::Duplicates, "duplicates", "replaced a text that stands above by a line that says so"),
];

impl Pass {
    fn row(self) -> (Pass, &'static str, &'static str) {
        ROWS[self as usize]
    }

    /// The name in receipts and switches.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What the pass did, in one sentence for a user.
    #[must_use]
    pub fn about(self) -> &'static str {
        self.row().2
    }

    /// The pass of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Pass> {
        PASSES.into_iter().find(|pass| pass.name() == name)
    }
}

/// A set of passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassSet(u16);

impl PassSet {
    /// All passes, also those that only run where they are asked for.
    pub const ALL: PassSet = PassSet(u16::MAX);
    /// No pass.
    pub const NONE: PassSet = PassSet(0);

    /// The set without one pass.
    #[must_use]
    pub fn without(self, pass: Pass) -> PassSet {
        PassSet(self.0 & !(1 << pass as u16))
    }

    /// The set with one pass.
    #[must_use]
    pub fn with(self, pass: Pass) -> PassSet {
        PassSet(self.0 | (1 << pass as u16))
    }

    /// The passes that are in both sets.
    #[must_use]
    pub fn and(self, other: PassSet) -> PassSet {
        PassSet(self.0 & other.0)
    }

    /// The usual passes without the named ones of `disable` and with those of `enable`.
    ///
    /// # Errors
    /// When a name is none of a pass.
    pub fn usual<'n>(
        disable: impl IntoIterator<Item = &'n str>,
        enable: impl IntoIterator<Item = &'n str>,
    ) -> Result<PassSet> {
        let named =
            |name: &str| Pass::named(name).ok_or_else(|| Error::UnknownPass { name: name.to_owned() });
        let mut passes = PassSet::default();
        for name in disable {
            passes = passes.without(named(name)?);
        }
        for name in enable {
            passes = passes.with(named(name)?);
        }
        Ok(passes)
    }

    /// Whether a pass is in the set.
    #[must_use]
    pub fn has(self, pass: Pass) -> bool {
        self.0 & (1 << pass as u16) != 0
    }
}

impl Default for PassSet {
    /// All passes but the outline, which takes from view what a reader of code may want.
    fn default() -> Self {
        PassSet::ALL.without(Pass::Outline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pass_has_its_row() {
        for (i, pass) in PASSES.into_iter().enumerate() {
            assert_eq!((pass as usize, pass.row().0, Pass::named(pass.name())), (i, pass, Some(pass)));
        }
    }
}
