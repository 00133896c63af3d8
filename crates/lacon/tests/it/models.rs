//! `lacon models`: prices, a file of one's own, what was learned; `lacon doctor`'s row on them.

use serde_json::{Value, json};

use crate::support::Folder;

fn price(folder: &Folder, args: &[&str]) -> Value {
    let json = folder.lacon(&[&["models", "--prices", "--json"], args].concat()).json();
    json["models"][0]["price"].clone()
}

#[test]
fn prices_are_shown_with_source_and_date() {
    let folder = Folder::new();
    let known = price(&folder, &["gpt-5.6-sol"]);
    assert_eq!(
        (&known["input"], &known["output"], &known["cached"]),
        (&json!(4.0), &json!(20.0), &json!(0.4))
    );
    assert_eq!((&known["cache_write"], &known["tiers"][0]["above_tokens"]), (&json!(5.0), &json!(272_000)));
    assert!(known["source"].as_str().is_some_and(|source| source.starts_with("genai-prices")));
    assert!(known["date"].as_str().is_some_and(|date| date.len() == 10));
    for unknown in ["gpt-7", "adagio-7b", "claude-opus-9", "", "openai/", "acme/gpt-4o"] {
        assert_eq!(price(&folder, &[unknown]), Value::Null, "{unknown}");
    }
    let done = folder.lacon(&["models", "--prices", "gpt-7"]);
    assert!(done.code == 0 && done.out.contains("no price is known"), "{}", done.out);
}

#[test]
fn a_file_of_ones_own_comes_first_wherever_it_is_named() {
    let folder = Folder::new();
    let file = "acme = cl100k_base\n[acme-large]\nencoding = p50k_base\ninput = 1.5\noutput = 6\n[gpt-5.6-sol]\ninput = 3\n";
    folder.write("mine", file);
    let row = folder.lacon(&["models", "acme-large-2", "--models-file", "mine", "--prices", "--json"]).json();
    let row = &row["models"][0];
    assert_eq!((&row["encoding"], &row["how"]), (&json!("p50k_base"), &json!("exact")));
    assert_eq!((&row["price"]["input"], &row["price"]["cached"]), (&json!(1.5), &Value::Null));
    assert_eq!(price(&folder, &["--models-file", "mine", "gpt-5.6-sol"])["input"], 3.0);
    folder.write("lacon.toml", "[models]\nfile = \"mine\"\n");
    assert_eq!(price(&folder, &["acme-large"])["input"], 1.5);
    folder.write("text", "hello world");
    let count = folder.lacon(&["count", "text", "--model", "acme", "--json"]).json();
    assert_eq!(count["counts"][0]["encoding"], "cl100k_base");
    folder.write("mine", "acme = cl100k_base\n[acme]\ninput = -1\n");
    folder.lacon(&["models"]).fails(2, "models line 3: a price is 0 to 1000000 USD");
    folder.lacon(&["models", "--models-file", "none"]).fails(2, "none: cannot be read");
}

/// A `tokenizer.json` whose tokens are the 256 bytes.
fn bytes_json() -> Value {
    let mut next = 255;
    let letter = |byte: u8| match byte {
        33..=126 | 161..=172 | 174..=255 => char::from(byte),
        _ => {
            next += 1;
            char::from_u32(next).unwrap()
        }
    };
    let vocabulary: serde_json::Map<String, Value> =
        (0..=255_u8).map(letter).enumerate().map(|(id, letter)| (letter.to_string(), json!(id))).collect();
    json!({
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    })
}

#[test]
fn a_model_counts_with_the_vocabulary_that_its_row_names() {
    let folder = Folder::new();
    folder.write("own/models", "llama-4 = bytes.json\n");
    folder.write("own/bytes.json", &bytes_json().to_string());
    folder.write("lacon.toml", "[models]\nfile = \"own/models\"\n");
    folder.write("text", "hello world");
    let count =
        &folder.lacon(&["count", "text", "--model", "meta/llama-4-scout", "--json"]).json()["counts"][0];
    let found = (&count["tokens"], &count["encoding"], &count["how"]);
    assert_eq!(found, (&json!(11), &json!("bytes.json"), &json!("exact")));
    // Pieces of text count requests as well.
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tokenizers/gemma.json");
    folder.write("own/gemma/tokenizer.json", &std::fs::read_to_string(&root).unwrap());
    folder.write("own/models", "gemma-3 = gemma/tokenizer.json\n");
    folder.write(
        "request.json",
        r#"{"model": "google/gemma-3-4b-it", "messages": [{"role": "user", "content": "hello world"}]}"#,
    );
    let of = |args: &[&str]| {
        let count = folder.lacon(args).json()["counts"][0].clone();
        (count["tokens"].as_u64().unwrap(), count["encoding"].as_str().unwrap().to_owned())
    };
    let (of_request, named) = of(&["count", "--request", "request.json", "--json"]);
    assert_eq!(named, "gemma/tokenizer.json");
    let of_text = of(&["count", "text", "--tokenizer", "own/gemma/tokenizer.json", "--json"]).0;
    assert!(of_request > of_text && of(&["count", "text", "--model", "gemma-3", "--json"]).0 == of_text);
    let o200k = of(&["count", "--request", "request.json", "--model", "gpt-4o", "--json"]).0;
    assert_ne!(of_request, o200k);
    for (word, text, why) in [
        ("none.json", None, "none.json: No such file"),
        ("bad.json", Some("{".to_owned()), "it is not JSON"),
        ("o300k_base", None, "o300k_base"),
    ] {
        if let Some(text) = text {
            folder.write(&format!("own/{word}"), &text);
        }
        folder.write("own/models", &format!("llama-4 = {word}\n"));
        folder.lacon(&["count", "text", "--model", "llama-4"]).fails(2, why);
    }
}

