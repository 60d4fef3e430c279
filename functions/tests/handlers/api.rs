//! The HTTP API: each request that succeeds, with the whole of its answer.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::http::{HeaderMap, StatusCode};
use petrel_core::App;
use petrel_core::testing::Memory;
use petrel_functions::api::router;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::events;

pub const ID: &str = "0192f3c4-0000-7000-8000-0000000000a1";

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// `null` if it is empty.
    pub body: Value,
}

/// Passes an event to the router as the Lambda function does.
pub async fn pass(app: &App, event: &Value) -> Answer {
    let response = router(app.clone()).oneshot(events::request(event)).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        let kind = &head.headers["content-type"];
        assert!(kind == "application/json" || kind == "application/x-ndjson", "{kind:?}");
        // An export in a test is a line, or is looked at as text.
        let text = || String::from_utf8(bytes.to_vec()).unwrap().into();
        serde_json::from_slice(&bytes).unwrap_or_else(|_| text())
    };
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

pub async fn ask(app: &App, user: &str, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    pass(app, &events::http(Some(user), method, path, &body)).await
}

/// What a request is answered with that must succeed.
async fn ok(app: &App, user: &str, method: &str, path: &str, body: Value) -> Value {
    let answer = ask(app, user, method, path, body).await;
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
    answer.body
}

pub fn app() -> (Arc<Memory>, App) {
    let memory = Arc::new(Memory::default());
    let app = memory.app();
    (memory, app)
}

pub fn hi(text: &str) -> Value {
    json!({"to_user_id": "bo", "content": {"type": "text", "text": text}})
}

