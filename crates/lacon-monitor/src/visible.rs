//! Text from models, tools and files on its way to a terminal, a Markdown file or a page: what acts there instead of
//! being read becomes visible.

use std::{borrow::Cow, fmt::Write as _};

/// The text with each control character, escape, bidirectional control and invisible tag written as JSON writes it,
/// `\u001b`. Line ends and tabs stay.
///
/// The form is JSON's so that JSON keeps its value: there, such a character can only stand in a string.
pub fn visible(text: &str) -> Cow<'_, str> {
    let Some(first) = text.char_indices().find(|(at, c)| acts(*c, &text[at + c.len_utf8()..])) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first.0]);
    for (at, c) in text[first.0..].char_indices() {
        if acts(c, &text[first.0 + at + c.len_utf8()..]) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a character does something where it is shown. A carriage return only ends a line with its newline; alone it
/// goes back to the line's begin and hides what stands there.
fn acts(c: char, after: &str) -> bool {
    match c {
        '\n' | '\t' => false,
        '\r' => !after.starts_with('\n'),
        c if c.is_control() => true,
        // Marks, embeddings, overrides and isolates of direction; line and paragraph separators.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // Tags say what no reader sees and a model reads; interlinear marks hide text.
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_acts_becomes_visible_and_the_rest_stays() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text), expected);
        check(
            "plain\ttext\r\nzwei 日本 \u{1f469}\u{200d}\u{1f4bb}\n",
            "plain\ttext\r\nzwei 日本 \u{1f469}\u{200d}\u{1f4bb}\n",
        );
        check("\u{1b}[31mred\u{1b}[0m", "\\u001b[31mred\\u001b[0m");
        check("\u{1b}]0;title\u{7}", "\\u001b]0;title\\u0007");
        check("\u{9b}2J", "\\u009b2J");
        check("safe\rEVIL", "safe\\u000dEVIL");
        check("a\u{202e}b\u{2066}c", "a\\u202eb\\u2066c");
        check("\u{e0041}", "\\udb40\\udc41");
        assert!(matches!(visible("a"), Cow::Borrowed(_)));
    }

    /// All of C0 and C1, the bidirectional controls, and sequences that terminals obey.
    fn hostile() -> impl Strategy<Value = String> {
        let control = prop_oneof![
            (0u32..0x20).prop_map(|c| char::from_u32(c).expect("below the surrogates")),
            (0x7fu32..0xa0).prop_map(|c| char::from_u32(c).expect("below the surrogates")),
            prop::sample::select(vec![
                '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
                '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}', '\u{2028}', '\u{2029}'
            ]),
        ];
        let sequence = prop::sample::select(vec![
            "\u{1b}[2J",
            "\u{1b}[H",
            "\u{1b}[8m",
            "\u{1b}]52;c;aGk=\u{7}",
            "\u{1b}]8;;http://x\u{1b}\\y\u{1b}]8;;\u{1b}\\",
            "\u{1b}P$q\"p\u{1b}\\",
            "\u{9b}31m",
            "\u{90}x\u{9c}",
            "\u{1b}c",
            "\u{8}\u{8}",
            "\r\u{1b}[K",
        ]);
        let part = prop_oneof![
            control.prop_map(String::from),
            sequence.prop_map(String::from),
            "[ -~]{0,6}",
            any::<char>().prop_map(String::from)
        ];
        prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(text in hostile()) {
            let shown = visible(&text);
            let left = shown.replace("\r\n", "\n");
            prop_assert!(!left.chars().any(|c| c.is_control() && !"\n\t".contains(c)), "{shown:?}");
            let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            prop_assert!(!shown.chars().any(turns));
            // Once is enough, and what is visible already stays.
            prop_assert_eq!(visible(&shown), shown.as_ref());
            let kept = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
            prop_assert!(kept(&shown) >= kept(&text));
        }

        #[test]
        fn json_keeps_its_value(text in hostile()) {
            let json = serde_json::json!({"text": text, "n": [1, 2]});
            let shown = visible(&json.to_string()).into_owned();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), json);
        }
    }
}