#[test]
fn what_was_learned_is_used_shown_and_forgotten() {
    let folder = Folder::new();
    folder.write("results/.cache/tokens.json", &json!({"claude-5": vec![1.31; 20]}).to_string());
    let row = folder.lacon(&["models", "claude-opus-5", "--json"]).json();
    assert_eq!((&row["models"][0]["factor"], &row["models"][0]["error"]), (&json!(1.31), &json!(0.005)));
    assert!(folder.lacon(&["models"]).out.contains("20 bills compared"));
    folder.write("text", &"many things in few words ".repeat(200));
    let limit = |n: &str| folder.lacon(&["count", "text", "--model", "claude-opus-5", "--fail-over", n]).code;
    let count = folder.lacon(&["count", "text", "--model", "claude-opus-5", "--json"]).json();
    let (tokens, upper) = (&count["counts"][0]["tokens"], &count["counts"][0]["upper"]);
    assert!(upper.as_u64() > tokens.as_u64());
    // The upper end of the range is what a limit is tested with.
    assert_eq!((limit(&tokens.to_string()), limit(&upper.to_string())), (1, 0));
    assert_eq!(folder.lacon(&["models", "--forget"]).code, 0);
    let row = folder.lacon(&["models", "claude-opus-5", "--json"]).json();
    assert_eq!(row["models"][0]["factor"], 1.53);
    folder.write("results/.cache/tokens.json", "{\"claude-5\": [null, \"x\", -1, 1e9]}");
    let row = folder.lacon(&["models", "claude-opus-5", "--json"]).json();
    assert_eq!(row["models"][0]["factor"], 1.53, "a damaged file has taught nothing");
}

#[test]
fn layout_names_its_rule_and_counts_writes() {
    let folder = Folder::new();
    let shared = "Apple closed at 232.78 after a week of rising volume. ".repeat(150);
    for question in ["a", "b", "c"] {
        let messages = json!([{"role": "user", "content": shared}, {"role": "user", "content": question}]);
        folder.write(
            &format!("{question}.json"),
            &json!({"model": "gpt-5.6-sol", "messages": messages}).to_string(),
        );
    }
    let ask = |rule: &str| {
        folder.lacon(&["layout", "a.json", "b.json", "c.json", "--json", "--provider", rule]).json()
    };
    let found = ask("auto");
    assert_eq!((&found["rule"], &found["shapes"][2]), (&json!("openai-5.6"), &json!("sibling")));
    assert!(found["as_sent"][1]["cached"] == 0 && found["as_sent"][1]["written"].as_u64() > Some(1024));
    assert!(
        found["shared_first"][1]["cached"].as_u64() > Some(1024) && found["shared_first"][1]["written"] == 0
    );
    assert!(found["net_saving_tokens"].as_f64() > Some(1000.0));
    assert_eq!(ask("anthropic")["as_sent"][1]["cached"], 0, "nothing is marked");
    assert!(ask("openai-5.5")["as_sent"][1]["cached"].as_u64() >= Some(1024));
    folder.lacon(&["layout", "a.json", "--provider", "openai-9"]).fails(2, "no cache rule \"openai-9\"");
}

#[test]
fn doctor_knows_how_old_the_facts_are() {
    let folder = Folder::new();
    let done = folder.lacon(&["doctor", "--json"]).json();
    let row = done["checks"].as_array().unwrap().iter().find(|row| row["check"] == "models").unwrap().clone();
    assert!(
        row["found"].as_str().is_some_and(|found| found.contains("sources") || found.contains("older")),
        "{row}"
    );
}
