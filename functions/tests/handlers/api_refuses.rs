//! The HTTP API: each request that is refused, with its status and its code.

use std::sync::Arc;

use async_trait::async_trait;
use petrel_core::error::Result;
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::Entry;
use petrel_core::ports::{Log, Put};
use petrel_core::{App, Error};
use serde_json::{Value, json};

use crate::api::{Answer, ID, app, ask, group, hi, pass};
use crate::events;

/// Checks an error's fields; what depends on the words is that there are some.
fn check(answer: &Answer, status: u16, code: &str, label: &str) {
    assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{label}");
    assert_eq!(answer.body["type"], "error", "{label}");
    assert!(!answer.body["message"].as_str().unwrap().is_empty(), "{label}");
    let later = code == "busy";
    assert_eq!(answer.body.get("retry_after_ms").is_some(), later, "{label}");
    assert_eq!(answer.headers.contains_key("retry-after"), later, "{label}");
}

async fn refused(app: &App, requests: Vec<(&str, &str, &str, Value, u16, &str)>) {
    for (user, method, path, body, status, code) in requests {
        let label = format!("{user}: {method} {path} {:.100}", body.to_string());
        check(&ask(app, user, method, path, body).await, status, code, &label);
    }
}

#[tokio::test]
async fn who_names_nobody_is_unauthenticated_before_anything_else() {
    let (_, app) = app();
    let valid = hi("hi").to_string();
    let as_user = |user: &str| events::http(Some(user), "POST", "/api/messages", &valid);
    let mut no_sub = as_user("ana");
    no_sub["requestContext"]["authorizer"]["jwt"]["claims"].as_object_mut().unwrap().remove("sub");
    let mut of_lambda = as_user("ana");
    of_lambda["requestContext"]["authorizer"] = json!({"lambda": {"sub": "ana"}});
    for (label, event) in [
        ("no authorizer", events::http(None, "POST", "/api/messages", &valid)),
        ("and a body that makes no sense", events::http(None, "POST", "/api/messages", "x")),
        ("and a path that makes no sense", events::http(None, "GET", "/api/conversations/x", "")),
        ("no sub", no_sub),
        ("claims of another authorizer", of_lambda),
        ("an empty sub", as_user("")),
        ("a sub that is no user id", as_user("a b")),
        ("a sub that is too long", as_user(&"x".repeat(65))),
    ] {
        check(&pass(&app, &event).await, 401, "unauthenticated", label);
    }
    let list = ask(&app, "bo", "GET", "/api/conversations", Value::Null).await;
    assert_eq!(list.body["conversations"], json!([]));
}

