//! Expanding any text ends with a text or an error: no panic, no hang, no memory without bound.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = lacon_prompt::compress::expand(text, None);
    // The frames behind the first control line deserve most of the time.
    for head in ["@json 2\n", "@json pa\n", "@jsonl p\n", "@log 3 rows 1 templates 1 aliases\n", "@grid 3 rows a\n"] {
        let _ = lacon_prompt::compress::expand(&format!("{head}{text}"), None);
    }
    let _ = lacon_prompt::compress::expand(&format!("@ref «1:text» is repeated by «1»\n{text}"), None);
});
