//! Sockets as API Gateway has them: how large, how long, how idle, how many, and what happens to who does not read.

use petrel_test_client::tungstenite::Message;
use petrel_test_client::tungstenite::protocol::frame::Frame;
use petrel_test_client::tungstenite::protocol::frame::coding::{Data, OpCode};
use petrel_test_client::{Client, Error, Replica, frames};
use serde_json::{Value, json};

use crate::look::pick;
use crate::server::Server;

const KIB: usize = 1024;

/// A frame that is answered with `synced`, of exactly so many bytes.
fn sync_of(bytes: usize) -> String {
    let frame = |pad: usize| json!({"action": "sync", "pad": "x".repeat(pad)}).to_string();
    frame(bytes - frame(0).len())
}

/// Sends a message in several frames of at most so many bytes.
async fn send_in_pieces(client: &mut Client, message: &str, bytes: usize) {
    let pieces: Vec<&[u8]> = message.as_bytes().chunks(bytes).collect();
    for (n, piece) in pieces.iter().enumerate() {
        let kind = if n == 0 { Data::Text } else { Data::Continue };
        let last = n + 1 == pieces.len();
        let frame = Frame::message(piece.to_vec(), OpCode::Data(kind), last);
        client.send_raw(Message::Frame(frame)).await;
    }
}

#[tokio::test]
async fn a_frame_of_32_kib_is_answered_and_a_larger_one_closes_the_socket() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    ana.send_raw(Message::text(sync_of(32 * KIB))).await;
    ana.wait_for_type("synced").await;
    ana.send_raw(Message::text(sync_of(32 * KIB + 1))).await;
    assert_eq!(ana.wait_for_close().await, 1009);
}

#[tokio::test]
async fn a_message_in_pieces_is_one_message_up_to_32_kib_refused_up_to_128_and_the_end_beyond() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    send_in_pieces(&mut ana, &sync_of(32 * KIB), 5000).await;
    ana.wait_for_type("synced").await;

    let message =
        frames::send("d:ana:bo", 0, &frames::new_id(), frames::text(&"x".repeat(33 * KIB)));
    send_in_pieces(&mut ana, &message.to_string(), 10_000).await;
    let refused = ana.wait_for_type("error").await;
    assert_eq!(
        pick(&refused, &["code", "action", "message_id"]),
        json!({"code": "too_large", "action": "send", "message_id": message["message_id"]})
    );
    send_in_pieces(&mut ana, &sync_of(128 * KIB), 30_000).await;
    assert_eq!(ana.wait_for_type("error").await["code"], "too_large");

    send_in_pieces(&mut ana, &sync_of(128 * KIB + 1), 30_000).await;
    assert_eq!(ana.wait_for_close().await, 1009);
    let (_, synced) = server.connect("ana").await.sync(&json!({})).await;
    assert_eq!(synced["conversations"], json!([]), "nothing of it was stored");
}

#[tokio::test]
async fn a_binary_frame_closes_the_socket() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    ana.send_raw(Message::binary("{}")).await;
    assert_eq!(ana.wait_for_close().await, 1003);
}

#[tokio::test]
async fn an_idle_socket_is_closed() {
    let server = Server::with(&["--idle-timeout", "1"]).await;
    assert_eq!(server.connect("ana").await.wait_for_close().await, 1001);
}

