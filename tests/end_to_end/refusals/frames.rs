//! Frames over a socket.

use petrel_test_client::frames::{direct, new_id, text};
use petrel_test_client::tungstenite::Message;
use serde_json::{Value, json};

use super::{Scene, error, without_words};

/// `error` as the answer to an action.
fn refused(action: &str, code: &str) -> Value {
    json!({"type": "error", "code": code, "action": action})
}

/// Sends each frame as this user and compares its answer. One after the other: an answer to an `ack` does not say which.
async fn each_is_refused(scene: &Scene, user: &str, table: Vec<(String, Value)>) {
    let mut socket = scene.server.connect(user).await;
    for (frame, expected) in table {
        socket.send_raw(Message::text(frame.clone())).await;
        let answer = socket.wait_for(&frame, |_| true).await;
        let start: String = frame.chars().take(200).collect();
        assert_eq!(without_words(answer), expected, "{start}");
    }
    assert_eq!(socket.take_mailbox(), [Value::Null; 0]);
}

#[tokio::test]
async fn what_is_no_frame_or_no_action() {
    let scene = Scene::set().await;
    let deep =
        format!(r#"{{"action":"sync","cursors":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let table = [
        ("", "bad_request"),
        (" ", "bad_request"),
        ("nonsense", "bad_request"),
        ("{", "bad_request"),
        (r#"{"action":"sync"} {"action":"sync"}"#, "bad_request"),
        ("null", "bad_request"),
        ("7", "bad_request"),
        (r#""send""#, "bad_request"),
        ("[]", "bad_request"),
        (r#"[{"action":"sync"}]"#, "bad_request"),
        ("{}", "bad_request"),
        (r#"{"action":null}"#, "bad_request"),
        (r#"{"action":7}"#, "bad_request"),
        (r#"{"action":["send"]}"#, "bad_request"),
        (r#"{"ACTION":"send"}"#, "bad_request"),
        (&deep, "bad_request"),
        (r#"{"action":""}"#, "unknown_action"),
        (r#"{"action":"fly"}"#, "unknown_action"),
        (r#"{"action":"Send"}"#, "unknown_action"),
        (r#"{"action":"send "}"#, "unknown_action"),
        (r#"{"action":"$connect"}"#, "unknown_action"),
        (r#"{"action":"$disconnect"}"#, "unknown_action"),
        (r#"{"action":"$default"}"#, "unknown_action"),
    ];
    let table = table.map(|(frame, code)| (frame.to_owned(), error(code)));
    each_is_refused(&scene, "ana", table.into()).await;
    scene.assert_nothing_changed().await;
}

/// A `send` that would be stored, but for the change. With the id that the answer must carry.
fn send(change: &Value) -> (String, String) {
    let id = new_id();
    let mut frame = json!({"action": "send", "conversation_id": "d:ana:bo", "seen": 1,
        "message_id": id, "content": text("never stored")});
    for (field, value) in change.as_object().unwrap() {
        frame[field] = value.clone();
    }
    (frame.to_string(), id)
}

fn bad_sends(group: &str) -> Vec<(&'static str, Value, &'static str)> {
    let bad = "bad_request";
    let content = |content: Value| json!({ "content": content });
    vec![
        // Where to.
        ("ana", json!({"conversation_id": null}), bad),
        ("ana", json!({"to_user_id": "bo"}), bad),
        ("ana", json!({"conversation_id": null, "to_user_id": "b o"}), bad),
        ("ana", json!({"conversation_id": 7}), bad),
        ("ana", json!({"conversation_id": "bo"}), bad),
        ("ana", json!({"conversation_id": "d:bo:ana"}), bad),
        ("ana", json!({"conversation_id": "d:ana:bo:cy"}), bad),
        ("ana", json!({"conversation_id": "g:1"}), bad),
        ("ana", json!({"conversation_id": "d:bo:cy", "seen": 0}), "not_a_member"),
        ("ana", json!({"conversation_id": format!("g:{}", new_id()), "seen": 0}), "not_a_member"),
        ("eve", json!({}), "not_a_member"),
        ("eve", json!({"seen": 0}), "not_a_member"),
        ("eve", json!({"seen": 99}), "not_a_member"),
        ("eve", json!({"conversation_id": group}), "not_a_member"),
        ("eve", json!({"conversation_id": group, "seen": 99}), "not_a_member"),
        // What was seen.
        ("ana", json!({"seen": -1}), bad),
        ("ana", json!({"seen": 0.5}), bad),
        ("ana", json!({"seen": "1"}), bad),
        ("ana", json!({"seen": 1e30}), bad),
        ("ana", json!({"seen": 2}), "sync_required"),
        ("ana", json!({"seen": u64::MAX}), "sync_required"),
        // What it holds.
        ("ana", json!({"content": null}), bad),
        ("ana", json!({"content": "hi"}), bad),
        ("ana", json!({"content": {}}), bad),
        ("ana", json!({"messages": []}), bad),
        ("ana", content(json!({"type": "spell", "text": "x"})), bad),
        ("ana", content(json!({"type": "text"})), bad),
        ("ana", content(json!({"type": "text", "text": 7})), bad),
        ("ana", content(json!({"type": "text", "text": ""})), bad),
        ("ana", content(text(&"x".repeat(16 * 1024 + 1))), "too_large"),
        ("ana", content(text(&"é".repeat(8 * 1024 + 1))), "too_large"),
        ("ana", content(json!({"type": "media", "media_id": ""})), bad),
        ("ana", content(json!({"type": "media", "media_id": "x".repeat(129)})), bad),
        (
            "ana",
            content(json!({"type": "media", "media_id": "0123456789abcdef0123456789abcdef"})),
            "not_found",
        ),
        ("ana", content(json!({"type": "sealed", "ciphertext": ""})), bad),
        (
            "ana",
            content(json!({"type": "sealed", "ciphertext": "x".repeat(24 * 1024 + 1)})),
            "too_large",
        ),
        (
            "ana",
            content(json!({"type": "reaction", "target": 1, "emoji": "x".repeat(65)})),
            "too_large",
        ),
        ("ana", content(json!({"type": "reaction", "target": 1, "emoji": ""})), bad),
        ("ana", content(json!({"type": "reaction", "target": -1, "emoji": "x"})), bad),
        ("ana", content(json!({"type": "reply", "target": 2, "text": "x"})), "not_found"),
        ("ana", content(json!({"type": "edit", "target": 0, "text": "x"})), "not_found"),
        ("bo", content(json!({"type": "edit", "target": 1, "text": "x"})), "forbidden"),
        ("bo", content(json!({"type": "delete", "target": 1})), "forbidden"),
        (
            "ana",
            content(json!({"type": "system", "change": {"kind": "added", "members": ["eve"]}})),
            bad,
        ),
    ]
}

#[tokio::test]
async fn bad_sends_are_refused_with_their_message_id() {
    let scene = Scene::set().await;
    for user in ["ana", "bo", "eve"] {
        let of_user = bad_sends(&scene.group).into_iter().filter(|(who, ..)| *who == user);
        let table = of_user.map(|(_, change, code)| {
            let (frame, id) = send(&change);
            let mut expected = refused("send", code);
            expected["message_id"] = id.into();
            (frame, expected)
        });
        each_is_refused(&scene, user, table.collect()).await;
    }
    scene.assert_nothing_changed().await;
}

#[tokio::test]
async fn sends_without_a_valid_message_id_are_refused_without_one() {
    let scene = Scene::set().await;
    let ids = [
        json!(null),
        json!(7),
        json!(""),
        json!("x"),
        // A UUIDv4, and a UUIDv7 that is cut.
        json!("67e55044-10b1-426f-9247-bb680e5fe0c8"),
        json!("0192f3c4-0000-7000-8000-00000000000"),
    ];
    let table = ids.map(|id| (send(&json!({"message_id": id})).0, refused("send", "bad_request")));
    each_is_refused(&scene, "ana", table.into()).await;
    scene.assert_nothing_changed().await;
}

#[tokio::test]
async fn bad_sends_of_several_messages_are_refused_with_the_first_id() {
    let scene = Scene::set().await;
    let id = new_id();
    let item = |id: &str, content: Value| json!({"message_id": id, "content": content});
    let first = item(&id, text("x"));
    let eleven: Vec<_> = (0..10).map(|_| item(&new_id(), text("x"))).collect();
    let eleven: Vec<_> = [first.clone()].into_iter().chain(eleven).collect();
    let several = |messages: Value| json!({"action": "send", "conversation_id": "d:ana:bo", "seen": 1, "messages": messages});
    let mut both = several(json!([first]));
    both["message_id"] = new_id().into();
    both["content"] = text("y");
    let mut named = refused("send", "bad_request");
    named["message_id"] = id.clone().into();
    let nameless = refused("send", "bad_request");
    let table = vec![
        (several(json!(eleven)), &named),
        (several(json!([item(&id, Value::Null)])), &named),
        (several(json!([first, item("x", text("x"))])), &named),
        (both, &named),
        (several(json!([])), &nameless),
        (several(json!({})), &nameless),
        (several(json!([7])), &nameless),
        (several(json!([[new_id(), text("x")]])), &nameless),
        (several(json!([item("x", text("x"))])), &nameless),
    ];
    let table = table.into_iter().map(|(frame, expected)| (frame.to_string(), expected.clone()));
    each_is_refused(&scene, "ana", table.collect()).await;
    scene.assert_nothing_changed().await;
}

#[tokio::test]
async fn bad_acks_syncs_histories_and_typings() {
    let scene = Scene::set().await;
    let frame = |action: &str, fields: Value| {
        let mut frame = fields;
        frame["action"] = action.into();
        frame.to_string()
    };
    let chat = direct("ana", "bo");
    let chat = chat.as_str();
    let in_chat = |action: &str, mut fields: Value| {
        fields["conversation_id"] = chat.into();
        (action.to_owned(), frame(action, fields))
    };
    let bare = |action: &str, fields: Value| (action.to_owned(), frame(action, fields));
    let bad = [
        bare("ack", json!({"delivered": 1})),
        bare("ack", json!({"conversation_id": "x", "delivered": 1})),
        in_chat("ack", json!({})),
        in_chat("ack", json!({"delivered": null, "read": null})),
        in_chat("ack", json!({"delivered": 0})),
        in_chat("ack", json!({"delivered": -1})),
        in_chat("ack", json!({"read": "1"})),
        in_chat("ack", json!({"delivered": 2})),
        in_chat("ack", json!({"read": 2})),
        in_chat("ack", json!({"delivered": 1, "read": u64::MAX})),
        bare("sync", json!({"cursors": []})),
        bare("sync", json!({"cursors": {"x": 1}})),
        bare("sync", json!({"cursors": {chat: -1}})),
        bare("sync", json!({"cursors": {chat: "1"}})),
        bare("sync", json!({"limit": 0})),
        bare("sync", json!({"limit": 201})),
        bare("sync", json!({"limit": -1})),
        bare("sync", json!({"tail": "yes"})),
        bare("sync", json!({"page": "x"})),
        bare("history", json!({"after": 0})),
        in_chat("history", json!({})),
        in_chat("history", json!({"after": 0, "before": 9})),
        in_chat("history", json!({"after": -1})),
        in_chat("history", json!({"before": "9"})),
        in_chat("history", json!({"after": 0, "limit": 0})),
        in_chat("history", json!({"after": 0, "limit": 101})),
        in_chat("history", json!({"after": 0, "limit": -5})),
        in_chat("history", json!({"around": 1, "before": 2})),
        in_chat("history", json!({"around": 1, "after": 0})),
        in_chat("history", json!({"around": 1, "after": 0, "before": 2})),
        in_chat("history", json!({"around": -1})),
        in_chat("history", json!({"around": 0.5})),
        in_chat("history", json!({"around": "1"})),
        in_chat("history", json!({"around": null})),
        in_chat("history", json!({"around": 1, "limit": 0})),
        in_chat("history", json!({"around": 1, "limit": 101})),
        bare("typing", json!({"active": true})),
        in_chat("typing", json!({})),
        in_chat("typing", json!({"active": "yes"})),
    ];
    let bad = bad.map(|(action, frame)| (frame, refused(&action, "bad_request")));
    each_is_refused(&scene, "ana", bad.into()).await;

    let foreign = |id: &str| {
        [
            ("ack", json!({"conversation_id": id, "delivered": 1})),
            ("ack", json!({"conversation_id": id, "delivered": 99})),
            ("history", json!({"conversation_id": id, "after": 0})),
            ("history", json!({"conversation_id": id, "before": 99})),
            ("history", json!({"conversation_id": id, "around": 1})),
            ("typing", json!({"conversation_id": id, "active": true})),
        ]
    };
    // What is there and what is not look the same to a stranger.
    let nowhere = format!("g:{}", new_id());
    for id in [chat, &scene.group, "d:ana:cy", "d:ana:eve", &nowhere] {
        let table = foreign(id);
        let table =
            table.map(|(action, fields)| (frame(action, fields), refused(action, "not_a_member")));
        each_is_refused(&scene, "eve", table.into()).await;
    }
    scene.assert_nothing_changed().await;
}
