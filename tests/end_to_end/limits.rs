//! Rate limits: who is refused is told when to come again, and whoever does loses nothing.

use std::sync::Arc;
use std::time::Duration;

use petrel_test_client::person::{Habits, Person, Phase, Tally, World};
use petrel_test_client::{Client, frames};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::server::{Server, run};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn beyond_the_limit_a_message_is_refused_over_socket_and_http_and_a_duplicate_never_is() {
    let server = Server::with(&["--memory", "--limit", "conversation=2/3600"]).await;
    let mut ana = server.connect("ana").await;
    let conversation = frames::direct("ana", "bo");
    let first = ana.say(&conversation, 0, "one").await;
    ana.say(&conversation, 1, "two").await;
    let id = frames::new_id();
    let refused = ana.ask(&frames::send(&conversation, 2, &id, frames::text("three"))).await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("rate_limited")));
    assert_eq!((&refused["action"], &refused["message_id"]), (&json!("send"), &json!(id)));
    let wait = refused["retry_after_ms"].as_u64().unwrap();
    assert!((1_700_000..=1_801_000).contains(&wait), "{wait}");

    let message = json!({"to_user_id": "bo", "content": frames::text("three"), "message_id": id});
    let answer = server.post("ana", "/api/messages", &message).await;
    let after: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1_700..=1_801).contains(&after), "{after}");
    assert_eq!(answer.expect(429)["code"], "rate_limited");

    let again = ana
        .ask(&frames::send(
            &conversation,
            0,
            first["message_id"].as_str().unwrap(),
            frames::text("one"),
        ))
        .await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(1), &json!(true)));
    // Another conversation has room of its own.
    assert_eq!(ana.say(&frames::direct("ana", "cy"), 0, "hi").await["seq"], 1);
    let page = format!("/api/conversations/{conversation}/messages?after=0");
    let held = server.get("bo", &page).await.expect(200);
    assert_eq!(held["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn sockets_requests_and_members_have_limits_of_their_own() {
    let limits = "sockets=2/3600,requests=3/3600,members=4/3600";
    let server = Server::with(&["--memory", "--limit", limits]).await;
    let open = || async { Client::connect(&server.login("ana")).await };
    let held = (open().await.unwrap(), open().await.unwrap());
    let error = open().await.unwrap_err();
    assert!(error.to_string().contains("429"), "{error}");
    drop(held);

    let group = |n: usize| json!({"name": "crew", "member_ids": ["bo", "cy", format!("u{n}")]});
    server.post("ana", "/api/conversations", &group(1)).await.expect(201);
    let refused = server.post("ana", "/api/conversations", &group(2)).await;
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.expect(429)["code"], "rate_limited");
    server.post("bo", "/api/conversations", &group(3)).await.expect(201);

    for _ in 0..3 {
        server.get("ana", "/api/conversations").await.expect(200);
    }
    server.get("ana", "/api/conversations").await.expect(429);
    server.post("ana", "/api/sync", &json!({})).await.expect(429);
    server.get("bo", "/api/conversations").await.expect(200);
}

#[tokio::test]
async fn reports_have_a_limit_of_their_own_and_beyond_it_nothing_goes_to_the_moderators() {
    let server = Server::with(&["--memory", "--limit", "reports=1/3600"]).await;
    let conversation = frames::direct("ana", "bo");
    server.connect("ana").await.say(&conversation, 0, "hi").await;
    let path = format!("/api/conversations/{conversation}/messages/1/report");
    let body = json!({"reason": "abuse"});
    server.post("bo", &path, &body).await.expect(202);
    let refused = server.post("bo", &path, &body).await;
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.expect(429)["code"], "rate_limited");
    assert_eq!(server.state().await["reports"].as_array().unwrap().len(), 1);
    server.post("ana", &path, &body).await.expect(202);
}

/// People who write faster than they may, with clients that do what they are told.
#[tokio::test]
async fn clients_that_wait_as_they_are_told_lose_nothing() {
    let limits = "conversation=4/1,messages=6/1,requests=40/1";
    let server = Server::with(&["--memory", "--limit", limits]).await;
    let tally = Arc::new(Tally::default());
    let (world, watched) = watch::channel(World { url: Some(server.ws()), ..World::default() });
    let conversation: Arc<str> = frames::direct("ana", "bo").into();
    let living: Vec<_> = ["ana", "bo"]
        .into_iter()
        .enumerate()
        .map(|(n, user)| {
            let habits = Habits {
                conversations: vec![conversation.clone()],
                pause: Duration::from_millis(1)..Duration::from_millis(20),
                most: 3,
                bytes: 50,
                stays: None,
            };
            let person = Person::new(user, server.token(user), habits, n as u64, tally.clone());
            tokio::spawn(person.live(watched.clone()))
        })
        .collect();
    let until = async |so: &dyn Fn() -> bool| {
        let mut again = interval(Duration::from_millis(10));
        timeout(PATIENCE, async {
            while !so() {
                again.tick().await;
            }
        })
        .await
        .unwrap();
    };
    until(&|| tally.acknowledged.get() >= 20 && tally.resent.get() >= 5).await;
    world.send_modify(|w| w.phase = Phase::Drain);
    until(&|| tally.draining.get() == 2 && tally.pending.get() == 0).await;
    world.send_modify(|w| w.phase = Phase::Settle);
    for person in living {
        timeout(PATIENCE, person).await.unwrap().unwrap();
    }
    assert_eq!(tally.broken.get(), 0);
    assert_eq!(tally.acknowledged.get(), tally.composed.get());
    let path = format!("/api/conversations/{conversation}/messages?after=0&limit=100");
    let stored = server.get("ana", &path).await.expect(200);
    let stored: Vec<&Value> = stored["messages"].as_array().unwrap().iter().collect();
    assert!(stored.len() as u64 >= tally.acknowledged.get().min(100));
}

#[tokio::test]
async fn a_limit_that_makes_no_sense_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for bad in ["messages", "messages=5", "messages=5/0", "nothing=5/1", "messages=-1/5", ""] {
        let output = run(folder.path(), &["serve", "--limit", bad]).await;
        assert_eq!(output.status.code(), Some(2), "{bad}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("600/60"), "{bad}");
    }
}