#[tokio::test]
async fn a_socket_is_closed_at_the_end_of_its_life_however_busy_it_is() {
    let server = Server::with(&["--lifetime", "1"]).await;
    let mut ana = server.connect("ana").await;
    let code = loop {
        // A socket that is being closed takes no more; why it was closed is read below.
        let _ = ana.try_send(&frames::sync(&json!({}))).await;
        match ana.next().await {
            Ok(frame) => assert_eq!(frame["type"], "synced"),
            Err(Error::Closed { code, .. }) => break code,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(code, 1001);
}

#[tokio::test]
async fn a_client_that_says_goodbye_is_answered() {
    let server = Server::start().await;
    assert_eq!(server.connect("ana").await.close().await, 1000);
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_holds_nobody_up() {
    let server = Server::with(&["--memory"]).await;
    let group = server.found("ana", &["bo", "cy"].map(str::to_owned)).await;
    let mut ana = server.connect("ana").await;
    let mut bo = server.connect("bo").await;
    let mut cy = server.connect("cy").await;

    // bo asks, but does not read: first the answers fill what lies between him and the server, then the pushes what
    // the server keeps for him. All the while ana's messages reach cy.
    let large = json!({"type": "sealed", "ciphertext": "x".repeat(24 * KIB)});
    let mut device = Replica::new();
    device.begin_at(&group, 2);
    while server.state().await["connections"] == 3 {
        let seen = device.last(&group);
        assert!(seen < 1000, "24 MB wait for one reader");
        for _ in 0..10 {
            // To a socket that may be cut off by now.
            let _ = bo.try_send(&frames::history_before(&group, 100, 100)).await;
        }
        let message = frames::send(&group, seen, &frames::new_id(), large.clone());
        assert_eq!(ana.ask(&message).await["seq"], seen + 1);
        cy.receive_through(&mut device, &group, seen + 1).await;
    }
    assert_eq!(server.state().await["connections"], 2);
    // Mostly there is no way left to tell him why.
    let code = bo.wait_for_close().await;
    assert!([1006, 1008].contains(&code), "{code}");

    // He lost his socket, and no message.
    let mut bo = server.connect("bo").await;
    let mut his = Replica::new();
    while his.last(&group) < device.last(&group) {
        let (batches, _) = bo.sync(&his.cursors()).await;
        assert!(!batches.is_empty(), "{his:?}");
        batches.iter().for_each(|batch| his.apply(batch));
    }
}

#[tokio::test]
async fn a_socket_that_closes_is_gone_and_messages_go_to_the_next_one() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let bo = server.connect_device("bo", "phone").await;
    ana.say("d:ana:bo", 0, "to the first").await;
    bo.close().await;
    server.wait_until("one socket is open", |state| state["connections"] == 1).await;

    let mut bo = server.connect_device("bo", "phone").await;
    let second = ana.say("d:ana:bo", 1, "to the second").await;
    assert_eq!(bo.wait_for_type("message").await["message_id"], second["message_id"]);
    assert_eq!(server.state().await["connections"], 2);
}

#[tokio::test]
async fn a_device_that_connects_again_takes_the_place_of_its_old_socket() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let mut old = server.connect_device("bo", "phone").await;
    let mut new = server.connect_device("bo", "phone").await;
    let sent = ana.say("d:ana:bo", 0, "to the new one").await;
    assert_eq!(new.wait_for_type("message").await["message_id"], sent["message_id"]);
    // The old one's end is not the end of the new one.
    old.wait_for_close().await;
    assert_eq!(old.take_mailbox(), [Value::Null; 0]);
    server.wait_until("two sockets are open", |state| state["connections"] == 2).await;
    let sent = ana.say("d:ana:bo", 1, "still to the new one").await;
    assert_eq!(new.wait_for_type("message").await["message_id"], sent["message_id"]);
}

#[tokio::test]
async fn the_eleventh_device_takes_the_place_of_the_oldest_until_another_leaves() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let mut devices = vec![];
    for n in 0..11 {
        devices.push(server.connect_device("bo", &format!("device{n:02}")).await);
    }
    let sent = ana.say("d:ana:bo", 0, "to ten").await;
    let (oldest, others) = devices.split_first_mut().unwrap();
    for device in others {
        assert_eq!(device.wait_for_type("message").await["message_id"], sent["message_id"]);
    }
    oldest.wait_for_close().await;
    assert_eq!(oldest.take_mailbox(), [Value::Null; 0]);

    devices.pop().unwrap().close().await;
    server.wait_until("ten sockets are open", |state| state["connections"] == 10).await;
    devices[0] = server.connect_device("bo", "device00").await;
    let sent = ana.say("d:ana:bo", 1, "to ten again").await;
    for device in &mut devices {
        assert_eq!(device.wait_for_type("message").await["message_id"], sent["message_id"]);
    }
}

#[tokio::test]
async fn devices_that_left_take_nobodys_place() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let mut stays = server.connect_device("bo", "stays").await;
    for n in 0..10 {
        server.connect_device("bo", &format!("guest{n}")).await.close().await;
        server.wait_until("the guest is gone", |state| state["connections"] == 2).await;
    }
    let sent = ana.say("d:ana:bo", 0, "to the one that stayed").await;
    assert_eq!(stays.wait_for_type("message").await["message_id"], sent["message_id"]);
}
