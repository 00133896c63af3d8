use proptest::prelude::*;

use super::*;

/// Feeds lines and gives what the transport hands on and what it answers.
fn exchange(input: &[u8]) -> (Vec<ClientJsonRpcMessage>, Vec<Value>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut lines = Lines::new(input, Vec::new());
        let mut messages = Vec::new();
        while let Some(message) = lines.receive().await {
            messages.push(message);
        }
        let written = lines.write.lock().await.clone();
        let answers = String::from_utf8(written).unwrap();
        (messages, answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    })
}

fn check(line: &[u8], code: i32, id: Value) {
    let (messages, answers) = exchange(&[line, b"\n"].concat());
    let shown = String::from_utf8_lossy(line);
    assert!(messages.is_empty(), "{shown}");
    assert_eq!(answers.len(), 1, "{shown}");
    assert_eq!((&answers[0]["error"]["code"], &answers[0]["id"]), (&json!(code), &id), "{shown}");
}

#[test]
fn every_broken_line_is_answered() {
    check(
        br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"a":"\ud800"}}"#,
        PARSE_ERROR,
        json!(7),
    );
    check(br#"{"jsonrpc":"2.0","method":"ping","params":{"a":1e400},"id":"x"}"#, PARSE_ERROR, json!("x"));
    check(br#"{"jsonrpc":"2.0","id":3,"method":"tools/ca"#, PARSE_ERROR, json!(3));
    check(br#"{"jsonrpc":"2.0","id":3"#, PARSE_ERROR, Value::Null);
    check(br#"{"jsonrpc":"2.0","id":12"#, PARSE_ERROR, Value::Null);
    check(br#"{"params":{"id":9,"#, PARSE_ERROR, Value::Null);
    check(br#"{"params":[{"id":9}],"id":4,"#, PARSE_ERROR, json!(4));
    check(br#"{"\u0069d" : -1 ,"a":"#, PARSE_ERROR, json!(-1));
    check(br#"{"id":1,"id":2,"a":"#, PARSE_ERROR, Value::Null);
    check(br#"{"id":"\ud800","a":1}"#, PARSE_ERROR, Value::Null);
    check(b"{\"id\":5,\"a\":\"\xff\"}", PARSE_ERROR, json!(5));
    check(b"no json", PARSE_ERROR, Value::Null);
    check(&[b'['; 100_000], PARSE_ERROR, Value::Null);
    check(br#"{"id":5}"#, INVALID_REQUEST, json!(5));
    check(br#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, INVALID_REQUEST, json!(1.5));
    check(br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, INVALID_REQUEST, Value::Null);
    check(br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, INVALID_REQUEST, Value::Null);
    let (_, answers) = exchange(br#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}"#);
    assert!(answers[0]["id"].is_number(), "{answers:?}");
}

#[test]
fn a_line_that_is_too_long_is_answered_and_the_next_is_read() {
    let text = "x".repeat(MAX_LINE);
    let long = format!("{{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"{text}\"}}\n");
    // As the TypeScript client writes it: the id at the end.
    let other = format!("{{\"method\":\"{text}\",\"jsonrpc\":\"2.0\",\"id\":\"seven\"}}\n");
    let next = "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}";
    let (messages, answers) = exchange([&long, &*other, next].concat().as_bytes());
    assert_eq!((messages.len(), answers.len()), (1, 2));
    assert_eq!((&answers[0]["id"], &answers[0]["error"]["code"]), (&json!(8), &json!(PARSE_ERROR)));
    assert_eq!(answers[1]["id"], "seven");
}

#[test]
fn what_waits_for_nothing_is_not_answered() {
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for line in [
        &b""[..],
        b"  \r",
        br#"{"jsonrpc":"2.0","method":"notifications/what","params":[1]}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        br#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}"#,
        br#"{"jsonrpc":"2.0","id":null,"error":7}"#,
    ] {
        let (_, answers) = exchange(&[line, b"\n", ping, b"\n"].concat());
        assert!(answers.is_empty(), "{}", String::from_utf8_lossy(line));
    }
}

/// A request in pieces that must not be cut apart.
fn request(id: &str, text: &str, first: bool) -> String {
    let id = format!("\"id\":{id}");
    let rest = format!(
        r#""jsonrpc":"2.0","method":"tools/call","params":{{"name":"count","arguments":{{"text":{text},"id":77}}}}"#
    );
    if first { format!("{{{id},{rest}}}") } else { format!("{{{rest},{id}}}") }
}

/// A lost quotation mark turns names into values and back.
#[test]
fn a_lost_quotation_mark_gives_no_wrong_id() {
    let line = request("\"mine\"", "\"a\"", false);
    for (at, _) in line.match_indices('"') {
        let mut broken = line.clone().into_bytes();
        broken[at] = b'x';
        let (_, answers) = exchange(&broken);
        assert_ne!(answers[0]["id"], json!(77), "{at}");
    }
}

proptest! {
    #[test]
    fn a_line_is_handed_on_or_answered_once_with_its_id(
        id in prop_oneof![(0u32..1 << 31).prop_map(|n| n.to_string()), "[a-z]{1,8}".prop_map(|s| format!("{s:?}"))],
        text in prop_oneof![
            Just(r#""\ud800""#.to_owned()), Just(r#""\udc00\ud800x""#.to_owned()), Just("1e400".to_owned()),
            Just("-1e999".to_owned()), Just("NaN".to_owned()), Just("01".to_owned()), Just(r#""\x""#.to_owned()),
            Just("\"\u{1}\"".to_owned()), Just("[1,]".to_owned()), Just("{,}".to_owned()), Just("tru".to_owned()),
        ],
        first: bool,
    ) {
        let (messages, answers) = exchange(request(&id, &text, first).as_bytes());
        prop_assert!(messages.is_empty());
        prop_assert_eq!(answers.len(), 1);
        prop_assert_eq!(&answers[0]["error"]["code"], &json!(PARSE_ERROR));
        prop_assert_eq!(answers[0]["id"].to_string(), id);
    }

    /// However a request is cut or changed: one line, one answer or one message, and never another's id.
    #[test]
    fn broken_anywhere_it_never_gets_a_wrong_id(
        first: bool,
        cut in 0usize..200,
        changed in proptest::collection::vec((0usize..200, any::<u8>()), 0..2),
    ) {
        let mut line = request("\"mine\"", "\"a \\\" b\"", first).into_bytes();
        line.truncate(line.len().saturating_sub(cut).max(1));
        for (at, byte) in changed {
            let at = at % line.len();
            line[at] = if byte == b'\n' { b' ' } else { byte };
        }
        let (messages, answers) = exchange(&line);
        let blank = line.trim_ascii().is_empty();
        prop_assert!(messages.len() + answers.len() <= 1);
        if serde_json::from_slice::<Value>(&line).is_err() && !blank {
            prop_assert_eq!(answers.len(), 1);
            prop_assert_ne!(&answers[0]["id"], &json!(77));
        }
    }

    #[test]
    fn any_bytes_are_answered_in_whole_lines(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        exchange(&bytes);
    }
}
