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
    let server = Server::start([refused, good_stream("{\"action\":\"HOLD\"}")]).await;
    let client = Structured::new(server.provider(|_| ()), StructuredOptions::default());
    let response = client.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!(response.text, "{\"action\":\"HOLD\"}");
    let received = server.received();
    assert!(received[0].json().get("response_format").is_some());
    let second = received[1].json();
    assert!(second.get("response_format").is_none());
    let prompt = second["messages"][0]["content"].as_str().unwrap();
    assert!(
        prompt.starts_with("AAPL?\n\nAnswer with one JSON object that fits this JSON Schema"),
        "{prompt}"
    );
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
