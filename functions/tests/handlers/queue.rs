//! Jobs from the queues: what each does, and which come again.

use std::sync::Arc;

use petrel_core::ids::{
    ConnectionId, ConversationId, DeviceId, EndpointId, MessageId, Seq, UserId,
};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Connection, Connections, Conversations, Endpoint, Job, Log};
use petrel_core::testing::Memory;
use petrel_functions::queue::handle;
use serde_json::{Value, json};

use crate::events;

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn entry() -> Entry {
    Entry {
        conversation_id: ConversationId::parse("d:ana:bo").unwrap(),
        seq: Seq::FIRST,
        ordinal: 1,
        message_id: MessageId::parse("0192f3c4-0000-7000-8000-0000000000a1").unwrap(),
        sender_id: user("ana"),
        sent_at: 1_790_000_000_000,
        content: Content::text("hi"),
        level: 0,
        edits: vec![],
    }
}

/// Bo is connected, has a phone and lacks the entry.
async fn world() -> Arc<Memory> {
    let memory = Arc::new(Memory::default());
    let device = DeviceId::parse("phone").unwrap();
    let id = ConnectionId::parse("bo").unwrap();
    let socket = Connection { user: user("bo"), device: device.clone(), id, connected_at: 0 };
    memory.register(&socket).await.unwrap();
    let id = EndpointId::parse("Fcm/bo").unwrap();
    memory.set_endpoint(&Endpoint { user: user("bo"), device, id }).await.unwrap();
    let entry = entry();
    memory.open(&entry.conversation_id, &[user("ana"), user("bo")]).await.unwrap();
    memory.put(&entry).await.unwrap();
    memory
}

fn fan_out() -> String {
    let to = vec![user("ana"), user("bo")];
    let job = Job::FanOut { entry: entry(), to, except: None, attempt: 0 };
    serde_json::to_string(&job).unwrap()
}

fn push(attempt: u8) -> String {
    let conversation = entry().conversation_id;
    let job = Job::Push { to: vec![user("bo")], conversation, seq: Seq::FIRST, attempt };
    serde_json::to_string(&job).unwrap()
}

/// The ids that come again.
async fn failed(memory: &Arc<Memory>, messages: &[(&str, &str)]) -> Value {
    let response = handle(&memory.app(), events::sqs(messages)).await;
    serde_json::to_value(response).unwrap()
}

fn of(ids: &[&str]) -> Value {
    let failures: Vec<_> = ids.iter().map(|id| json!({ "itemIdentifier": id })).collect();
    json!({ "batchItemFailures": failures })
}

#[tokio::test]
async fn a_fan_out_delivers_and_a_push_wakes() {
    let memory = world().await;
    let jobs = [("m1", fan_out()), ("m2", push(0))];
    let batch = jobs.each_ref().map(|(id, body)| (*id, body.as_str()));
    assert_eq!(failed(&memory, &batch).await, of(&[]));
    let posts = memory.posts();
    assert_eq!(posts.len(), 1);
    let frame: Value = serde_json::from_str(&posts[0].1).unwrap();
    let expected = json!({"type": "message", "conversation_id": "d:ana:bo", "seq": 1, "ordinal": 1,
        "message_id": "0192f3c4-0000-7000-8000-0000000000a1", "sender_id": "ana",
        "sent_at": 1_790_000_000_000_u64, "content": {"type": "text", "text": "hi"}});
    assert_eq!((posts[0].0.as_str(), frame), ("bo", expected));
    let pushes = memory.pushes();
    assert_eq!(pushes.len(), 1);
    assert_eq!((pushes[0].0.as_str(), pushes[0].1.preview.as_deref()), ("Fcm/bo", Some("hi")));

    // SQS may bring a message twice: the device drops the second copy.
    assert_eq!(failed(&memory, &batch[..1]).await, of(&[]));
    assert_eq!(memory.posts()[1], posts[0]);
}

#[tokio::test]
async fn exactly_the_jobs_that_failed_come_again() {
    let memory = world().await;
    memory.overload_pushes(true);
    let (good, last, first) = (fan_out(), push(5), push(0));
    let batch = [
        ("good", good.as_str()),
        ("out of attempts", last.as_str()),
        ("poison", "not JSON"),
        ("put back", first.as_str()),
        ("good too", good.as_str()),
    ];
    assert_eq!(failed(&memory, &batch).await, of(&["out of attempts", "poison"]));
    // What failed kept nobody from theirs.
    assert_eq!(memory.posts().len(), 2);
    let put_back = memory.jobs().into_iter().filter(|j| matches!(j, Job::Push { attempt: 1, .. }));
    assert_eq!(put_back.count(), 1);

    // Without the queue there is no way to put it back but to fail.
    memory.stop_queue();
    assert_eq!(failed(&memory, &batch[3..4]).await, of(&["put back"]));
}

#[tokio::test]
async fn a_body_that_is_no_job_fails_alone_and_does_nothing() {
    let memory = world().await;
    let mut bodies: Vec<String> =
        ["", "null", "{}", "[]", "7", r#"{"job":"fly"}"#, r#"{"job":"push"}"#]
            .map(str::to_owned)
            .into();
    let broken = |job: &str, pointer: &str, value: Value| {
        let mut job: Value = serde_json::from_str(job).unwrap();
        *job.pointer_mut(pointer).unwrap() = value;
        job.to_string()
    };
    bodies.extend([
        broken(&fan_out(), "/to", json!("bo")),
        broken(&fan_out(), "/to/0", json!("a b")),
        broken(&fan_out(), "/entry/seq", json!(-1)),
        broken(&fan_out(), "/entry/message_id", json!("7")),
        broken(&fan_out(), "/entry/conversation_id", json!("d:bo:ana")),
        broken(&fan_out(), "/entry/content/type", json!("spell")),
        broken(&fan_out(), "/attempt", json!(256)),
        broken(&push(0), "/conversation", json!("x")),
        fan_out()[..fan_out().len() - 1].to_owned(),
        format!("{}{}", "[".repeat(500), "]".repeat(500)),
    ]);
    for body in &bodies {
        assert_eq!(failed(&memory, &[("m1", body)]).await, of(&["m1"]), "{body:.80}");
    }
    assert!(memory.posts().is_empty() && memory.jobs().is_empty() && memory.pushes().is_empty());
    assert_eq!(failed(&memory, &[]).await, of(&[]));
}
