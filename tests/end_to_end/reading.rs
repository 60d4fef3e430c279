//! How far everyone got, who types, and reading back and forth.

use futures::stream::{self, StreamExt};
use petrel_test_client::{Client, frames};
use serde_json::{Value, json};

use crate::look::{each, pick};
use crate::server::{Server, crowd};

const CHAT: &str = "d:ana:bo";

/// `sync` says of the only conversation.
async fn state_of(client: &mut Client, cursor: u64) -> Value {
    let (_, synced) = client.sync(&json!({CHAT: cursor})).await;
    synced["conversations"][0].clone()
}

/// A chat in which ana has said so many things.
async fn said(ana: &mut Client, count: u64) {
    for seen in 0..count {
        ana.say(CHAT, seen, &format!("thing {}", seen + 1)).await;
    }
}

#[tokio::test]
async fn an_ack_reaches_the_author_and_every_sync_carries_it() {
    let server = Server::start().await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    said(&mut ana, 3).await;
    let unread =
        json!({"id": CHAT, "head": 3, "sent_through": 3, "delivered": 0, "read": 0, "unread": 3});
    assert_eq!(state_of(&mut bo, 3).await, unread);

    let receipt = |delivered: u64, read: u64| {
        json!({"type": "receipt", "conversation_id": CHAT, "user_id": "bo",
            "delivered": delivered, "read": read})
    };
    bo.send(&frames::ack(CHAT, Some(3), None)).await;
    assert_eq!(ana.wait_for_type("receipt").await, receipt(3, 0));
    bo.send(&frames::ack(CHAT, None, Some(2))).await;
    assert_eq!(ana.wait_for_type("receipt").await, receipt(3, 2));
    let read =
        json!({"id": CHAT, "head": 3, "sent_through": 3, "delivered": 3, "read": 2, "unread": 1});
    assert_eq!(state_of(&mut bo, 3).await, read);
    let list = server.get("bo", "/api/conversations").await.expect(200);
    assert_eq!(list, json!({"conversations": [read], "page": null}));
}

#[tokio::test]
async fn what_was_read_was_delivered() {
    let server = Server::start().await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    said(&mut ana, 2).await;
    bo.send(&frames::ack(CHAT, None, Some(2))).await;
    let receipt = ana.wait_for_type("receipt").await;
    assert_eq!(pick(&receipt, &["delivered", "read"]), json!({"delivered": 2, "read": 2}));
}

#[tokio::test]
async fn an_ack_never_goes_back_and_never_passes_the_head() {
    let server = Server::start().await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    said(&mut ana, 3).await;
    // Over HTTP, where an ack is answered.
    let path = format!("/api/conversations/{CHAT}/ack");
    let ack = async |delivered: u64, read: u64| {
        server.post("bo", &path, &json!({"delivered": delivered, "read": read})).await.status
    };
    assert_eq!(ack(3, 2).await, 204);
    assert_eq!(ack(1, 1).await, 204, "it changes nothing, and that is no error");
    assert_eq!(ack(4, 2).await, 400);
    assert_eq!(ack(3, 4).await, 400);
    let state = state_of(&mut bo, 3).await;
    assert_eq!(pick(&state, &["delivered", "read"]), json!({"delivered": 3, "read": 2}));
    ana.sync(&json!({})).await;
    let told = ana.take_mailbox();
    assert_eq!(told.iter().filter(|f| f["type"] == "receipt").count(), 1, "{told:?}");
}

#[tokio::test]
async fn the_author_may_ask_how_many_have_a_message_and_who() {
    let server = Server::start().await;
    let users = crowd(40);
    let group = server.found(&users[0], &users[1..]).await;
    let mut author = server.connect(&users[0]).await;
    author.say(&group, 1, "who has this?").await;
    for (n, user) in users[1..=12].iter().enumerate() {
        let ack = if n < 5 { json!({"read": 2}) } else { json!({"delivered": 2}) };
        let path = format!("/api/conversations/{group}/ack");
        server.post(user, &path, &ack).await.expect(204);
    }
    let path = format!("/api/conversations/{group}/receipts?seq=2");
    let receipts = server.get(&users[0], &path).await.expect(200);
    assert_eq!(
        pick(&receipts, &["members", "delivered", "read", "page"]),
        json!({"members": 39, "delivered": 12, "read": 5, "page": null})
    );
    let first = json!({"user_id": users[1], "delivered": 2, "read": 2});
    assert_eq!(receipts["readers"][0], first);
    assert_eq!(each(&receipts["readers"], "/user_id"), json!(users[1..=12]));
    author.sync(&json!({})).await;
    let told = author.take_mailbox().iter().any(|f| f["type"] == "receipt");
    assert!(!told, "so many members would be too many receipts");
}

