//! What a message may hold, and who may change what somebody wrote.

use petrel_test_client::{Client, frames};
use serde_json::{Value, json};

use crate::look::{each, pick};
use crate::server::Server;

/// A group of ana (its admin), bo and cy.
async fn crew() -> (Server, String, [Client; 3]) {
    let server = Server::start().await;
    let group = server.found("ana", &["bo".to_owned(), "cy".to_owned()]).await;
    let sockets =
        [server.connect("ana").await, server.connect("bo").await, server.connect("cy").await];
    (server, group, sockets)
}

/// `sent`, or the code of the refusal. Without a claim about what was seen, so that the order does not matter.
async fn outcome(client: &mut Client, group: &str, content: Value) -> String {
    let mut frame = frames::send(group, 0, &frames::new_id(), content);
    frame["seen"] = Value::Null;
    let answer = client.ask(&frame).await;
    let field = if answer["type"] == "sent" { "type" } else { "code" };
    answer[field].as_str().unwrap().to_owned()
}

fn edit(target: u64) -> Value {
    json!({"type": "edit", "target": target, "text": "better"})
}

fn delete(target: u64) -> Value {
    json!({"type": "delete", "target": target})
}

#[tokio::test]
async fn only_the_author_edits_and_only_the_author_or_an_admin_deletes() {
    let (_server, group, [mut ana, mut bo, mut cy]) = crew().await;
    assert_eq!(outcome(&mut bo, &group, frames::text("of bo")).await, "sent");
    assert_eq!(outcome(&mut ana, &group, frames::text("of ana")).await, "sent");

    assert_eq!(outcome(&mut cy, &group, edit(2)).await, "forbidden");
    assert_eq!(outcome(&mut ana, &group, edit(2)).await, "forbidden", "not even an admin");
    assert_eq!(outcome(&mut bo, &group, edit(2)).await, "sent");
    assert_eq!(outcome(&mut cy, &group, delete(2)).await, "forbidden");
    assert_eq!(outcome(&mut bo, &group, delete(3)).await, "forbidden");
    assert_eq!(outcome(&mut ana, &group, delete(2)).await, "sent", "an admin");
    assert_eq!(outcome(&mut ana, &group, delete(3)).await, "sent", "the author");
}

#[tokio::test]
async fn a_target_must_be_something_that_a_person_wrote_and_the_sender_can_read() {
    let (server, group, [mut ana, mut bo, mut cy]) = crew().await;
    assert_eq!(outcome(&mut ana, &group, frames::text("hello")).await, "sent");
    let reaction = |target: u64| json!({"type": "reaction", "target": target, "emoji": "👍"});
    assert_eq!(outcome(&mut bo, &group, reaction(2)).await, "sent");
    for target in [0, 1, 3, 99] {
        // Before the first, a system entry, a reaction, beyond the head.
        assert_eq!(outcome(&mut bo, &group, reaction(target)).await, "not_found", "{target}");
    }
    let members = format!("/api/conversations/{group}/members");
    server.request_as("cy", "DELETE", &format!("{members}/cy")).send().await.expect(200);
    server.post("ana", &members, &json!({"user_ids": ["cy"]})).await.expect(200);
    let reply = json!({"type": "reply", "target": 2, "text": "from before?"});
    assert_eq!(outcome(&mut cy, &group, reply.clone()).await, "not_found", "before cy came back");
    assert_eq!(outcome(&mut bo, &group, reply).await, "sent");
}

#[tokio::test]
async fn every_kind_of_content_arrives_as_it_was_sent_and_what_a_person_wrote_is_unread() {
    let server = Server::start().await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    let contents = [
        json!({"type": "text", "text": "Zwölf Boxkämpfer 🥊 \u{0}\"\\ \u{2028}"}),
        json!({"type": "text", "text": "a second"}),
        json!({"type": "text", "text": "a third"}),
        json!({"type": "reply", "target": 1, "text": "to the first"}),
        json!({"type": "sealed", "ciphertext": "bm9ib2R5IGxvb2tz"}),
        json!({"type": "text", "text": "@bo", "mentions": ["bo", "zoe"]}),
        json!({"type": "edit", "target": 1, "text": "changed"}),
        json!({"type": "reaction", "target": 1, "emoji": "👍"}),
        json!({"type": "reaction", "target": 1, "emoji": "👍", "remove": true}),
        json!({"type": "delete", "target": 1}),
    ];
    for (seen, content) in (0..).zip(&contents) {
        let sent =
            ana.ask(&frames::send("d:ana:bo", seen, &frames::new_id(), content.clone())).await;
        assert_eq!(sent["seq"], seen + 1, "{sent}");
        assert_eq!(bo.wait_for_type("message").await["content"], *content);
    }
    let (batches, synced) = bo.sync(&json!({"d:ana:bo": 0})).await;
    // What was deleted is gone, and so is what an edit made of it.
    let mut left = contents.to_vec();
    left[0] = json!({"type": "gone", "why": "deleted"});
    left[6]["text"] = json!("");
    assert_eq!(each(&batches[0]["messages"], "/content"), json!(left));
    assert_eq!(synced["conversations"][0]["unread"], 6, "edits, reactions and deletes are not");
}

