//! A store that is gone, altered, full or locked costs what it would have saved, never a content; and whose it is.

use std::{path::Path, time::Duration};

use lacon_prompt::offload::{Store, sqlite::OffloadStore};
use lacon_proxy::Policy;
use serde_json::{Value, json};

use crate::support::{World, blob, ok};

const LIMIT: u64 = 1 << 24;

async fn world(path: &Path, limit: u64) -> World {
    let store = OffloadStore::open(path, "s", limit).unwrap();
    store.wait_at_most(Duration::from_millis(50)).unwrap();
    let sessions = store.other_session("s", false).unwrap().unwrap();
    World::with(ok(), Policy::Safe, |options| {
        options.store = Box::new(store);
        options.sessions = Some(Box::new(move |name, make| {
            let found = sessions.other_session(&format!("client:{name}"), make)?;
            Ok(found.map(|store| Box::new(store) as Box<dyn Store + Send>))
        }));
    })
    .await
}

fn messages() -> Value {
    json!([
        {"role": "user", "content": "What is attached?"},
        {"role": "tool", "tool_call_id": "d", "content": format!("Attached: {}\n", blob())},
    ])
}

async fn compress(world: &World, headers: &str) -> Value {
    let body = json!({"messages": messages(), "config": {"mode": "ccr"}}).to_string();
    let headers = format!("content-type: application/json\r\n{headers}");
    let got = world.send("POST", "/v1/compress", &headers, body.as_bytes()).await;
    assert_eq!(got.status, 200, "{}", got.text());
    got.json()
}

/// The messages came back as they were, and a request to the provider keeps every byte.
async fn keeps_all(world: &World) {
    let done = compress(world, "").await;
    assert_eq!((&done["messages"], &done["ccr_hashes"]), (&messages(), &json!([])));
    let tools = json!([{"type": "function", "function": {"name": "lacon_retrieve", "parameters": {}}}]);
    let body = json!({"model": "gpt-4o", "messages": messages(), "tools": tools}).to_string();
    assert_eq!(world.post("/v1/chat/completions", &body).await.status, 200);
    assert_eq!(world.last(), body);
}

async fn hash(world: &World, headers: &str) -> String {
    let done = compress(world, headers).await;
    assert_ne!(done["messages"], messages(), "{done}");
    done["ccr_hashes"][0].as_str().unwrap_or_else(|| panic!("{done}")).to_owned()
}

async fn retrieved(world: &World, hash: &str, headers: &str) -> (u16, String) {
    let got = world.send("GET", &format!("/v1/retrieve/{hash}"), headers, b"").await;
    (got.status, got.text().to_owned())
}

#[tokio::test]
async fn a_store_that_is_gone_takes_nothing_and_gives_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let world = world(&path, LIMIT).await;
    let hash = hash(&world, "").await;
    std::fs::remove_file(&path).unwrap();
    // What was seen before comes from no cache either.
    keeps_all(&world).await;
    let (status, text) = retrieved(&world, &hash, "").await;
    assert_eq!(status, 200, "{text}");
}

#[tokio::test]
async fn an_altered_store_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let world = world(&path, LIMIT).await;
    let hash = hash(&world, "").await;
    // A content that was changed in place: the file is sound, the content is another.
    let bytes = std::fs::read(&path).unwrap();
    let at =
        bytes.windows(24).position(|w| w == &blob().as_bytes()[..24]).expect("the content lies in the file");
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    // The file's change counter: who writes by SQLite moves it, and other connections read again.
    changed[27] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    keeps_all(&world).await;
    let (status, text) = retrieved(&world, &hash, "").await;
    assert!(status != 200 && !text.contains("original_content"), "{status} {text}");
    // A file that is no store any more.
    std::fs::write(&path, "no database at all".repeat(1000)).unwrap();
    keeps_all(&world).await;
    assert_ne!(retrieved(&world, &hash, "").await.0, 200);
}

#[tokio::test]
async fn a_full_store_keeps_the_text_in_the_request() {
    let folder = tempfile::tempdir().unwrap();
    keeps_all(&world(&folder.path().join("store.db"), 100).await).await;
}

#[tokio::test]
async fn a_locked_store_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let world = world(&path, LIMIT).await;
    let mut other = OffloadStore::open(&path, "other", LIMIT).unwrap();
    other.begin().unwrap();
    keeps_all(&world).await;
    other.commit().unwrap();
    let hash = hash(&world, "").await;
    assert_eq!(retrieved(&world, &hash, "").await.0, 200);
}

#[tokio::test]
async fn a_client_that_names_its_session_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&folder.path().join("store.db"), LIMIT).await;
    let (one, two) = ("x-lacon-session: one\r\n", "x-lacon-session: two\r\n");
    let hashes = [hash(&world, "").await, hash(&world, one).await, hash(&world, two).await];
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2], "{hashes:?}");
    assert_eq!(hash(&world, one).await, hashes[1]);
    for (i, hash) in hashes.iter().enumerate() {
        for (j, headers) in ["", one, two].into_iter().enumerate() {
            let expected = if i == j { 200 } else { 404 };
            assert_eq!(retrieved(&world, hash, headers).await.0, expected, "{i} {j}");
        }
    }
    // A name that is none has no session, rather than everybody's.
    for bad in ["x-lacon-session: \r\n", "x-lacon-session: a\r\nx-lacon-session: b\r\n"] {
        assert_eq!(compress(&world, bad).await["ccr_hashes"], json!([]));
        assert_eq!(retrieved(&world, &hashes[0], bad).await.0, 404);
    }
    // It goes no further than here.
    let tools = json!([{"type": "function", "function": {"name": "lacon_retrieve", "parameters": {}}}]);
    let body = json!({"model": "gpt-4o", "messages": messages(), "tools": tools}).to_string();
    let headers = format!("content-type: application/json\r\n{one}");
    world.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).await;
    assert!(world.seen.lock().unwrap().last().unwrap().header("x-lacon-session").is_none());
    assert!(world.last().contains(&hashes[1]));
}