#[tokio::test]
async fn the_readers_of_a_message_to_many_come_page_by_page() {
    let server = Server::with(&["--memory"]).await;
    let users = crowd(230);
    let group = server.found(&users[0], &users[1..]).await;
    let message = json!({"conversation_id": group, "content": frames::text("who has this?")});
    server.post(&users[0], "/api/messages", &message).await.expect(201);
    let ack = format!("/api/conversations/{group}/ack");
    // All of the others but the last, and the first fifty have read it.
    let have = &users[1..229];
    let acks = have.iter().enumerate().map(|(n, user)| {
        let body = if n < 50 { json!({"read": 2}) } else { json!({"delivered": 2}) };
        let (server, ack) = (&server, &ack);
        async move { server.post(user, ack, &body).await.expect(204) }
    });
    stream::iter(acks.collect::<Vec<_>>()).buffer_unordered(8).collect::<Vec<_>>().await;

    let path = format!("/api/conversations/{group}/receipts?seq=2");
    let (mut readers, mut sizes, mut page) = (vec![], vec![], String::new());
    loop {
        let answer = server.get(&users[0], &format!("{path}{page}")).await.expect(200);
        assert_eq!(
            pick(&answer, &["members", "delivered", "read"]),
            json!({"members": 229, "delivered": 228, "read": 50}),
            "of all of them, on every page"
        );
        let shown = answer["readers"].as_array().unwrap();
        sizes.push(shown.len());
        readers.extend(shown.iter().map(|r| r["user_id"].clone()));
        match answer["page"].as_str() {
            Some(last) => {
                assert_eq!(readers.last().unwrap(), last);
                page = format!("&page={last}");
            }
            None => break,
        }
    }
    assert_eq!(sizes, [100, 100, 28]);
    assert_eq!(json!(readers), json!(have), "each once, by id");
    // A page may begin behind anyone; behind the last there is nothing.
    let behind =
        async |user: &str| server.get(&users[0], &format!("{path}&page={user}")).await.expect(200);
    assert_eq!(behind("user199z").await["readers"][0]["user_id"], "user200");
    assert_eq!(
        pick(&behind("zoe").await, &["readers", "page"]),
        json!({"readers": [], "page": null})
    );
}

/// The bound is on members: it falls and rises with those who come and go.
#[tokio::test]
async fn a_receipt_reaches_the_author_in_a_group_of_32_and_none_comes_in_one_of_33() {
    let server = Server::start().await;
    let users = crowd(33);
    let (author, reader, last) = (&users[0], &users[1], &users[32]);
    let group = server.found(author, &users[1..32]).await;
    let (mut writes, mut reads) = (server.connect(author).await, server.connect(reader).await);
    let receipt = |read: u64| {
        json!({"type": "receipt", "conversation_id": group, "user_id": reader,
            "delivered": read, "read": read})
    };
    writes.say(&group, 1, "we are 32").await;
    reads.send(&frames::ack(&group, None, Some(2))).await;
    assert_eq!(writes.wait_for_type("receipt").await, receipt(2));

    let members = format!("/api/conversations/{group}/members");
    server.post(author, &members, &json!({"user_ids": [last]})).await.expect(200);
    writes.say(&group, 3, "we are 33").await;
    // Over HTTP, where who acks is answered after the authors were told.
    let ack = format!("/api/conversations/{group}/ack");
    server.post(reader, &ack, &json!({"read": 4})).await.expect(204);

    let leave = server.request_as(last, "DELETE", &format!("{members}/{last}"));
    leave.send().await.expect(200);
    writes.say(&group, 5, "we are 32 again").await;
    reads.send(&frames::ack(&group, None, Some(6))).await;
    assert_eq!(writes.wait_for_type("receipt").await, receipt(6), "and none before it");
    let told = writes.take_mailbox();
    assert!(told.iter().all(|frame| frame["type"] != "receipt"), "{told:?}");
}

#[tokio::test]
async fn typing_reaches_the_others_who_are_online_and_is_stored_nowhere() {
    let server = Server::start().await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    said(&mut ana, 1).await;
    for active in [true, false] {
        bo.send(&frames::typing(CHAT, active)).await;
        let typing =
            json!({"type": "typing", "conversation_id": CHAT, "user_id": "bo", "active": active});
        assert_eq!(ana.wait_for_type("typing").await, typing);
    }
    assert_eq!(state_of(&mut ana, 1).await["head"], 1);
    assert!(bo.take_mailbox().iter().all(|f| f["type"] != "typing"), "not to who types");
}

#[tokio::test]
async fn a_crowd_does_not_hear_who_types() {
    let server = Server::start().await;
    let users = crowd(33);
    let group = server.found(&users[0], &users[1..]).await;
    let mut socket = server.connect(&users[0]).await;
    let refused = socket.ask(&frames::typing(&group, true)).await;
    assert_eq!(
        pick(&refused, &["code", "action"]),
        json!({"code": "bad_request", "action": "typing"})
    );
}

