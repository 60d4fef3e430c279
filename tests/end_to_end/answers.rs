//! Which answer belongs to which question.

use petrel_test_client::{Client, frames};
use serde_json::{Value, json};

use crate::look::each;
use crate::server::Server;

/// Asks with a request id and returns all that came up to the answer.
async fn ask(client: &mut Client, mut frame: Value, request_id: impl Into<Value>) -> Value {
    frame["request_id"] = request_id.into();
    let last = client.ask(&frame).await;
    client.take_mailbox().into_iter().chain([last]).collect()
}

#[tokio::test]
async fn all_that_answers_a_frame_carries_its_request_id_and_what_comes_unasked_carries_none() {
    let server = Server::start().await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    let ids = |answers: Value| each(&answers, "/request_id");

    let send = frames::send("d:ana:bo", 0, &frames::new_id(), frames::text("hi"));
    assert_eq!(ids(ask(&mut ana, send, "r1").await), json!(["r1"]));
    assert_eq!(bo.wait_for_type("message").await["request_id"], Value::Null);
    let sync = frames::sync(&json!({}));
    assert_eq!(ids(ask(&mut bo, sync, "r2").await), json!(["r2", "r2"]), "batch and synced");
    let history = frames::history_after("d:ana:bo", 0, 9);
    assert_eq!(ids(ask(&mut bo, history, "").await), json!([""]));
    let refused = frames::ack("d:ana:bo", Some(9), None);
    assert_eq!(ids(ask(&mut bo, refused, "x".repeat(64)).await), json!(["x".repeat(64)]));
    let unknown = json!({"action": "fly"});
    assert_eq!(ids(ask(&mut bo, unknown, "r3").await), json!(["r3"]));

    // One that is too long, or no string, is left out, and the frame is answered all the same.
    for bad in [json!("x".repeat(65)), json!(7), json!({}), json!(null)] {
        let history = frames::history_after("d:ana:bo", 0, 9);
        assert_eq!(ids(ask(&mut bo, history, bad).await), json!([null]));
    }
}

#[tokio::test]
async fn questions_asked_at_once_each_get_their_own_answer() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    for seen in 0..20 {
        ana.say("d:ana:bo", seen, "one of twenty").await;
    }
    // More than are answered at the same time, and none is lost.
    for after in 0..100 {
        let mut frame = frames::history_after("d:ana:bo", after % 20, 1);
        frame["request_id"] = after.to_string().into();
        ana.send(&frame).await;
    }
    for after in 0..100 {
        let id = after.to_string();
        let mine = |f: &Value| f["request_id"] == *id;
        let answer = ana.wait_for("the answer", mine).await;
        assert_eq!(each(&answer["messages"], "/seq"), json!([after % 20 + 1]));
    }
    assert_eq!(ana.take_mailbox(), [Value::Null; 0]);
}
