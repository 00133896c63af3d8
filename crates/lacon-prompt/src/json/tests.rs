use super::*;
use crate::work::{Budget, Meter};

fn check(text: &str, expected: &str) {
    let node = parse(text).expect("the test's input is JSON");
    let style = Style::of(text);
    let mut printed = String::new();
    style.print(&node, &mut printed);
    assert_eq!(printed, text, "style {style:?} does not print the input");
    for tables in [true, false] {
        let written = write_value(String::new(), &node, style, tables);
        if tables {
            assert_eq!(written, expected);
        }
        let (back, end) = read_value(&written, 0, style, &Meter::new(Budget::of_size(1 << 20), None))
            .unwrap_or_else(|e| panic!("{e}: {written}"));
        assert_eq!(end, written.len());
        assert_eq!(back, text, "from {written}");
    }
}

#[test]
fn scalars_keep_their_lexemes() {
    check("1.0e5", "1.0e5");
    check("-0", "-0");
    check("\"a\\/b\"", "!\"a\\/b\"");
    check("[null,true,1]", "[null,true,1]");
    check("\"\\ud800\"", "!\"\\ud800\"");
    check("\"caf\\u00e9\"", "\"café\"");
    check("{}", "{}");
    check("{\n  \"a\": []\n}", "{\"a\":[]}");
}

#[test]
fn strings_with_many_escapes_become_blocks() {
    check(r#"{"a":"1\n2\n3\n\"q\" z"}"#, "{\"a\":\"\"\"1\n2\n3\n\"q\" z\"\"\"}");
    check(r#"{"a":"1\n2\n3\n\"q\""}"#, r#"{"a":"1\n2\n3\n\"q\""}"#);
}

#[test]
fn records_become_tables() {
    check(
        r#"[{"id":"1","name":"a","ok":true,"zip":null},{"id":"22","name":"b|c","ok":true},{"id":"x","name":"","ok":true,"zip":5}]"#,
        "[#3 id$|name|ok=true|zip\n1|a|null\n22|\"b|c\"|\nx|\"\"|5\n]",
    );
}

#[test]
fn nested_records_are_flattened() {
    check(
        r#"[{"a":{"x":1,"y":2},"l":[{"p":"(1)","q":2},{"p":"z)","q":3}]},{"a":{"x":3,"y":2},"l":[]}]"#,
        "[#2 a{x|y=2}|l[p|q]\n1|(\"(1)\"|2)(\"z)\"|3)\n3|[]\n]",
    );
}

#[test]
fn keyed_records_and_defaults() {
    check(
        r#"{"AAPL":{"price":1,"err":null},"MSFT":{"price":2,"err":null},"N|":{"price":3,"err":null},"T":{"price":4,"err":"no"}}"#,
        "{#4 price|err~null\nAAPL|1|\nMSFT|2|\n\"N|\"|3|\nT|4|no\n}",
    );
}

#[test]
fn json_inside_strings_is_opened() {
    check(r#"{"c":"{\"a\": [1, 2], \"b\": \"x\"}"}"#, r#"{"c":$p{"a":[1,2],"b":"x"}}"#);
    check(r#"{"c":"{\n  \"a\": 1\n}"}"#, r#"{"c":$2{"a":1}}"#);
}

#[test]
fn deep_nesting_is_refused_without_a_crash() {
    let deep = "[".repeat(100_000);
    assert!(parse(&deep).is_none());
    assert!(
        read_value(
            &deep,
            0,
            Style { layout: Layout::Minified, ascii: false },
            &Meter::new(Budget::of_size(1 << 20), None)
        )
        .is_err()
    );
    let blocks = "$m[".repeat(50_000);
    assert!(
        read_value(
            &blocks,
            0,
            Style { layout: Layout::Minified, ascii: false },
            &Meter::new(Budget::of_size(1 << 20), None)
        )
        .is_err()
    );
}