#[tokio::test]
async fn history_reads_up_and_down_and_says_whether_there_is_more() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    said(&mut ana, 7).await;
    let mut page = async |frame: Value| {
        let batch = ana.ask(&frame).await;
        let entries = batch["messages"].as_array().unwrap();
        let seqs: Vec<u64> = entries.iter().filter_map(|e| e["seq"].as_u64()).collect();
        (seqs, batch["more"].as_bool().unwrap())
    };
    for (frame, seqs, more) in [
        (frames::history_after(CHAT, 0, 3), vec![1, 2, 3], true),
        (frames::history_after(CHAT, 3, 3), vec![4, 5, 6], true),
        (frames::history_after(CHAT, 6, 3), vec![7], false),
        (frames::history_after(CHAT, 4, 3), vec![5, 6, 7], false),
        (frames::history_after(CHAT, 99, 3), vec![], false),
        (frames::history_before(CHAT, 8, 3), vec![5, 6, 7], true),
        (frames::history_before(CHAT, 5, 3), vec![2, 3, 4], true),
        (frames::history_before(CHAT, 4, 3), vec![1, 2, 3], false),
        (frames::history_before(CHAT, 99, 100), vec![1, 2, 3, 4, 5, 6, 7], false),
        (frames::history_before(CHAT, 99, 7), vec![1, 2, 3, 4, 5, 6, 7], false),
        (frames::history_before(CHAT, 99, 3), vec![5, 6, 7], true),
        (frames::history_before(CHAT, 9, 6), vec![2, 3, 4, 5, 6, 7], true),
        (frames::history_before(CHAT, 1, 3), vec![], false),
    ] {
        assert_eq!(page(frame.clone()).await, (seqs, more), "{frame}");
    }
    // The same over HTTP.
    let path = format!("/api/conversations/{CHAT}/messages?before=5&limit=3");
    let by_http = server.get("bo", &path).await.expect(200);
    let frame = ana.ask(&frames::history_before(CHAT, 5, 3)).await;
    assert_eq!(by_http, json!({"messages": frame["messages"], "more": true}));
}

#[tokio::test]
async fn history_around_a_seq_shows_both_sides_of_it_over_a_socket() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    said(&mut ana, 7).await;
    let around = |seq: u64, limit: u64| json!({"action": "history", "conversation_id": CHAT, "around": seq, "limit": limit});
    let all = || json!([1, 2, 3, 4, 5, 6, 7]);
    for (seq, limit, seqs, more_before, more) in [
        (4, 4, json!([3, 4, 5, 6]), true, true),
        (4, 3, json!([3, 4, 5]), true, true),
        (4, 1, json!([4]), true, true),
        (1, 4, json!([1, 2, 3, 4]), false, true),
        (7, 4, json!([6, 7]), true, false),
        (4, 100, all(), false, false),
        // What is not there has two sides too.
        (0, 3, json!([1, 2, 3]), false, true),
        (8, 4, json!([6, 7]), true, false),
        (u64::MAX, 100, all(), false, false),
    ] {
        let frame = around(seq, limit);
        let batch = ana.ask(&frame).await;
        assert_eq!(each(&batch["messages"], "/seq"), seqs, "{frame}: {batch}");
        assert_eq!(
            pick(&batch, &["conversation_id", "more_before", "more"]),
            json!({"conversation_id": CHAT, "more_before": more_before, "more": more}),
            "{frame}"
        );
    }
    // The same over HTTP.
    let path = format!("/api/conversations/{CHAT}/messages?around=4&limit=3");
    let by_http = server.get("bo", &path).await.expect(200);
    let frame = ana.ask(&around(4, 3)).await;
    assert_eq!(by_http, pick(&frame, &["messages", "more", "more_before"]));
}

#[tokio::test]
async fn a_sync_may_begin_with_the_newest_and_leave_the_rest_to_history() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    said(&mut ana, 5).await;
    let mut bo = server.connect("bo").await;
    let synced = bo.ask(&json!({"action": "sync", "cursors": {}, "limit": 2, "tail": true})).await;
    let batch = bo.wait_for_type("batch").await;
    assert_eq!(each(&batch["messages"], "/seq"), json!([4, 5]));
    assert_eq!(batch["more"], false);
    assert_eq!(synced["conversations"][0]["sent_through"], 5);
}

#[tokio::test]
async fn large_messages_come_in_batches_that_a_socket_can_carry() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let large = "x".repeat(16 * 1024);
    for seen in 0..8 {
        ana.say(CHAT, seen, &large).await;
    }
    let mut bo = server.connect("bo").await;
    let (batches, synced) = bo.sync(&json!({})).await;
    let counts: Vec<_> = batches.iter().map(|b| b["messages"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [6, 2], "six of 16 KiB go into 100 KiB");
    assert!(batches.iter().all(|b| b.to_string().len() < 128 * 1024));
    assert_eq!(each(&batches.into(), "/more"), json!([true, false]));
    assert_eq!(synced["conversations"][0]["sent_through"], 8);
}
