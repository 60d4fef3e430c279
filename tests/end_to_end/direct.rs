//! Two people: online, with several devices, and away.

use petrel_test_client::{Replica, frames};
use serde_json::json;

use crate::look::pick;
use crate::server::Server;

#[tokio::test]
async fn two_people_who_are_online_write_to_each_other() {
    let server = Server::start().await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);

    let first = ana.say("d:ana:bo", 0, "hi bo").await;
    let expected = json!({"type": "message", "conversation_id": "d:ana:bo", "seq": 1, "ordinal": 1,
        "message_id": first["message_id"], "sender_id": "ana", "sent_at": first["sent_at"],
        "content": {"type": "text", "text": "hi bo"}});
    assert_eq!(bo.wait_for_type("message").await, expected);

    let second = bo.say("d:ana:bo", 1, "hi ana").await;
    let arrived = ana.wait_for_type("message").await;
    assert_eq!(arrived["message_id"], second["message_id"]);
    assert_eq!(pick(&arrived, &["seq", "sender_id"]), json!({"seq": 2, "sender_id": "bo"}));
}

#[tokio::test]
async fn a_message_reaches_every_device_of_both_but_not_the_socket_that_sent_it() {
    let server = Server::start().await;
    let mut ana_phone = server.connect_device("ana", "phone").await;
    let mut ana_laptop = server.connect_device("ana", "laptop").await;
    let mut bo_phone = server.connect_device("bo", "phone").await;
    let mut bo_tablet = server.connect_device("bo", "tablet").await;

    let sent = ana_phone.say("d:ana:bo", 0, "to all of you").await;
    for device in [&mut ana_laptop, &mut bo_phone, &mut bo_tablet] {
        assert_eq!(device.wait_for_type("message").await["message_id"], sent["message_id"]);
    }
    // Posts to so few come before `sent`: what had been posted here would be in the mailbox.
    assert_eq!(ana_phone.take_mailbox(), [json!(null); 0]);
}

#[tokio::test]
async fn a_thousand_messages_to_someone_who_is_away_arrive_in_order_when_they_come_back() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let mut sent = vec![];
    for round in 0..100 {
        let messages: Vec<_> = (0..10)
            .map(|n| (frames::new_id(), frames::text(&format!("message {}", round * 10 + n))))
            .collect();
        let answer = ana.ask(&frames::send_several("d:ana:bo", round * 10, &messages)).await;
        assert_eq!(answer["results"][9]["seq"], (round + 1) * 10);
        sent.extend(messages.into_iter().map(|(id, _)| id));
    }

    let mut bo = server.connect("bo").await;
    let mut device = Replica::new();
    let mut rounds = 0;
    loop {
        rounds += 1;
        let (batches, synced) = bo.sync(&device.cursors()).await;
        batches.iter().for_each(|batch| device.apply(batch));
        let reached = device.last("d:ana:bo");
        let state = &synced["conversations"][0];
        assert_eq!(
            pick(state, &["head", "sent_through"]),
            json!({"head": 1000, "sent_through": reached})
        );
        let more = batches.last().unwrap()["more"].as_bool().unwrap();
        assert_eq!(more, reached < 1000, "`more` says whether to ask again");
        if !more {
            break;
        }
    }
    assert_eq!(device.ids("d:ana:bo"), sent);
    assert_eq!((rounds, device.doubled("d:ana:bo")), (5, 0), "200 at a time, none twice");
}
