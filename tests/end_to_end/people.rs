//! Profiles, hidden receipts and blocks, over HTTP and sockets.

use petrel_test_client::Client;
use petrel_test_client::frames::{new_id, text};
use serde_json::{Value, json};

use crate::media;
use crate::server::Server;

async fn patch(server: &Server, user: &str, body: Value) -> Value {
    let request = server.request_as(user, "PATCH", "/api/profile");
    let request = request.header("content-type", "application/json").text(&body.to_string());
    request.send().await.expect(200)
}

async fn say(server: &Server, from: &str, to: &str, words: &str) -> Value {
    let message = json!({"to_user_id": to, "content": text(words), "message_id": new_id()});
    server.post(from, "/api/messages", &message).await.expect(201)
}

#[tokio::test]
async fn a_profile_is_ones_own_to_change_and_everyones_to_read() {
    let mut server = Server::start().await;
    let unset = json!({"user_id": "ana", "name": null, "avatar": null,
        "hide_read_receipts": false, "presence": "contacts", "hide_previews": false});
    assert_eq!(server.get("ana", "/api/profile").await.expect(200), unset);
    let avatar = media::upload(&server, "ana", "image/png", "a face").await;
    let mut ana = unset.clone();
    for (change, then) in [
        (json!({"name": "Ana 👋"}), json!({"name": "Ana 👋"})),
        (
            json!({"avatar": avatar, "presence": "nobody"}),
            json!({"avatar": avatar, "presence": "nobody"}),
        ),
        (
            json!({"avatar": null, "hide_read_receipts": true, "hide_previews": true}),
            json!({"avatar": null, "hide_read_receipts": true, "hide_previews": true}),
        ),
    ] {
        ana.as_object_mut().unwrap().extend(then.as_object().unwrap().clone());
        assert_eq!(patch(&server, "ana", change).await, ana);
    }
    // It was shown, and whoever has its id may go on looking.
    let path = format!("/api/media/{}/avatar", avatar.as_str().unwrap());
    server.get("eve", &path).await.expect(200);
    let group = server.found("ana", &["bo".to_owned()]).await;
    server.kill().await;
    server.start_again().await;
    assert_eq!(server.get("ana", "/api/profile").await.expect(200), ana);

    // A stranger may read the name, and no setting. Who does not exist is as who has set none.
    let asked = json!({"user_ids": ["nobody", "ana", "ana"]});
    let found = server.post("eve", "/api/profiles", &asked).await.expect(200);
    let expected = json!({"profiles": [{"user_id": "ana", "name": "Ana 👋", "avatar": null},
        {"user_id": "nobody", "name": null, "avatar": null}]});
    assert_eq!(found, expected);
    let seen = server.get("bo", &format!("/api/conversations/{group}")).await.expect(200);
    let members: Vec<_> = seen["members"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(members, [&json!("Ana 👋"), &Value::Null]);
}

#[tokio::test]
async fn bad_profiles_are_refused_and_change_nothing() {
    let server = Server::start().await;
    let long = "x".repeat(129);
    let many: Vec<_> = (0..101).map(|n| format!("u{n}")).collect();
    let before = patch(&server, "ana", json!({"name": "Ana"})).await;
    for (method, path, body) in [
        ("PATCH", "/api/profile", json!({"name": ""})),
        ("PATCH", "/api/profile", json!({"name": "  "})),
        ("PATCH", "/api/profile", json!({"name": long})),
        ("PATCH", "/api/profile", json!({"name": "a\nb"})),
        ("PATCH", "/api/profile", json!({"name": 7})),
        ("PATCH", "/api/profile", json!({"name": "B", "avatar": "a b"})),
        ("PATCH", "/api/profile", json!({"name": "B", "presence": "friends"})),
        ("PATCH", "/api/profile", json!({"name": "B", "hide_read_receipts": "yes"})),
        ("PATCH", "/api/profile", json!({"name": "B", "hide_previews": 1})),
        ("PATCH", "/api/profile", json!({"user_id": "bo"})),
        ("POST", "/api/profiles", json!({"user_ids": []})),
        ("POST", "/api/profiles", json!({"user_ids": many})),
        ("POST", "/api/profiles", json!({"user_ids": ["a b"]})),
        ("POST", "/api/profiles", json!({"user_ids": "ana"})),
        ("PUT", "/api/blocks/ana", Value::Null),
        ("PUT", "/api/blocks/a%20b", Value::Null),
        ("DELETE", "/api/blocks/a%23b", Value::Null),
        ("GET", "/api/blocks?page=a%20b", Value::Null),
    ] {
        let request = server.request_as("ana", method, path);
        let request = request.header("content-type", "application/json").text(&body.to_string());
        let answer = request.send().await;
        assert_eq!(answer.status, 400, "{method} {path} {body}: {}", answer.body);
        assert_eq!(answer.body["code"], "bad_request", "{method} {path} {body}");
    }
    assert_eq!(server.get("ana", "/api/profile").await.expect(200), before);
    let blocks = server.get("ana", "/api/blocks").await.expect(200);
    assert_eq!(blocks, json!({"user_ids": [], "page": null}));
}

#[tokio::test]
async fn what_is_read_is_hidden_from_others_alone() {
    let server = Server::start().await;
    patch(&server, "bo", json!({"hide_read_receipts": true})).await;
    let mut ana = server.connect("ana").await;
    say(&server, "ana", "bo", "one").await;
    say(&server, "ana", "bo", "two").await;
    let ack = async |body: Value| {
        server.post("bo", "/api/conversations/d:ana:bo/ack", &body).await.expect(204)
    };
    let readers = async |who: &str| {
        let path = "/api/conversations/d:ana:bo/receipts?seq=1";
        let all = server.get(who, path).await.expect(200);
        (all["delivered"].clone(), all["read"].clone(), all["readers"][0]["read"].clone())
    };
    ack(json!({"read": 1})).await;
    let told = ana.wait_for_type("receipt").await;
    assert_eq!((&told["delivered"], &told["read"]), (&json!(1), &json!(0)));
    assert_eq!(readers("ana").await, (json!(1), json!(0), json!(0)));
    assert_eq!(readers("bo").await, (json!(1), json!(1), json!(1)));
    let list = server.get("bo", "/api/conversations").await.expect(200);
    assert_eq!(list["conversations"][0]["read"], 1);

    patch(&server, "bo", json!({"hide_read_receipts": false})).await;
    assert_eq!(readers("ana").await, (json!(1), json!(1), json!(1)));
    ack(json!({"read": 2})).await;
    let told = ana.wait_for_type("receipt").await;
    assert_eq!((&told["delivered"], &told["read"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn who_is_blocked_writes_and_adds_nothing() {
    let server = Server::start().await;
    say(&server, "ana", "eve", "hello").await;
    let block = async |method: &str, who: &str, whom: &str| {
        let path = format!("/api/blocks/{whom}");
        server.request_as(who, method, &path).send().await.expect(204)
    };
    for _ in 0..2 {
        block("PUT", "ana", "eve").await;
    }
    let list = server.get("ana", "/api/blocks").await.expect(200);
    assert_eq!(list, json!({"user_ids": ["eve"], "page": null}));
    let others = server.get("eve", "/api/blocks").await.expect(200);
    assert_eq!(others, json!({"user_ids": [], "page": null}));

    let send = async |to: &str| {
        let message = json!({"conversation_id": to, "content": text("let me in")});
        let answer = server.post("eve", "/api/messages", &message).await;
        (answer.status, answer.body["code"].clone(), answer.body["message"].clone())
    };
    // As if it were somebody else's.
    assert_eq!(send("d:ana:eve").await, send("d:ana:bo").await);
    let mut eve = server.connect("eve").await;
    let typing = json!({"action": "typing", "conversation_id": "d:ana:eve", "active": true});
    assert_eq!(eve.ask(&typing).await["code"], "not_a_member");

    let found = json!({"name": "trap", "member_ids": ["ana", "bo"]});
    let refused = server.post("eve", "/api/conversations", &found).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("forbidden")));
    let group = server.found("eve", &["bo".to_owned()]).await;
    let members = format!("/api/conversations/{group}/members");
    let refused = server.post("eve", &members, &json!({"user_ids": ["cy", "ana"]})).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("forbidden")));
    let seen = server.get("eve", &format!("/api/conversations/{group}")).await.expect(200);
    assert_eq!(seen["members"].as_array().unwrap().len(), 2);

    for _ in 0..2 {
        block("DELETE", "ana", "eve").await;
    }
    assert_eq!(say(&server, "eve", "ana", "thanks").await["seq"], 2);
}

/// The answer to who asks and watches; changes that come unasked are passed over.
async fn looks(client: &mut Client, users: &[&str]) -> Value {
    let request = new_id();
    let ask =
        json!({"action": "presence", "user_ids": users, "watch": true, "request_id": request});
    client.send(&ask).await;
    let answers = |frame: &Value| frame["request_id"] == request.as_str();
    let mut answer = client.wait_for("the answer", answers).await;
    answer.as_object_mut().unwrap().remove("request_id");
    answer
}

#[tokio::test]
async fn who_is_online_is_told_to_whom_it_may_be() {
    let server = Server::start().await;
    say(&server, "ana", "bo", "hello").await;
    let mut ana = server.connect("ana").await;
    let told = |users: Value| json!({"type": "presence", "users": users});
    let nothing = |user: &str| json!({"user_id": user, "online": false, "last_seen": null});
    let online = json!({"user_id": "bo", "online": true, "last_seen": null});
    let nobody = told(json!([nothing("bo"), nothing("nobody")]));
    assert_eq!(looks(&mut ana, &["nobody", "bo"]).await, nobody);
    let bo = server.connect("bo").await;
    assert_eq!(ana.wait_for_type("presence").await, told(json!([online])));
    assert_eq!(looks(&mut ana, &["bo"]).await, told(json!([online])));
    // A stranger sees nothing.
    let mut eve = server.connect("eve").await;
    assert_eq!(looks(&mut eve, &["bo"]).await, told(json!([nothing("bo")])));
    patch(&server, "bo", json!({"presence": "everyone"})).await;
    assert_eq!(looks(&mut eve, &["bo"]).await, told(json!([online])));
    patch(&server, "bo", json!({"presence": "nobody"})).await;
    assert_eq!(looks(&mut ana, &["bo"]).await, told(json!([nothing("bo")])));
    patch(&server, "bo", json!({"presence": "contacts"})).await;

    bo.close().await;
    server.wait_until("bo is gone", |state| state["connections"] == 2).await;
    let gone = looks(&mut ana, &["bo"]).await;
    assert_eq!(gone["users"][0]["online"], false);
    assert!(gone["users"][0]["last_seen"].as_u64().is_some());
    let path = "/api/blocks/ana";
    server.request_as("bo", "PUT", path).send().await.expect(204);
    assert_eq!(looks(&mut ana, &["bo"]).await, told(json!([nothing("bo")])));
}

#[tokio::test]
async fn bad_questions_about_presence() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let many: Vec<_> = (0..101).map(|n| format!("u{n}")).collect();
    for users in [json!([]), json!(many), json!("bo"), json!(["a b"]), json!([7]), Value::Null] {
        let answer = ana.ask(&json!({"action": "presence", "user_ids": users})).await;
        assert_eq!(
            (&answer["code"], &answer["action"]),
            (&json!("bad_request"), &json!("presence"))
        );
    }
    let answer = ana.ask(&json!({"action": "presence", "user_ids": ["bo"], "watch": "yes"})).await;
    assert_eq!(answer["code"], "bad_request");
}
