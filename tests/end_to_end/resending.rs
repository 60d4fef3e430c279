//! Sending so that nothing is lost and nothing doubled: answers get lost, senders race, frames hold several messages.

use futures::future::join_all;
use petrel_test_client::{Client, Replica, frames};
use serde_json::{Value, json};

use crate::look::{each, pick};
use crate::server::Server;

#[tokio::test]
async fn a_message_whose_sent_was_lost_is_sent_again_and_stands_once() {
    let server = Server::start().await;
    let mut bo = server.connect("bo").await;
    let message = frames::send("d:ana:bo", 0, &frames::new_id(), frames::text("only once"));

    // Her connection breaks while the answer is under way; that he has the message says that it is stored.
    let mut ana = server.connect("ana").await;
    ana.send(&message).await;
    let first = bo.wait_for_type("message").await;
    drop(ana);
    // Meanwhile the conversation goes on.
    bo.say("d:ana:bo", 1, "what else?").await;

    let mut ana = server.connect("ana").await;
    let sent = ana.ask(&message).await;
    assert_eq!(
        sent,
        json!({"type": "sent", "message_id": message["message_id"], "conversation_id": "d:ana:bo",
            "seq": 1, "sent_at": first["sent_at"], "duplicate": true})
    );
    // It was delivered again before that, for the first delivery could have been lost as well; he holds it once.
    let (batches, _) = bo.sync(&json!({"d:ana:bo": 0})).await;
    let again = bo.take_mailbox();
    assert_eq!(again, std::slice::from_ref(&first));
    let mut device = Replica::new();
    [first].iter().chain(&again).chain(&batches).for_each(|frame| device.apply(frame));
    assert_eq!((device.last("d:ana:bo"), device.doubled("d:ana:bo")), (2, 2));
}

#[tokio::test]
async fn several_messages_that_are_sent_again_stand_once_each_also_if_some_are_new() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let messages: Vec<_> =
        ["one", "two", "three"].map(|t| (frames::new_id(), frames::text(t))).to_vec();
    ana.ask(&frames::send_several("d:ana:bo", 0, &messages[..2])).await;
    let again = ana.ask(&frames::send_several("d:ana:bo", 0, &messages)).await;
    assert_eq!(each(&again["results"], "/seq"), json!([1, 2, 3]));
    assert_eq!(each(&again["results"], "/duplicate"), json!([true, true, false]));
}

#[tokio::test]
async fn the_same_id_of_another_sender_is_another_message() {
    let server = Server::start().await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    let message = frames::send("d:ana:bo", 0, &frames::new_id(), frames::text("mine"));
    assert_eq!(ana.ask(&message).await["seq"], 1);
    let his = bo.ask(&message).await;
    assert_eq!(pick(&his, &["seq", "duplicate"]), json!({"seq": 2, "duplicate": false}));
}

/// Sends texts one after the other, as a client does: with what it has seen, and again while the server is busy. Returns
/// the ids.
async fn write(mut client: Client, conversation: &str, count: usize) -> Vec<String> {
    let mut device = Replica::new();
    let mut ids = vec![];
    for _ in 0..count {
        client.take_mailbox().iter().for_each(|frame| device.apply(frame));
        let seen = device.last(conversation).max(1);
        let message = frames::send(conversation, seen, &frames::new_id(), frames::text("race"));
        loop {
            let answer = client.ask(&message).await;
            match answer["code"].as_str() {
                None => break,
                Some("busy") => {}
                Some(_) => panic!("{message} was refused: {answer}"),
            }
        }
        ids.push(message["message_id"].as_str().unwrap().to_owned());
    }
    ids
}

