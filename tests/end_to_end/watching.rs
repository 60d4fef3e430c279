//! Who hears that somebody comes or goes, who is spared it, and how many there may be.

use petrel_test_client::Client;
use petrel_test_client::frames::new_id;
use serde_json::{Value, json};

use crate::look::pick;
use crate::server::{Server, crowd};

/// The answer to who watches these users from now on, or what refuses it. Changes that come unasked stay in the mailbox.
async fn watches(client: &mut Client, users: &[String]) -> Value {
    let request = new_id();
    let ask =
        json!({"action": "presence", "user_ids": users, "watch": true, "request_id": request});
    client.send(&ask).await;
    client.wait_for("the answer", |frame| frame["request_id"] == request.as_str()).await
}

/// The changes that came unasked, once all that was posted before has come.
async fn changes(client: &mut Client) -> Vec<Value> {
    client.sync(&json!({})).await;
    client.take_mailbox().into_iter().filter(|frame| frame["type"] == "presence").collect()
}

fn change(user: &str, online: bool) -> Value {
    json!({"user_id": user, "online": online})
}

/// The one change that is told next, without the time.
async fn told(client: &mut Client) -> Value {
    let frame = client.wait_for_type("presence").await;
    pick(&frame["users"][0], &["user_id", "online"])
}

#[tokio::test]
async fn who_drops_and_is_back_at_once_was_never_away() {
    let server = Server::start().await;
    let mut bo = server.connect_device("bo", "phone").await;
    bo.say("d:ana:bo", 0, "hello").await;
    let mut ana = server.connect("ana").await;
    let seen = watches(&mut ana, &["bo".to_owned()]).await;
    assert_eq!(seen["users"], json!([{"user_id": "bo", "online": true, "last_seen": null}]));

    // One of two devices is no change at all.
    let laptop = server.connect_device("bo", "laptop").await;
    laptop.close().await;
    server.wait_until("the laptop is gone", |state| state["connections"] == 2).await;
    assert_eq!(server.state().await["queues"]["fanout"]["messages"], 0);
    // The last one is looked at again some seconds later, and until then nobody is told.
    bo.close().await;
    let waits = |state: &Value| state["queues"]["fanout"]["messages"] == 1;
    server.wait_until("a look is queued", waits).await;
    let bo = server.connect_device("bo", "phone").await;
    server.fanned_out().await;
    assert_eq!(changes(&mut ana).await, [Value::Null; 0]);

    // Who stays away was.
    bo.close().await;
    assert_eq!(told(&mut ana).await, change("bo", false));
    let _bo = server.connect_device("bo", "phone").await;
    assert_eq!(told(&mut ana).await, change("bo", true));
    server.fanned_out().await;
    assert_eq!(changes(&mut ana).await, [Value::Null; 0], "each once");
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_watchers() {
    let server = Server::with(&["--memory"]).await;
    let everyone = json!({"presence": "everyone"});
    server.request_as("bo", "PATCH", "/api/profile").json(&everyone).send().await.expect(200);
    let users = crowd(202);
    let mut sockets = server.connect_all(&users).await;
    for socket in &mut sockets {
        let seen = watches(socket, &["bo".to_owned()]).await;
        assert_eq!(seen["users"][0]["online"], false, "whoever asks is answered");
    }
    // Who watches already may go on.
    watches(&mut sockets[7], &["bo".to_owned()]).await;
    let _bo = server.connect("bo").await;
    server.fanned_out().await;
    let mut heard = vec![];
    for socket in &mut sockets {
        heard.push(changes(socket).await.len());
    }
    assert_eq!(heard[..200], [1; 200]);
    assert_eq!(heard[200..], [0, 0], "who comes after them is told nothing unasked");
    let seen = watches(&mut sockets[201], &["bo".to_owned()]).await;
    assert_eq!(seen["users"][0]["online"], true);
}

#[tokio::test]
async fn how_many_one_watches_is_bounded_too() {
    let server = Server::with(&["--memory", "--limit", "requests=250/3600"]).await;
    let mut ana = server.connect("ana").await;
    let refused = watches(&mut ana, &crowd(101)).await;
    assert_eq!(
        pick(&refused, &["type", "code", "action"]),
        json!({"type": "error", "code": "bad_request", "action": "presence"})
    );
    // Each of them is a request.
    for _ in 0..2 {
        assert_eq!(watches(&mut ana, &crowd(100)).await["users"].as_array().unwrap().len(), 100);
    }
    let refused = watches(&mut ana, &crowd(100)).await;
    assert_eq!(
        pick(&refused, &["type", "code", "action"]),
        json!({"type": "error", "code": "rate_limited", "action": "presence"})
    );
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{refused}");
    // A look alone is a request for ten.
    let look = json!({"action": "presence", "user_ids": crowd(100)});
    assert_eq!(ana.ask(&look).await["type"], "presence");
}
