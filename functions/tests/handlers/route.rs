//! Frames on their routes: what is the response, what is posted, and what a bad frame gets.

use std::sync::Arc;

use petrel_core::ids::{ConnectionId, ConversationId, Seq};
use petrel_core::message::Entry;
use petrel_core::ports::Log;
use petrel_core::testing::Memory;
use petrel_functions::{connect, route};
use serde_json::{Value, json};

use crate::events::{self, ANA, BO, Socket};

const ID: [&str; 3] = [
    "0192f3c4-0000-7000-8000-0000000000a1",
    "0192f3c4-0000-7000-8000-0000000000a2",
    "0192f3c4-0000-7000-8000-0000000000a3",
];
const EVE: Socket = Socket { user: "eve", device: "phone", id: "EveXcOFvHcCIhw=", ..ANA };

struct World(Arc<Memory>);

impl World {
    /// Ana and Bo are connected.
    async fn new() -> Self {
        let memory = Arc::new(Memory::default());
        for socket in [ANA, BO] {
            connect::handle(&memory.app(), events::websocket(&events::connect(socket))).await;
        }
        Self(memory)
    }

    async fn run(&self, event: &Value) -> Value {
        let response = route::handle(&self.0.app(), events::websocket(event)).await;
        serde_json::to_value(response).unwrap()
    }

    /// The one frame that answers; `None` if the response has no body.
    async fn say(&self, socket: Socket, frame: &Value) -> Option<Value> {
        let response = self.run(&events::message(socket, &frame.to_string())).await;
        assert_eq!(response["statusCode"], 200);
        assert_eq!(response["isBase64Encoded"], false);
        let body = response.get("body")?.as_str().unwrap();
        Some(serde_json::from_str(body).unwrap())
    }

    /// What was posted to a socket since `from`.
    fn posted(&self, to: Socket, from: usize) -> Vec<Value> {
        let posts = self.0.posts().split_off(from);
        let to_this = posts.into_iter().filter(|(id, _)| id.as_str() == to.id);
        to_this.map(|(_, frame)| serde_json::from_str(&frame).unwrap()).collect()
    }

    async fn log(&self) -> Vec<Entry> {
        let conversation = ConversationId::parse("d:ana:bo").unwrap();
        self.0.after(&conversation, Seq::ZERO, 100).await.unwrap()
    }
}

fn send(n: usize, seen: u64) -> Value {
    json!({"action": "send", "to_user_id": "bo", "seen": seen, "message_id": ID[n],
        "content": {"type": "text", "text": format!("message {n}")}})
}

#[tokio::test]
async fn a_send_is_answered_with_sent_and_the_others_get_the_message() {
    let world = World::new().await;
    let sent = world.say(ANA, &send(0, 0)).await.unwrap();
    let at = sent["sent_at"].clone();
    let expected = json!({"type": "sent", "message_id": ID[0], "conversation_id": "d:ana:bo",
        "seq": 1, "sent_at": at, "duplicate": false});
    assert_eq!(sent, expected);
    let message = json!({"type": "message", "conversation_id": "d:ana:bo", "seq": 1, "ordinal": 1,
        "message_id": ID[0], "sender_id": "ana", "sent_at": at,
        "content": {"type": "text", "text": "message 0"}});
    let posted = world.posted(BO, 0);
    assert_eq!(posted, [message]);
    assert!(world.posted(ANA, 0).is_empty());

    // The same frame again, as after a lost answer: the same place, and delivered again.
    let again = world.say(ANA, &send(0, 0)).await.unwrap();
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(1), &json!(true)));
    assert_eq!(world.posted(BO, 1), posted);
    assert_eq!(world.log().await.len(), 1);

    // Several messages are one response, too.
    let several = json!({"action": "send", "conversation_id": "d:ana:bo", "seen": 1, "messages": [
        {"message_id": ID[1], "content": {"type": "text", "text": "b"}},
        {"message_id": ID[2], "content": {"type": "text", "text": ""}}]});
    let sent = world.say(ANA, &several).await.unwrap();
    let results = sent["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["seq"]), (2, &json!(2)));
    assert_eq!(results[1]["error"]["code"], "bad_request");
}