/// A group of Ana (its admin) and Bo; its id.
pub async fn group(app: &App) -> String {
    let group = json!({"name": "trip", "member_ids": ["bo"]});
    let created = ask(app, "ana", "POST", "/api/conversations", group).await;
    created.body["conversation_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn health_needs_no_token() {
    let (_, app) = app();
    let answer = pass(&app, &events::http(None, "GET", "/api/health", "")).await;
    let expected = json!({"version": env!("CARGO_PKG_VERSION"), "revision": null});
    assert_eq!((answer.status, answer.body), (200, expected));
}

#[tokio::test]
async fn a_message_is_created_once() {
    let (_, app) = app();
    let mut message = hi("hi");
    message["message_id"] = ID.into();
    message["seen"] = 0.into();
    for (status, duplicate) in [(201, false), (200, true), (200, true)] {
        let answer = ask(&app, "ana", "POST", "/api/messages", message.clone()).await;
        let at = answer.body["sent_at"].clone();
        assert!(at.is_u64());
        let expected = json!({"type": "sent", "message_id": ID, "conversation_id": "d:ana:bo",
            "seq": 1, "sent_at": at, "duplicate": duplicate});
        assert_eq!((answer.status, answer.body), (status, expected));
    }
    // Without an id it is another message each time.
    let to = json!({"conversation_id": "d:ana:bo", "content": {"type": "text", "text": "again"}});
    for seq in [2, 3] {
        let answer = ask(&app, "bo", "POST", "/api/messages", to.clone()).await;
        assert_eq!((answer.status, &answer.body["seq"]), (201, &json!(seq)));
        assert_eq!(answer.body["duplicate"], false);
    }
}

#[tokio::test]
async fn messages_are_read_back_and_forth() {
    let (_, app) = app();
    for n in 1..=3 {
        ask(&app, "ana", "POST", "/api/messages", hi(&format!("m{n}"))).await;
    }
    let path = "/api/conversations/d:ana:bo/messages";
    let page = ok(&app, "bo", "GET", &format!("{path}?after=0&limit=1"), Value::Null).await;
    let (id, at) = (&page["messages"][0]["message_id"], &page["messages"][0]["sent_at"]);
    let expected = json!({"messages": [{"seq": 1, "ordinal": 1, "message_id": id,
        "sender_id": "ana", "sent_at": at, "content": {"type": "text", "text": "m1"}}],
        "more": true});
    assert_eq!(page, expected);
    let page = ok(&app, "bo", "GET", &format!("{path}?before=9"), Value::Null).await;
    let seqs: Vec<_> = page["messages"].as_array().unwrap().iter().map(|m| &m["seq"]).collect();
    assert_eq!((seqs, &page["more"]), (vec![&json!(1), &json!(2), &json!(3)], &json!(false)));
}

#[tokio::test]
async fn sync_list_and_ack_agree() {
    let (_, app) = app();
    for n in 1..=2 {
        ask(&app, "ana", "POST", "/api/messages", hi(&format!("m{n}"))).await;
    }
    let sync = json!({"cursors": {"d:ana:bo": 1}});
    let synced = ok(&app, "bo", "POST", "/api/sync", sync).await;
    let (id, at) = (
        &synced["batches"][0]["messages"][0]["message_id"],
        &synced["batches"][0]["messages"][0]["sent_at"],
    );
    let expected = json!({"batches": [{"conversation_id": "d:ana:bo", "messages": [{"seq": 2,
        "ordinal": 2, "message_id": id, "sender_id": "ana", "sent_at": at,
        "content": {"type": "text", "text": "m2"}}], "more": false}],
        "conversations": [{"id": "d:ana:bo", "head": 2, "sent_through": 2, "delivered": 0,
        "read": 0, "unread": 2}], "page": null});
    assert_eq!(synced, expected);
    // An empty object is a whole sync.
    let synced = ok(&app, "bo", "POST", "/api/sync", json!({})).await;
    assert_eq!(synced["batches"][0]["messages"].as_array().unwrap().len(), 2);

    let path = "/api/conversations/d:ana:bo/ack";
    // The second one comes late.
    for ack in [json!({"delivered": 2, "read": 1}), json!({"delivered": 1})] {
        let answer = ask(&app, "bo", "POST", path, ack).await;
        assert_eq!((answer.status, answer.body), (204, Value::Null));
    }
    let list = ok(&app, "bo", "GET", "/api/conversations", Value::Null).await;
    let expected = json!({"conversations": [{"id": "d:ana:bo", "head": 2, "sent_through": 2,
        "delivered": 2, "read": 1, "unread": 1}], "page": null});
    assert_eq!(list, expected);
    // The next page begins after the conversation that it names.
    let next = ok(&app, "bo", "GET", "/api/conversations?page=d%3Aana%3Abo", Value::Null).await;
    assert_eq!(next, json!({"conversations": [], "page": null}));

    let receipts =
        ok(&app, "ana", "GET", "/api/conversations/d:ana:bo/receipts?seq=1", Value::Null).await;
    let expected = json!({"conversation_id": "d:ana:bo", "seq": 1, "members": 1, "delivered": 1,
        "read": 1, "readers": [{"user_id": "bo", "delivered": 2, "read": 1}], "page": null});
    assert_eq!(receipts, expected);
    let path = "/api/conversations/d:ana:bo/receipts?seq=1&page=bo";
    assert_eq!(ok(&app, "ana", "GET", path, Value::Null).await["readers"], json!([]));
}

#[tokio::test]
async fn a_group_from_its_creation_to_the_leave() {
    let (_, app) = app();
    let new = json!({"name": "trip", "member_ids": ["bo"], "request_id": "r1"});
    let answer = ask(&app, "ana", "POST", "/api/conversations", new.clone()).await;
    let id = answer.body["conversation_id"].as_str().unwrap().to_owned();
    let created = json!({"conversation_id": id, "seq": 1, "change": {"type": "system",
        "change": {"kind": "created", "name": "trip", "members": ["ana", "bo"]}}});
    assert_eq!((answer.status, &answer.body), (201, &created));
    // The same request is the same group.
    let again = ask(&app, "ana", "POST", "/api/conversations", new).await;
    assert_eq!((again.status, again.body), (201, created));

    let path = format!("/api/conversations/{id}");
    let group = ok(&app, "bo", "GET", &path, Value::Null).await;
    let expected = json!({"conversation_id": id, "name": "trip", "created_by": "ana",
        "created_at": group["created_at"], "post": "all", "add": "admins", "avatar": null, "retention_days": null, "members": [
        {"user_id": "ana", "role": "owner", "joined": 1, "name": null, "avatar": null},
        {"user_id": "bo", "role": "member", "joined": 1, "name": null, "avatar": null}]});
    assert!(group["created_at"].is_u64());
    assert_eq!(group, expected);

    let members = format!("{path}/members");
    let change = |seq: u64, kind: &str, user: &str| {
        json!({"conversation_id": id, "seq": seq, "change": {"type": "system",
            "change": {"kind": kind, "members": [user]}}})
    };
    let add = json!({"user_ids": ["cy"]});
    for _ in 0..2 {
        let added = ok(&app, "ana", "POST", &members, add.clone()).await;
        assert_eq!(added, change(2, "added", "cy"));
    }
    for _ in 0..2 {
        let removed = ok(&app, "ana", "DELETE", &format!("{members}/cy"), Value::Null).await;
        assert_eq!(removed, change(3, "removed", "cy"));
    }
    let nothing = ok(&app, "ana", "DELETE", &format!("{members}/di"), Value::Null).await;
    assert_eq!(nothing, json!({"conversation_id": id, "seq": null, "change": null}));
    let left = ok(&app, "bo", "DELETE", &format!("{members}/bo"), Value::Null).await;
    assert_eq!(left, change(4, "removed", "bo"));
}

/// The largest group, of users with the longest ids.
#[tokio::test]
async fn a_group_of_a_thousand_fits_into_one_request() {
    let (memory, app) = app();
    let members: Vec<_> = (1..1_000).map(|n| format!("{n:0>64}")).collect();
    let group = json!({"name": "\"".repeat(256), "member_ids": members});
    let created = ask(&app, "ana", "POST", "/api/conversations", group).await;
    assert_eq!((created.status, &created.body["seq"]), (201, &json!(1)));
    assert_eq!(memory.jobs().len(), 10);
}

#[tokio::test]
async fn a_device_takes_pushes_until_it_does_not() {
    let (memory, app) = app();
    let path = "/api/devices/phone/push";
    let token = json!({"platform": "fcm", "token": "t0k3n"});
    for _ in 0..2 {
        let answer = ask(&app, "bo", "PUT", path, token.clone()).await;
        assert_eq!((answer.status, answer.body), (204, Value::Null));
    }
    ask(&app, "ana", "POST", "/api/messages", hi("hi")).await;
    assert_eq!(memory.jobs().len(), 1);
    for _ in 0..2 {
        let answer = ask(&app, "bo", "DELETE", path, Value::Null).await;
        assert_eq!((answer.status, answer.body), (204, Value::Null));
    }
    ask(&app, "ana", "POST", "/api/messages", hi("again")).await;
    assert_eq!(memory.jobs().len(), 1);
}

/// Identity providers name users like this, and API Gateway decodes the path that it passes on.
#[tokio::test]
async fn a_path_may_come_decoded_or_not() {
    let (_, app) = app();
    let (ana, bo) = ("auth0|ana", "bo@example.com");
    let message = json!({"to_user_id": bo, "content": {"type": "text", "text": "hi"}});
    ask(&app, ana, "POST", "/api/messages", message).await;
    for id in ["d:auth0|ana:bo@example.com", "d%3Aauth0%7Cana%3Abo%40example.com"] {
        let path = format!("/api/conversations/{id}/messages?after=0");
        let page = ok(&app, bo, "GET", &path, Value::Null).await;
        assert_eq!(page["messages"].as_array().unwrap().len(), 1, "{id}");
    }
    let group = json!({"name": "trip", "member_ids": [ana, bo]});
    let created = ask(&app, "cy", "POST", "/api/conversations", group).await;
    let id = created.body["conversation_id"].as_str().unwrap();
    for user in [ana, "bo%40example.com"] {
        let path = format!("/api/conversations/{id}/members/{user}");
        let removed = ok(&app, "cy", "DELETE", &path, Value::Null).await;
        assert_eq!(removed["change"]["change"]["kind"], "removed", "{user}");
    }
}

/// API Gateway encodes the bodies of media types that it does not take for text.
#[tokio::test]
async fn a_body_may_come_in_base64() {
    let (_, app) = app();
    let mut event = events::http(Some("ana"), "POST", "/api/messages", "-");
    event["headers"]["content-type"] = "application/octet-stream".into();
    // {"to_user_id":"bo","content":{"type":"text","text":"hi"}}
    event["body"] =
        "eyJ0b191c2VyX2lkIjoiYm8iLCJjb250ZW50Ijp7InR5cGUiOiJ0ZXh0IiwidGV4dCI6ImhpIn19".into();
    event["isBase64Encoded"] = true.into();
    assert_eq!(pass(&app, &event).await.status, StatusCode::CREATED);
}