async fn senders_race(senders: usize, each: usize) {
    let server = Server::start().await;
    let users: Vec<String> = (0..senders).map(|n| format!("racer{n}")).collect();
    let group = server.found(&users[0], &users[1..]).await;
    let writers = server.connect_all(&users).await.into_iter();
    let written = join_all(writers.map(|client| write(client, &group, each))).await;

    let mut reader = server.connect(&users[0]).await;
    let mut device = Replica::new();
    let head = (senders * each + 1) as u64;
    while device.last(&group) < head {
        let (batches, _) = reader.sync(&device.cursors()).await;
        assert!(!batches.is_empty(), "the log ends at {} of {head}", device.last(&group));
        batches.iter().for_each(|batch| device.apply(batch));
    }
    for (user, ids) in users.iter().zip(written) {
        let of = |e: &&Value| e["sender_id"] == **user && e["content"]["type"] == "text";
        let stored: Vec<_> = device.entries(&group).iter().filter(of).collect();
        let stored: Vec<_> = stored.iter().filter_map(|e| e["message_id"].as_str()).collect();
        assert_eq!(stored, ids, "each message of {user} once, and in the order of sending");
    }
    let times: Vec<_> =
        device.entries(&group).iter().filter_map(|e| e["sent_at"].as_u64()).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "time agrees with seq: {times:?}");
    let (_, synced) = reader.sync(&device.cursors()).await;
    assert_eq!(synced["conversations"][0]["head"], head, "and nothing else");
}

#[tokio::test]
async fn two_senders_race_and_every_message_gets_its_own_place() {
    senders_race(2, 50).await;
}

#[tokio::test]
async fn eight_senders_race_and_every_message_gets_its_own_place() {
    senders_race(8, 15).await;
}

#[tokio::test]
async fn several_messages_are_stored_in_order_up_to_the_first_that_is_refused() {
    let server = Server::start().await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    let contents = [
        frames::text("one"),
        frames::text("two"),
        json!({"type": "edit", "target": 9, "text": "of nothing"}),
        frames::text("not tried"),
    ];
    let messages = contents.map(|content| (frames::new_id(), content));
    let sent = ana.ask(&frames::send_several("d:ana:bo", 0, &messages)).await;

    assert_eq!(
        pick(&sent, &["type", "conversation_id"]),
        json!({"type": "sent", "conversation_id": "d:ana:bo"})
    );
    let results = sent["results"].as_array().unwrap();
    assert_eq!(results.len(), 3, "the fourth was not tried: {sent}");
    for (n, result) in results[..2].iter().enumerate() {
        let stored = json!({"message_id": messages[n].0, "seq": n + 1,
            "sent_at": result["sent_at"], "duplicate": false});
        assert_eq!(*result, stored);
    }
    assert_eq!(results[2]["message_id"], messages[2].0);
    assert_eq!(results[2]["error"]["code"], "not_found");

    let (batches, synced) = bo.sync(&json!({"d:ana:bo": 0})).await;
    assert_eq!(each(&batches[0]["messages"], "/content/text"), json!(["one", "two"]));
    assert_eq!(synced["conversations"][0]["head"], 2);
    assert_eq!(each(&bo.take_mailbox().into(), "/seq"), json!([1, 2]));
}

#[tokio::test]
async fn a_sender_who_claims_to_have_seen_what_is_not_there_must_sync() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let message = frames::send("d:ana:bo", 1, &frames::new_id(), frames::text("hi"));
    let refused = ana.ask(&message).await;
    assert_eq!(refused["code"], "sync_required");
    assert_eq!(refused["message_id"], message["message_id"]);
    let (_, synced) = ana.sync(&json!({})).await;
    assert_eq!(synced["conversations"], json!([]), "nothing was stored");
}

#[tokio::test]
async fn a_sender_who_lies_more_than_500_behind_must_sync_and_then_finds_what_was_stored() {
    let server = Server::with(&["--memory"]).await;
    let mut ana = server.connect("ana").await;
    let first = frames::send("d:ana:bo", 0, &frames::new_id(), frames::text("first"));
    ana.ask(&first).await;
    for round in 0..50 {
        let messages: Vec<_> = (0..10).map(|_| (frames::new_id(), frames::text("more"))).collect();
        ana.ask(&frames::send_several("d:ana:bo", 1 + round * 10, &messages)).await;
    }
    let refused = ana.ask(&first).await;
    assert_eq!(refused["code"], "sync_required");
    assert_eq!(refused["message_id"], first["message_id"]);
    let page = ana.ask(&frames::history_after("d:ana:bo", 0, 1)).await;
    assert_eq!(page["messages"][0]["message_id"], first["message_id"]);
}