#[tokio::test]
async fn a_sync_posts_its_batches_first_and_answers_synced() {
    let world = World::new().await;
    for n in 0..3 {
        world.say(ANA, &send(n, 0)).await;
    }
    let group = json!({"action": "send", "to_user_id": "ana", "message_id": ID[0], "seen": 0,
        "content": {"type": "text", "text": "note"}});
    world.say(ANA, &group).await;
    let from = world.0.posts().len();
    let sync = json!({"action": "sync", "cursors": {"d:ana:bo": 1, "d:ana:ana": 0}});
    let answer = world.say(ANA, &sync).await.unwrap();
    let expected = json!({"type": "synced", "page": null, "conversations": [
        {"id": "d:ana:ana", "head": 1, "sent_through": 1, "delivered": 0, "read": 0, "unread": 1},
        {"id": "d:ana:bo", "head": 3, "sent_through": 3, "delivered": 0, "read": 0, "unread": 3}]});
    assert_eq!(answer, expected);
    let batches = world.posted(ANA, from);
    let seqs = |batch: &Value| -> Vec<u64> {
        let messages = batch["messages"].as_array().unwrap();
        messages.iter().map(|m| m["seq"].as_u64().unwrap()).collect()
    };
    let found: Vec<_> = batches
        .iter()
        .map(|b| (b["type"].as_str(), b["conversation_id"].as_str(), seqs(b)))
        .collect();
    assert_eq!(
        found,
        [
            (Some("batch"), Some("d:ana:ana"), vec![1]),
            (Some("batch"), Some("d:ana:bo"), vec![2, 3])
        ]
    );
}

#[tokio::test]
async fn synced_never_stands_where_a_batch_is_missing() {
    let sync = json!({"action": "sync", "cursors": {"d:ana:bo": 0}});
    let bo = ConnectionId::parse(BO.id).unwrap();

    let world = World::new().await;
    world.say(ANA, &send(0, 0)).await;
    world.0.overload(&bo);
    let answer = world.say(BO, &sync).await.unwrap();
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("busy")));
    assert_eq!((&answer["action"], &answer["retry_after_ms"]), (&json!("sync"), &json!(1000)));

    // There is nobody to answer any more.
    let world = World::new().await;
    world.say(ANA, &send(0, 0)).await;
    world.0.cut(&bo);
    assert_eq!(world.say(BO, &sync).await, None);
}

#[tokio::test]
async fn history_is_one_batch_and_ack_and_typing_have_no_body() {
    let world = World::new().await;
    for n in 0..3 {
        world.say(ANA, &send(n, 0)).await;
    }
    let from = world.0.posts().len();
    let history =
        json!({"action": "history", "conversation_id": "d:ana:bo", "before": 3, "limit": 1});
    let batch = world.say(BO, &history).await.unwrap();
    assert_eq!((&batch["type"], &batch["more"]), (&json!("batch"), &json!(true)));
    assert_eq!(batch["messages"][0]["seq"], 2);

    let typing = json!({"action": "typing", "conversation_id": "d:ana:bo", "active": true});
    assert_eq!(world.say(BO, &typing).await, None);
    let ack = |delivered, read| json!({"action": "ack", "conversation_id": "d:ana:bo", "delivered": delivered, "read": read});
    assert_eq!(world.say(BO, &ack(3, 2)).await, None);
    // Two acks that overtook each other: the older one changes nothing and tells nobody.
    assert_eq!(world.say(BO, &ack(2, 1)).await, None);
    assert_eq!(world.say(BO, &ack(3, 2)).await, None);
    let typing = json!({"type": "typing", "conversation_id": "d:ana:bo", "user_id": "bo",
        "active": true});
    let receipt = json!({"type": "receipt", "conversation_id": "d:ana:bo", "user_id": "bo",
        "delivered": 3, "read": 2});
    assert_eq!(world.posted(ANA, from), [typing, receipt]);
    assert!(world.posted(BO, from).is_empty());
}

