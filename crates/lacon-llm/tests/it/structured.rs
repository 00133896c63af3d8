//! Answers in a given form: mended, asked for again, or returned as text.

use lacon_llm::{
    Client, Error, ErrorKind, JsonSchema, Malformed, Message, Outcome, Request, Response, Structured,
    StructuredOptions, ignore_events,
};
use serde_json::json;

use crate::scripted::{Play, Scripted, fails, says};
use crate::server::{Server, answer, good_stream};

fn request() -> Request {
    let schema = json!({"type": "object", "properties": {"action": {"enum": ["BUY", "HOLD"]}}, "required": ["action"]});
    let format = JsonSchema { name: "decision".into(), schema, strict: true };
    Request { messages: vec![Message::user("AAPL?")], response_format: Some(format), ..Request::new("m") }
}

async fn run(script: Vec<Play>, options: StructuredOptions) -> (Result<Response, Error>, usize) {
    let client = Structured::new(Scripted::new(script), options);
    let result = client.complete(&request(), &ignore_events).await;
    let n = result.as_ref().map_or_else(|error| error.attempts().len(), |response| response.attempts.len());
    (result, n)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_fits_is_kept_byte_for_byte() {
    let (result, _) = run(vec![says("{ \"action\":\"BUY\" }", 10)], StructuredOptions::default()).await;
    let response = result.unwrap();
    assert_eq!((response.text.as_str(), response.warnings.len()), ("{ \"action\":\"BUY\" }", 0));
}

#[tokio::test(start_paused = true)]
async fn small_faults_are_mended_without_a_call() {
    let (result, calls) =
        run(vec![says("Sure:\n```json\n{\"action\": \"buy\",}\n```", 10)], StructuredOptions::default())
            .await;
    let response = result.unwrap();
    assert_eq!((response.text.as_str(), calls), ("{\"action\":\"BUY\"}", 1));
    assert_eq!(
        response.warnings,
        [
            "answer was mended: left out a trailing comma; left out the text around the object; read \"buy\" as \"BUY\" at action"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_asked_for_once_more_and_both_are_paid() {
    let script = vec![says("I would buy.", 10), says("{\"action\":\"BUY\"}", 10)];
    let (result, _) = run(script, StructuredOptions::default()).await;
    let response = result.unwrap();
    assert_eq!(response.text, "{\"action\":\"BUY\"}");
    let [first, second] = &response.attempts[..] else { panic!("{:?}", response.attempts) };
    assert_eq!(first.outcome, Outcome::Failed(ErrorKind::Malformed(Malformed::Schema)));
    assert!(first.usage.is_some() && second.usage.is_some() && second.start >= first.end);
    assert_eq!(response.elapsed, second.end);
    assert_eq!(response.warnings, ["answer was asked for once more: no json object found"]);
}

#[tokio::test(start_paused = true)]
async fn in_the_end_the_answer_is_free_text_or_an_error() {
    let script = vec![says("I would buy.", 10), says("Really.", 10)];
    let (result, calls) = run(script.clone(), StructuredOptions::default()).await;
    let response = result.unwrap();
    assert_eq!((response.text.as_str(), calls), ("Really.", 2));
    assert!(response.warnings[1].starts_with("answer does not fit the required form and is free text"));
    let (result, calls) =
        run(script.clone(), StructuredOptions { free_text: false, ..StructuredOptions::default() }).await;
    assert_eq!((result.unwrap_err().kind(), calls), (ErrorKind::Malformed(Malformed::Schema), 2));
    let (result, calls) = run(script, StructuredOptions { repair: false, free_text: true }).await;
    assert_eq!((result.unwrap().text.as_str(), calls), ("I would buy.", 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_second_call_leaves_the_first_answer() {
    let script = vec![says("I would buy.", 10), fails(ErrorKind::Status(500), 10)];
    let (result, calls) = run(script, StructuredOptions::default()).await;
    let response = result.unwrap();
    assert_eq!((response.text.as_str(), calls), ("I would buy.", 2));
    let answered: Vec<_> =
        response.attempts.iter().map(|attempt| attempt.outcome == Outcome::Answered).collect();
    assert_eq!(answered.iter().filter(|answered| **answered).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_parameter_moves_the_schema_into_the_prompt() {
    let script = vec![fails(ErrorKind::InvalidRequest, 5), says("{\"action\":\"HOLD\"}", 10)];
    let (result, calls) = run(script, StructuredOptions::default()).await;
    assert_eq!((result.unwrap().text.as_str(), calls), ("{\"action\":\"HOLD\"}", 2));
    let (result, calls) = run(vec![fails(ErrorKind::Auth, 5)], StructuredOptions::default()).await;
    assert_eq!((result.unwrap_err().kind(), calls), (ErrorKind::Auth, 1));
}

#[tokio::test]
async fn on_the_wire() {
    let refused = answer(400, "", r#"{"error":{"message":"response_format is not supported"}}"#);
    let good = good_stream("{\"action\":\"HOLD\"}");
    let server = Server::start([refused.clone(), refused, good.clone(), good]).await;
    let client = Structured::new(server.provider(|_| ()), StructuredOptions::default());
    let response = client.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((response.text.as_str(), response.attempts.len()), ("{\"action\":\"HOLD\"}", 3));
    // What works is kept: the next call is not refused first.
    client.complete(&request(), &ignore_events).await.unwrap();
    let received = server.received();
    let form = |n: usize| received[n].json()["response_format"]["type"].clone();
    assert_eq!(
        [form(0), form(1), form(2), form(3)],
        ["json_schema".into(), "json_object".into(), json!(null), json!(null)]
    );
    for (n, request) in received.iter().take(4).enumerate() {
        let body = request.json();
        let prompt = body["messages"][0]["content"].as_str().unwrap();
        let asks = prompt.starts_with("AAPL?\n\nAnswer with one JSON object that fits this JSON Schema");
        assert_eq!(asks, n > 0, "{prompt}");
        assert_eq!(request.body.matches("enum").count(), 1, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_schema_is_no_answer_and_values_in_it_are_one() {
    let schema = r#"{"type":"object","properties":{"action":{"enum":["BUY","HOLD"]}},"required":["action"]}"#;
    let script = vec![says(schema, 10), says("{\"action\":\"BUY\"}", 10)];
    let (result, calls) = run(script, StructuredOptions::default()).await;
    let response = result.unwrap();
    assert_eq!((response.text.as_str(), calls), ("{\"action\":\"BUY\"}", 2));
    assert_eq!(response.warnings, ["answer was asked for once more: the answer repeats the schema"]);
    let filled = r#"{"type":"object","properties":{"action":"BUY"},"required":["action"]}"#;
    let (result, calls) = run(vec![says(filled, 10)], StructuredOptions::default()).await;
    assert_eq!((result.unwrap().text.as_str(), calls), ("{\"action\":\"BUY\"}", 1));
}

#[tokio::test]
async fn roles_that_a_template_refuses_are_joined_and_the_way_is_kept() {
    let refused = |what: &str| answer(400, "", &json!({"error": {"message": what}}).to_string());
    let server = Server::start([
        refused("Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/..."),
        refused("Jinja Exception: System role not supported"),
        good_stream("Buy"),
        good_stream("Sell"),
    ])
    .await;
    let provider = server.provider(|_| ());
    let messages = vec![Message::system("rules"), Message::user("data"), Message::user("AAPL?")];
    let asked = Request { messages, ..Request::new("m") };
    let response = provider.complete(&asked, &ignore_events).await.unwrap();
    assert_eq!((response.text.as_str(), response.attempts.len()), ("Buy", 3));
    assert!(response.warnings.iter().any(|w| w.starts_with("neighboring messages of a role are joined")));
    provider.complete(&asked, &ignore_events).await.unwrap();
    let sent: Vec<_> = server.received().iter().map(|r| r.json()["messages"].clone()).collect();
    let text = |role: &str, content: &str| json!({"role": role, "content": content});
    assert_eq!(sent[1], json!([text("system", "rules"), text("user", "data\n\nAAPL?")]));
    assert_eq!(sent[2], json!([text("user", "rules\n\ndata\n\nAAPL?")]));
    assert_eq!(sent[2], sent[3]);
}

#[tokio::test]
async fn an_answer_in_a_loop_is_closed_and_says_so() {
    let text = format!("Revenue grew. {}", "It grew again and again. ".repeat(400));
    let server = Server::start([good_stream(&text)]).await;
    let response = server.provider(|_| ()).complete(&Request::new("m"), &ignore_events).await.unwrap();
    assert_eq!(response.finish.as_str(), "loop");
    assert!(
        response.text.starts_with("Revenue grew. It grew") && response.text.len() < 200,
        "{}",
        response.text
    );
    assert!(response.attempts[0].usage_estimate.is_some());
    assert!(response.warnings.iter().any(|warning| warning.starts_with("answer repeats its last part")));
}

#[tokio::test]
async fn a_family_without_schemas_reads_it_in_the_prompt() {
    let server = Server::start([good_stream("{\"action\":\"HOLD\"}")]).await;
    let request = Request { model: "deepseek-chat".into(), ..request() };
    server.provider(|_| ()).complete(&request, &ignore_events).await.unwrap();
    let body = server.received()[0].json();
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert!(body["messages"][0]["content"].as_str().unwrap().contains("\"enum\":[\"BUY\",\"HOLD\"]"));
}