#[tokio::test]
async fn what_each_bad_message_gets() {
    let (_, app) = app();
    ask(&app, "ana", "POST", "/api/messages", hi("hi")).await;
    let post = |change: Value| {
        let mut message = hi("x");
        message["message_id"] = ID.into();
        for (name, value) in change.as_object().unwrap() {
            message[name] = value.clone();
        }
        message
    };
    let text = |text: &str| json!({"content": {"type": "text", "text": text}});
    let edit = json!({"to_user_id": "ana",
        "content": {"type": "edit", "target": 1, "text": "x"}});
    let gone = json!({"content": {"type": "reply", "target": 7, "text": "x"}});
    let both = json!({"conversation_id": "d:ana:bo"});
    let other = json!({"to_user_id": null, "conversation_id": "d:ana:bo"});
    let nobody = json!({"to_user_id": null});
    // Those that could be read name the message that they answer.
    for (who, change, status, code, named) in [
        ("ana", json!({"to_user_id": "a b"}), 400, "bad_request", false),
        ("ana", json!({"to_user_id": 7}), 400, "bad_request", false),
        ("ana", json!({"content": null}), 400, "bad_request", false),
        ("ana", json!({"content": {"type": "spell"}}), 400, "bad_request", false),
        ("ana", json!({"seen": -1}), 400, "bad_request", false),
        ("ana", json!({"seen": "1"}), 400, "bad_request", false),
        ("ana", json!({"message_id": "7"}), 400, "bad_request", false),
        ("ana", text(""), 400, "bad_request", true),
        ("ana", both, 400, "bad_request", true),
        ("ana", nobody, 400, "bad_request", true),
        ("eve", other, 403, "not_a_member", true),
        ("bo", edit, 403, "forbidden", true),
        ("ana", gone, 404, "not_found", true),
        ("ana", json!({"seen": 2}), 409, "sync_required", true),
        ("ana", text(&"x".repeat(16 * 1024 + 1)), 413, "too_large", true),
        ("ana", text(&"x".repeat(32 * 1024)), 413, "too_large", false),
    ] {
        let label = format!("{who}: {change:.100}");
        let answer = ask(&app, who, "POST", "/api/messages", post(change)).await;
        check(&answer, status, code, &label);
        let (action, id) = if named { (json!("send"), json!(ID)) } else { Default::default() };
        assert_eq!((&answer.body["action"], &answer.body["message_id"]), (&action, &id), "{label}");
    }
    for body in ["", "hello", "[]", "null", "7", "{", "{}", "\u{0}"] {
        let event = events::http(Some("ana"), "POST", "/api/messages", body);
        check(&pass(&app, &event).await, 400, "bad_request", body);
    }
    let page = ask(&app, "ana", "GET", "/api/conversations/d:ana:bo/messages?after=0", Value::Null);
    assert_eq!(page.await.body["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_bad_reads_syncs_and_acks_get() {
    let (_, app) = app();
    ask(&app, "ana", "POST", "/api/messages", hi("hi")).await;
    let c = "/api/conversations/d:ana:bo";
    let path = |rest: &str| format!("{c}{rest}");
    let reads: Vec<(&str, String, u16, &str)> = vec![
        ("ana", "/api/conversations/x".into(), 400, "bad_request"),
        ("ana", "/api/conversations/d:bo:ana".into(), 400, "bad_request"),
        ("ana", "/api/conversations?page=x".into(), 400, "bad_request"),
        ("ana", path("/messages"), 400, "bad_request"),
        ("ana", path("/messages?before=1&after=1"), 400, "bad_request"),
        ("ana", path("/messages?after=-1"), 400, "bad_request"),
        ("ana", path("/messages?after=x"), 400, "bad_request"),
        ("ana", path("/messages?after=0&limit=0"), 400, "bad_request"),
        ("ana", path("/messages?after=0&limit=101"), 400, "bad_request"),
        ("ana", path("/receipts"), 400, "bad_request"),
        ("ana", path("/receipts?seq=x"), 400, "bad_request"),
        ("ana", path("/receipts?seq=1&page=a%20b"), 400, "bad_request"),
        ("ana", path("/receipts?seq=2"), 404, "not_found"),
        ("ana", path("/nothing"), 404, "not_found"),
        ("ana", "/api/nothing".into(), 404, "not_found"),
        ("ana", "/".into(), 404, "not_found"),
        // A stranger cannot tell a conversation from none.
        ("eve", c.into(), 403, "not_a_member"),
        ("eve", path("/messages?after=0"), 403, "not_a_member"),
        ("eve", path("/receipts?seq=1"), 403, "not_a_member"),
        ("eve", path("/receipts?seq=9"), 403, "not_a_member"),
        ("eve", "/api/conversations/d:ana:eve".into(), 403, "not_a_member"),
    ];
    for (user, path, status, code) in reads {
        let label = format!("{user}: {path}");
        check(&ask(&app, user, "GET", &path, Value::Null).await, status, code, &label);
    }
    let ack = format!("{c}/ack");
    refused(
        &app,
        vec![
            ("bo", "POST", &ack, json!({}), 400, "bad_request"),
            ("bo", "POST", &ack, json!({"read": 0}), 400, "bad_request"),
            ("bo", "POST", &ack, json!({"read": 2}), 400, "bad_request"),
            ("bo", "POST", &ack, json!({"read": "1"}), 400, "bad_request"),
            ("bo", "POST", &ack, Value::Null, 400, "bad_request"),
            ("eve", "POST", &ack, json!({"read": 1}), 403, "not_a_member"),
            ("bo", "PUT", &ack, json!({"read": 1}), 404, "not_found"),
            ("bo", "POST", "/api/sync", Value::Null, 400, "bad_request"),
            ("bo", "POST", "/api/sync", json!({"cursors": []}), 400, "bad_request"),
            ("bo", "POST", "/api/sync", json!({"cursors": {"x": 1}}), 400, "bad_request"),
            ("bo", "POST", "/api/sync", json!({"limit": 0}), 400, "bad_request"),
            ("bo", "POST", "/api/sync", json!({"limit": 201}), 400, "bad_request"),
            ("bo", "POST", "/api/sync", json!({"page": "x"}), 400, "bad_request"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_bad_changes_of_groups_and_devices_get() {
    let (_, app) = app();
    let id = group(&app).await;
    let members = format!("/api/conversations/{id}/members");
    let (bo, odd) = (format!("{members}/bo"), format!("{members}/a%20b"));
    let not_text = format!("{members}/%FF");
    let direct = "/api/conversations/d:ana:bo/members";
    let names = |from: usize, to: usize| (from..to).map(|n| format!("u{n}")).collect::<Vec<_>>();
    let new = |name: &str, members: Vec<String>| json!({"name": name, "member_ids": members});
    let long = "x".repeat(257);
    let many = new("trip", names(0, 1_000));
    let huge = new("trip", vec!["x".repeat(128 * 1024)]);
    let token = |platform: &str, token: &str| json!({"platform": platform, "token": token});
    let push = "/api/devices/phone/push";
    refused(
        &app,
        vec![
            ("ana", "POST", "/api/conversations", new("", names(0, 1)), 400, "bad_request"),
            ("ana", "POST", "/api/conversations", new(&long, names(0, 1)), 400, "bad_request"),
            ("ana", "POST", "/api/conversations", new("trip", vec![]), 400, "bad_request"),
            (
                "ana",
                "POST",
                "/api/conversations",
                new("trip", vec!["ana".into()]),
                400,
                "bad_request",
            ),
            (
                "ana",
                "POST",
                "/api/conversations",
                new("trip", vec!["a b".into()]),
                400,
                "bad_request",
            ),
            ("ana", "POST", "/api/conversations", json!({"name": "trip"}), 400, "bad_request"),
            ("ana", "POST", "/api/conversations", many, 400, "too_many_members"),
            ("ana", "POST", "/api/conversations", huge, 413, "too_large"),
            ("ana", "POST", &members, json!({"user_ids": []}), 400, "bad_request"),
            ("ana", "POST", &members, json!({"user_ids": names(0, 50)}), 400, "bad_request"),
            ("ana", "POST", &members, json!({"user_ids": "cy"}), 400, "bad_request"),
            ("ana", "POST", direct, json!({"user_ids": ["cy"]}), 400, "bad_request"),
            ("ana", "DELETE", &odd, Value::Null, 400, "bad_request"),
            ("ana", "DELETE", &not_text, Value::Null, 400, "bad_request"),
            ("bo", "POST", &members, json!({"user_ids": ["cy"]}), 403, "forbidden"),
            ("bo", "DELETE", &format!("{members}/ana"), Value::Null, 403, "forbidden"),
            ("eve", "POST", &members, json!({"user_ids": ["eve"]}), 403, "not_a_member"),
            ("eve", "DELETE", &bo, Value::Null, 403, "not_a_member"),
            ("ana", "GET", &bo, Value::Null, 404, "not_found"),
            ("ana", "PUT", push, token("fcm", ""), 400, "bad_request"),
            ("ana", "PUT", push, token("fcm", &"x".repeat(4_097)), 400, "bad_request"),
            ("ana", "PUT", push, token("pigeon", "t"), 400, "bad_request"),
            ("ana", "PUT", "/api/devices/a%20b/push", token("fcm", "t"), 400, "bad_request"),
            ("ana", "DELETE", "/api/devices/a%20b/push", Value::Null, 400, "bad_request"),
            ("ana", "DELETE", "/api/devices/%FF/push", Value::Null, 400, "bad_request"),
        ],
    )
    .await;
    let group = ask(&app, "ana", "GET", &format!("/api/conversations/{id}"), Value::Null).await;
    assert_eq!(group.body["members"].as_array().unwrap().len(), 2);
}

/// A log that is out.
struct Out;

#[async_trait]
impl Log for Out {
    async fn newest(
        &self,
        _: &ConversationId,
        _: Seq,
        _: Option<Seq>,
        _: usize,
    ) -> Result<Vec<Entry>> {
        Err(Error::port("the log is out"))
    }

    async fn after(&self, _: &ConversationId, _: Seq, _: usize) -> Result<Vec<Entry>> {
        Err(Error::port("the log is out"))
    }

    async fn put_changing(&self, _: &Entry) -> Result<Put> {
        Err(Error::port("the log is out"))
    }

    async fn put(&self, _: &Entry) -> Result<Put> {
        Err(Error::port("the log is out"))
    }
}

#[tokio::test]
async fn an_outage_says_when_to_come_back_and_which_message_to_repeat() {
    let (_, up) = app();
    ask(&up, "ana", "POST", "/api/messages", hi("hi")).await;
    let down = App { log: Arc::new(Out), ..up };
    let c = "/api/conversations/d:ana:bo";
    for (method, path, body) in [
        ("POST", "/api/messages".to_owned(), hi("x")),
        ("GET", "/api/conversations".to_owned(), Value::Null),
        ("GET", c.to_owned(), Value::Null),
        ("GET", format!("{c}/messages?after=0"), Value::Null),
        ("GET", format!("{c}/receipts?seq=1"), Value::Null),
        ("POST", format!("{c}/ack"), json!({"read": 1})),
        ("POST", "/api/sync".to_owned(), json!({})),
    ] {
        let answer = ask(&down, "ana", method, &path, body).await;
        check(&answer, 503, "busy", &path);
        assert_eq!(answer.body["retry_after_ms"], 1_000, "{path}");
        assert_eq!(answer.headers["retry-after"], "1", "{path}");
        // The cause is for the log.
        assert!(!answer.body.to_string().contains("out"), "{path}");
        // The server has minted this id: whoever repeats the request with it cannot store it twice.
        assert_eq!(answer.body.get("message_id").is_some(), path == "/api/messages", "{path}");
    }
}
