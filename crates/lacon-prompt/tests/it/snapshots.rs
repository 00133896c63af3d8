//! What a model is shown for each case of `testdata/prompts`: `input.txt` there becomes `expected.txt`.
//!
//! With `LACON_FIXTURES=1` set while building, the expected files are written instead; read the difference then.

use lacon_prompt::compress::{Options, compress, expand};
use lacon_tokens::EncodingName;

#[test]
fn each_case_is_shown_as_expected() {
    let encoding = lacon_tokens::encoding(EncodingName::O200kBase);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/prompts");
    let mut cases: Vec<_> =
        std::fs::read_dir(root).expect("is there").map(|e| e.expect("an entry").path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let input = std::fs::read_to_string(case.join("input.txt")).expect("has an input");
        let short = compress(&input, Options::default(), None, encoding).expect("compresses");
        assert_eq!(expand(&short.text, None).expect("expands"), input);
        let shown = format!("{} -> {} tokens\n{}", short.tokens_before, short.tokens_after, short.text);
        let path = case.join("expected.txt");
        if option_env!("LACON_FIXTURES").is_some() {
            std::fs::write(&path, &shown).expect("can be written");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), shown, "{}", path.display());
    }
}
