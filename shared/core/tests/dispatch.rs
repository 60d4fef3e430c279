//! Frames in, frames out: the protocol as a client sees it, and what each bad frame gets.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;

use futures::executor::block_on;
use petrel_core::ids::UserId;
use petrel_core::testing::Memory;
use petrel_core::{App, Caller};
use serde_json::{Value, json};

const ID: [&str; 4] = [
    "0192f3c4-0000-7000-8000-000000000001",
    "0192f3c4-0000-7000-8000-000000000002",
    "0192f3c4-0000-7000-8000-000000000003",
    "0192f3c4-0000-7000-8000-000000000004",
];

fn app() -> App {
    Arc::new(Memory::default()).app()
}

fn raw(app: &App, who: &str, frame: &str) -> Vec<Value> {
    let caller = Caller::http(UserId::parse(who).unwrap());
    let frames = block_on(app.handle(&caller, frame));
    frames.iter().map(|f| serde_json::from_str(&f.to_json()).unwrap()).collect()
}

fn say(app: &App, who: &str, frame: &Value) -> Vec<Value> {
    raw(app, who, &frame.to_string())
}

fn text(words: &str) -> Value {
    json!({"type": "text", "text": words})
}

#[test]
fn a_conversation_frame_by_frame() {
    let app = app();
    let send = json!({"action": "send", "to_user_id": "bo", "seen": 0, "message_id": ID[0],
        "content": text("hi")});
    let sent = say(&app, "ana", &send);
    let sent_at = sent[0]["sent_at"].clone();
    assert_eq!(
        sent,
        [json!({"type": "sent", "message_id": ID[0], "conversation_id": "d:ana:bo", "seq": 1,
            "sent_at": sent_at, "duplicate": false})]
    );
    assert_eq!(say(&app, "ana", &send)[0]["duplicate"], true);

    let several = json!({"action": "send", "conversation_id": "d:ana:bo", "seen": 1, "messages": [
        {"message_id": ID[1], "content": text("one")},
        {"message_id": ID[2], "content": {"type": "reply", "target": 9, "text": "?"}},
        {"message_id": ID[3], "content": text("never tried")}]});
    let sent = say(&app, "bo", &several);
    let results = &sent[0]["results"];
    assert_eq!((&sent[0]["type"], results.as_array().unwrap().len()), (&json!("sent"), 2));
    assert_eq!(
        (&results[0]["seq"], &results[1]["error"]["code"]),
        (&json!(2), &json!("not_found"))
    );

    let ack = json!({"action": "ack", "conversation_id": "d:ana:bo", "delivered": 2, "read": 1});
    assert!(say(&app, "bo", &ack).is_empty());

    let synced = say(&app, "bo", &json!({"action": "sync", "cursors": {"d:ana:bo": 0}}));
    assert_eq!(synced[0]["type"], "batch");
    let entry = json!({"seq": 1, "ordinal": 1, "message_id": ID[0], "sender_id": "ana",
        "sent_at": sent_at, "content": text("hi")});
    assert_eq!(synced[0]["messages"][0], entry);
    assert_eq!(
        synced[1],
        json!({"type": "synced", "page": null, "conversations": [{"id": "d:ana:bo", "head": 2,
            "sent_through": 2, "delivered": 2, "read": 1, "unread": 1}]})
    );

    let history = json!({"action": "history", "conversation_id": "d:ana:bo", "before": 2});
    let batch = json!({"type": "batch", "conversation_id": "d:ana:bo", "messages": [entry],
        "more": false});
    assert_eq!(say(&app, "ana", &history), [batch]);
}