#[tokio::test]
async fn notes_to_oneself_are_a_conversation() {
    let server = Server::start().await;
    let mut phone = server.connect_device("ana", "phone").await;
    let mut laptop = server.connect_device("ana", "laptop").await;
    let sent = phone.say("d:ana:ana", 0, "buy milk").await;
    let arrived = laptop.wait_for_type("message").await;
    assert_eq!(arrived["message_id"], sent["message_id"]);
    let (_, synced) = phone.sync(&json!({})).await;
    assert_eq!(synced["conversations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_message_may_name_the_user_instead_of_the_conversation() {
    let server = Server::start().await;
    let mut bo = server.connect("bo").await;
    let frame = json!({"action": "send", "to_user_id": "ana", "message_id": frames::new_id(),
        "content": frames::text("hi")});
    assert_eq!(bo.ask(&frame).await["conversation_id"], "d:ana:bo");
    let body = json!({"to_user_id": "bo", "content": frames::text("hi bo")});
    let sent = server.post("ana", "/api/messages", &body).await.expect(201);
    assert_eq!(pick(&sent, &["seq", "duplicate"]), json!({"seq": 2, "duplicate": false}));
    assert_eq!(bo.wait_for_type("message").await["message_id"], sent["message_id"]);
}

#[tokio::test]
async fn a_message_by_http_with_the_same_id_is_the_same_message() {
    let server = Server::start().await;
    let body =
        json!({"to_user_id": "bo", "content": frames::text("hi"), "message_id": frames::new_id()});
    let first = server.post("ana", "/api/messages", &body).await.expect(201);
    let again = server.post("ana", "/api/messages", &body).await.expect(200);
    assert_eq!(
        pick(&again, &["seq", "duplicate"]),
        json!({"seq": first["seq"], "duplicate": true})
    );
}

#[tokio::test]
async fn what_was_deleted_is_in_no_answer_any_more() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, "a secret word").await;
    let id = frames::new_id();
    let better = json!({"type": "edit", "target": 1, "text": "another secret word"});
    ana.ask(&frames::send("d:ana:bo", 1, &id, better)).await;
    let deleted = ana.ask(&frames::send("d:ana:bo", 2, &frames::new_id(), delete(1))).await;
    assert_eq!(deleted["type"], "sent", "{deleted}");
    // Whoever edits it again, or repeats the edit, brings nothing back.
    assert_eq!(outcome(&mut ana, "d:ana:bo", edit(1)).await, "not_found");
    let better = json!({"type": "edit", "target": 1, "text": "another secret word"});
    let again = ana.ask(&frames::send("d:ana:bo", 1, &id, better)).await;
    assert_eq!(again["duplicate"], true);

    let mut bo = server.connect("bo").await;
    let (batches, synced) = bo.sync(&json!({})).await;
    let history = server.get("bo", "/api/conversations/d:ana:bo/messages?after=0").await;
    let history = history.expect(200);
    for told in [batches[0].clone(), history] {
        assert!(!told.to_string().contains("secret"), "{told}");
        assert_eq!(each(&told["messages"], "/seq"), json!([1, 2, 3]));
        assert_eq!(told["messages"][0]["content"], json!({"type": "gone", "why": "deleted"}));
    }
    assert_eq!(synced["conversations"][0]["unread"], 1);
}

#[tokio::test]
async fn an_edit_comes_too_late() {
    let server = Server::with(&["--edit-window", "1"]).await;
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, "helo").await;
    // The server's clock says when it is too late.
    let mut refused = String::new();
    for _ in 0..500 {
        refused = outcome(&mut ana, "d:ana:bo", edit(1)).await;
        if refused == "forbidden" {
            break;
        }
    }
    assert_eq!(refused, "forbidden");
    assert_eq!(outcome(&mut ana, "d:ana:bo", delete(1)).await, "sent");
}
