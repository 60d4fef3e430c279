//! The core's services over DynamoDB in a file: what was acknowledged is there after the process is gone.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::path::Path;
use std::sync::Arc;

use petrel_aws::{Dynamo, Tables, embedded};
use petrel_core::ids::UserId;
use petrel_core::testing::Memory;
use petrel_core::{App, Caller};
use serde_json::{Value, json};

/// The app over the file; gateway, queues and clock are in memory.
async fn open(file: &Path) -> App {
    let tables = Tables {
        messages: "messages".into(),
        conversations: "conversations".into(),
        connections: "connections".into(),
    };
    let client = embedded::client_on(file).unwrap();
    embedded::create_tables(&client, &tables).await.unwrap();
    let dynamo = Arc::new(Dynamo::new(client, tables));
    App {
        log: dynamo.clone(),
        conversations: dynamo.clone(),
        people: dynamo.clone(),
        connections: dynamo,
        ..Arc::new(Memory::default()).app()
    }
}

async fn say(app: &App, who: &str, frame: Value) -> Vec<Value> {
    let caller = Caller::http(UserId::parse(who).unwrap());
    let frames = app.handle(&caller, &frame.to_string()).await;
    frames.iter().map(|f| serde_json::from_str(&f.to_json()).unwrap()).collect()
}

fn message(n: u64) -> Value {
    json!({"action": "send", "to_user_id": "bo", "seen": 0,
        "message_id": format!("0192f3c4-0000-7000-8000-{n:012}"),
        "content": {"type": "text", "text": format!("message {n}")}})
}

#[tokio::test]
async fn what_was_acknowledged_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("petrel.db");
    let app = open(&file).await;
    for n in 1..=20 {
        assert_eq!(say(&app, "ana", message(n)).await[0]["seq"], n);
    }
    let ack = json!({"action": "ack", "conversation_id": "d:ana:bo", "read": 5});
    assert!(say(&app, "bo", ack).await.is_empty());
    drop(app);

    let app = open(&file).await;
    // A resend whose first answer was lost is a duplicate, also across a restart.
    let again = say(&app, "ana", message(7)).await;
    assert_eq!((&again[0]["seq"], &again[0]["duplicate"]), (&json!(7), &json!(true)));
    let synced = say(&app, "bo", json!({"action": "sync", "cursors": {"d:ana:bo": 0}})).await;
    let messages = synced[0]["messages"].as_array().unwrap();
    let texts: Vec<_> = messages.iter().map(|m| m["content"]["text"].as_str().unwrap()).collect();
    let expected: Vec<_> = (1..=20).map(|n| format!("message {n}")).collect();
    assert_eq!(texts, expected);
    let bo = &synced[1]["conversations"][0];
    assert_eq!((&bo["head"], &bo["read"], &bo["unread"]), (&json!(20), &json!(5), &json!(15)));
}