#[test]
fn what_each_bad_frame_gets() {
    let app = app();
    let c = "d:ana:bo";
    let hi =
        json!({"action": "send", "conversation_id": c, "message_id": ID[0], "content": text("hi")});
    say(&app, "ana", &hi);
    let send = |change: &Value| {
        let mut frame = json!({"action": "send", "conversation_id": c, "seen": 1,
            "message_id": ID[1], "content": text("x")});
        for (key, value) in change.as_object().unwrap() {
            frame[key] = value.clone();
        }
        frame.to_string()
    };
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let large = send(&json!({"content": text(&"x".repeat(33_000))}));
    let eleven: Vec<_> =
        (0..11).map(|_| json!({"message_id": ID[1], "content": text("x")})).collect();
    let stranger = json!({"seen": 1, "message_id": null, "content": null,
        "messages": [{"message_id": ID[2], "content": text("x")}]});
    let no_single = json!({"message_id": null, "content": null, "messages": eleven});
    for (who, frame, code, id) in [
        ("ana", "".to_owned(), "bad_request", None),
        ("ana", "nonsense".to_owned(), "bad_request", None),
        ("ana", deep, "bad_request", None),
        ("ana", r#"{"action":"fly"}"#.to_owned(), "unknown_action", None),
        ("ana", large, "too_large", Some(ID[1])),
        ("ana", send(&json!({"seen": -1})), "bad_request", Some(ID[1])),
        ("ana", send(&json!({"seen": 1.5})), "bad_request", Some(ID[1])),
        ("ana", send(&json!({"seen": "1"})), "bad_request", Some(ID[1])),
        ("ana", send(&json!({"seen": 2})), "sync_required", Some(ID[1])),
        ("ana", send(&json!({"message_id": "x"})), "bad_request", None),
        ("ana", send(&json!({"to_user_id": "bo"})), "bad_request", Some(ID[1])),
        ("ana", send(&json!({"conversation_id": null})), "bad_request", Some(ID[1])),
        ("ana", send(&json!({"conversation_id": "d:bo:ana"})), "bad_request", Some(ID[1])),
        ("ana", send(&json!({"messages": []})), "bad_request", Some(ID[1])),
        ("ana", send(&no_single), "bad_request", Some(ID[1])),
        ("eve", send(&stranger), "not_a_member", Some(ID[2])),
        ("ana", send(&json!({"content": null})), "bad_request", Some(ID[1])),
        ("ana", send(&json!({"content": {"type": "text"}})), "bad_request", Some(ID[1])),
        (
            "ana",
            send(&json!({"content": {"type": "spell", "text": "x"}})),
            "bad_request",
            Some(ID[1]),
        ),
        ("ana", send(&json!({"content": {"type": "text", "text": 1}})), "bad_request", Some(ID[1])),
        ("ana", send(&json!({"content": text(&"x".repeat(17_000))})), "too_large", Some(ID[1])),
        ("eve", send(&json!({})), "not_a_member", Some(ID[1])),
        ("eve", send(&json!({"seen": 9})), "not_a_member", Some(ID[1])),
        (
            "eve",
            format!(r#"{{"action":"history","conversation_id":"{c}","after":0}}"#),
            "not_a_member",
            None,
        ),
        ("ana", format!(r#"{{"action":"history","conversation_id":"{c}"}}"#), "bad_request", None),
        (
            "ana",
            format!(r#"{{"action":"history","conversation_id":"{c}","after":0,"before":9}}"#),
            "bad_request",
            None,
        ),
        (
            "ana",
            format!(r#"{{"action":"history","conversation_id":"{c}","after":0,"limit":-1}}"#),
            "bad_request",
            None,
        ),
        (
            "ana",
            format!(r#"{{"action":"history","conversation_id":"{c}","after":0,"limit":101}}"#),
            "bad_request",
            None,
        ),
        ("ana", r#"{"action":"sync","cursors":[]}"#.to_owned(), "bad_request", None),
        ("ana", r#"{"action":"sync","cursors":{"g:nobody":1}}"#.to_owned(), "bad_request", None),
        ("ana", r#"{"action":"sync","limit":201}"#.to_owned(), "bad_request", None),
        (
            "ana",
            format!(r#"{{"action":"ack","conversation_id":"{c}","read":2}}"#),
            "bad_request",
            None,
        ),
        ("ana", format!(r#"{{"action":"ack","conversation_id":"{c}"}}"#), "bad_request", None),
        (
            "eve",
            format!(r#"{{"action":"ack","conversation_id":"{c}","read":1}}"#),
            "not_a_member",
            None,
        ),
        (
            "eve",
            format!(r#"{{"action":"typing","conversation_id":"{c}","active":true}}"#),
            "not_a_member",
            None,
        ),
        ("ana", format!(r#"{{"action":"typing","conversation_id":"{c}"}}"#), "bad_request", None),
    ] {
        let answer = raw(&app, who, &frame);
        let label = frame.chars().take(120).collect::<String>();
        assert_eq!(answer.len(), 1, "{label}");
        assert_eq!(answer[0]["type"], "error", "{label}");
        assert_eq!(answer[0]["code"], code, "{label}");
        assert_eq!(answer[0].get("message_id").and_then(Value::as_str), id, "{label}");
        let retry = answer[0].get("retry_after_ms").is_some();
        assert_eq!(retry, matches!(code, "busy" | "rate_limited"), "{label}");
    }
    // Nothing of it was stored.
    let batch = say(&app, "ana", &json!({"action": "history", "conversation_id": c, "after": 0}));
    assert_eq!(batch[0]["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn a_request_id_comes_back_with_every_answer() {
    let app = app();
    for (frame, answers) in [
        (json!({"action": "sync", "request_id": "r-1"}), 1),
        (
            json!({"action": "history", "conversation_id": "d:ana:bo", "after": 0, "request_id": "r-1"}),
            1,
        ),
        (json!({"action": "dance", "request_id": "r-1"}), 1),
    ] {
        let answered = say(&app, "ana", &frame);
        assert_eq!(answered.len(), answers, "{frame}");
        assert!(answered.iter().all(|a| a["request_id"] == "r-1"), "{answered:?}");
    }
    for odd in [json!(7), json!("x".repeat(65)), json!(null)] {
        let answered = say(&app, "ana", &json!({"action": "sync", "request_id": odd}));
        assert_eq!(answered[0].get("request_id"), None);
    }
}