#[tokio::test]
async fn what_each_bad_frame_gets() {
    let world = World::new().await;
    world.say(ANA, &send(0, 0)).await;
    let from = world.0.posts().len();
    let frame = |change: Value| {
        let mut frame = send(1, 1);
        for (name, value) in change.as_object().unwrap() {
            frame[name] = value.clone();
        }
        frame.to_string()
    };
    let to_ana_and_bo = json!({"to_user_id": null, "conversation_id": "d:ana:bo"});
    let large = frame(json!({"content": {"type": "text", "text": "x".repeat(32 * 1024)}}));
    // The id is the frame's own, as far as there is one.
    for (who, frame, code, id) in [
        (ANA, String::new(), "bad_request", None),
        (ANA, "hello".into(), "bad_request", None),
        (ANA, "null".into(), "bad_request", None),
        (ANA, "[]".into(), "bad_request", None),
        (ANA, "{}".into(), "bad_request", None),
        (ANA, r#"{"action":["send"]}"#.into(), "bad_request", None),
        (ANA, "{\"action\":\"send\"".into(), "bad_request", None),
        (ANA, r#"{"action":"$connect"}"#.into(), "unknown_action", None),
        (ANA, r#"{"action":"presence","user_ids":[]}"#.into(), "bad_request", None),
        (ANA, large, "too_large", Some(ID[1])),
        (
            ANA,
            frame(json!({"content": {"type": "text", "text": "x".repeat(16 * 1024 + 1)}})),
            "too_large",
            Some(ID[1]),
        ),
        (ANA, frame(json!({"seen": "1"})), "bad_request", Some(ID[1])),
        (ANA, frame(json!({"content": "hi"})), "bad_request", Some(ID[1])),
        (ANA, frame(json!({"to_user_id": 7})), "bad_request", Some(ID[1])),
        (ANA, frame(json!({"message_id": 7})), "bad_request", None),
        (ANA, frame(json!({"seen": 2})), "sync_required", Some(ID[1])),
        (EVE, frame(to_ana_and_bo), "not_a_member", Some(ID[1])),
        (
            EVE,
            r#"{"action":"history","conversation_id":"d:ana:bo","after":0}"#.into(),
            "not_a_member",
            None,
        ),
        (
            EVE,
            r#"{"action":"ack","conversation_id":"d:ana:bo","read":1}"#.into(),
            "not_a_member",
            None,
        ),
        (
            EVE,
            r#"{"action":"typing","conversation_id":"d:ana:bo","active":true}"#.into(),
            "not_a_member",
            None,
        ),
        (
            BO,
            r#"{"action":"ack","conversation_id":"d:ana:bo","read":2}"#.into(),
            "bad_request",
            None,
        ),
    ] {
        let label: String = frame.chars().take(100).collect();
        let response = world.run(&events::message(who, &frame)).await;
        assert_eq!(response["statusCode"], 200, "{label}");
        let answer: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{label}");
        assert_eq!(answer.get("message_id").and_then(Value::as_str), id, "{label}");
    }
    // A binary frame comes in base64, which no frame is; and there may be no body at all.
    let mut binary = events::message(ANA, "eyJhY3Rpb24iOiJzZW5kIn0=");
    binary["isBase64Encoded"] = true.into();
    let mut nothing = events::message(ANA, "");
    nothing["body"] = Value::Null;
    for event in [binary, nothing] {
        let response = world.run(&event).await;
        let answer: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        assert_eq!(answer["code"], "bad_request");
    }
    assert_eq!(world.log().await.len(), 1);
    assert_eq!(world.0.posts().len(), from);
    assert!(world.0.jobs().is_empty());
}

#[tokio::test]
async fn an_event_without_a_caller_is_answered_and_changes_nothing() {
    let world = World::new().await;
    for authorizer in [Value::Null, json!({}), json!({"user": "ana"}), json!({"device": "laptop"})]
    {
        let mut event = events::message(ANA, &send(0, 0).to_string());
        event["requestContext"]["authorizer"] = authorizer.clone();
        let response = world.run(&event).await;
        let answer: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("busy")));
        assert!(world.log().await.is_empty(), "{authorizer}");
    }
}
