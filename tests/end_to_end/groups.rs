//! Groups: few members are posted to at once, many through the queue, and nobody can tell the difference.

use futures::future::join_all;
use petrel_test_client::{Replica, frames};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::media;
use crate::server::{Server, crowd};

async fn everyone_gets_each_message_once(size: usize) {
    let server = Server::start().await;
    let users = crowd(size);
    let mut sockets = server.connect_all(&users).await;
    let group = server.found(&users[0], &users[1..]).await;
    for seen in 1..=3 {
        sockets[0].say(&group, seen, "hello everyone").await;
    }
    server.fanned_out().await;
    for (n, socket) in sockets.iter_mut().enumerate() {
        // All is posted: nothing can come any more behind the answer to a question that is asked now.
        socket.sync(&json!({&group: 4})).await;
        let mut device = Replica::new();
        socket.take_mailbox().iter().for_each(|frame| device.apply(frame));
        let expected = if n == 0 { 1 } else { 4 };
        assert_eq!((device.last(&group), device.doubled(&group)), (expected, 0), "{}", users[n]);
    }
}

#[tokio::test]
async fn each_of_10_members_gets_each_message_once() {
    everyone_gets_each_message_once(10).await;
}

#[tokio::test]
async fn each_of_32_members_the_most_that_are_posted_to_at_once_gets_each_message_once() {
    everyone_gets_each_message_once(32).await;
}

#[tokio::test]
async fn each_of_33_members_the_fewest_that_are_queued_for_gets_each_message_once() {
    everyone_gets_each_message_once(33).await;
}

#[tokio::test]
async fn a_thousand_members_get_every_message_and_its_sender_does_not_wait_for_that() {
    let server = Server::with(&["--memory"]).await;
    let users = crowd(1000);
    let mut sockets = server.connect_all(&users).await;
    let group = server.found(&users[0], &users[1..]).await;
    server.fanned_out().await;

    // Five messages to a thousand devices are five thousand posts; that they are not done when `sent` is there is seen
    // in the queue. If `sent` waited for them it would be empty each time, however often one looks.
    let (sender, members) = sockets.split_first_mut().unwrap();
    let mut sent = vec![];
    let mut was_ahead = false;
    while !was_ahead {
        let messages: Vec<_> = (0..5).map(|_| (frames::new_id(), frames::text("hi"))).collect();
        let head = 1 + sent.len() as u64;
        assert!(head < 50, "the queue was always empty when `sent` came");
        let answer = sender.ask(&frames::send_several(&group, head, &messages)).await;
        assert_eq!(answer["results"][4]["seq"], head + 5, "{answer}");
        sent.extend(messages.into_iter().map(|(id, _)| id));
        was_ahead = server.state().await["queues"]["fanout"]["messages"] != 0;
    }

    let head = 1 + sent.len() as u64;
    let receiving = members.iter_mut().map(|member| async {
        let mut device = Replica::new();
        member.receive_through(&mut device, &group, head).await;
        assert_eq!(device.ids(&group)[1..], sent);
    });
    assert_eq!(join_all(receiving).await.len(), 999);
}

#[tokio::test]
async fn a_thousand_members_with_ids_as_identity_providers_make_them_are_one_request() {
    let server = Server::with(&["--memory"]).await;
    let others: Vec<String> = (0..999).map(|_| Uuid::new_v4().to_string()).collect();
    let group = server.found("ana", &others).await;
    let members = server.get("ana", &format!("/api/conversations/{group}")).await.expect(200);
    assert_eq!(members["members"].as_array().unwrap().len(), 1000);
}

/// The entries that this user may read, by HTTP.
async fn readable(server: &Server, user: &str, group: &str) -> Vec<Value> {
    let path = format!("/api/conversations/{group}/messages?after=0");
    let page = server.get(user, &path).await.expect(200);
    page["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn who_joins_in_mid_stream_reads_from_there_on_and_who_leaves_reads_no_more() {
    let server = Server::start().await;
    let (mut ana, mut bo, mut cy) =
        (server.connect("ana").await, server.connect("bo").await, server.connect("cy").await);
    let group = server.found("ana", &["bo".to_owned()]).await;
    let members = format!("/api/conversations/{group}/members");
    ana.say(&group, 1, "before cy").await;

    let added = server.post("ana", &members, &json!({"user_ids": ["cy"]})).await.expect(200);
    let change = json!({"type": "system", "change": {"kind": "added", "members": ["cy"]}});
    assert_eq!(added, json!({"conversation_id": group, "seq": 3, "change": change}));
    let after = ana.say(&group, 3, "after cy").await;

    let mut device = Replica::new();
    device.begin_at(&group, 3);
    cy.receive_through(&mut device, &group, 4).await;
    assert_eq!(device.ids(&group)[1], after["message_id"]);
    let pushed = device.entries(&group).to_vec();
    assert_eq!(
        readable(&server, "cy", &group).await,
        pushed,
        "history begins where the pushes did"
    );
    let (batches, synced) = cy.sync(&json!({&group: 0})).await;
    assert_eq!(batches[0]["messages"], json!(pushed), "so does sync");
    assert_eq!(synced["conversations"][0]["unread"], 1, "what came before is not unread");
    let refused = cy.ask(&frames::ack(&group, Some(2), None)).await;
    assert_eq!(refused["code"], "bad_request", "nor can it be acknowledged");

    let gone = server.request_as("bo", "DELETE", &format!("{members}/bo")).send().await.expect(200);
    let change = json!({"type": "system", "change": {"kind": "removed", "members": ["bo"]}});
    assert_eq!(gone, json!({"conversation_id": group, "seq": 5, "change": change}));
    let unread = ana.say(&group, 5, "without bo").await;
    cy.wait_for_message(unread["message_id"].as_str().unwrap()).await;
    let (batches, synced) = bo.sync(&json!({&group: 1})).await;
    assert_eq!((batches, &synced["conversations"]), (vec![], &json!([])));
    let last = bo.take_mailbox().iter().filter_map(|f| f["seq"].as_u64()).max();
    assert_eq!(last, Some(5), "bo is told that he left, and nothing after it");
    let asked = [
        frames::history_after(&group, 0, 100),
        frames::ack(&group, Some(5), None),
        frames::typing(&group, true),
        frames::send(&group, 5, &frames::new_id(), frames::text("let me in")),
    ];
    for frame in asked {
        assert_eq!(bo.ask(&frame).await["code"], "not_a_member", "{frame}");
    }

    server.post("ana", &members, &json!({"user_ids": ["bo"]})).await.expect(200);
    let back = ana.say(&group, 7, "bo is back").await;
    let again = readable(&server, "bo", &group).await;
    assert_eq!(again.len(), 2, "who comes back reads from there on: {again:?}");
    assert_eq!((&again[0]["seq"], &again[1]["message_id"]), (&json!(7), &back["message_id"]));
}

#[tokio::test]
async fn the_same_request_for_a_group_is_the_same_group() {
    let server = Server::start().await;
    let request = json!({"name": "crew", "member_ids": ["bo", "cy"], "request_id": "r1"});
    let first = server.post("ana", "/api/conversations", &request).await.expect(201);
    let again = server.post("ana", "/api/conversations", &request).await.expect(201);
    assert_eq!(first, again);
    let list = server.get("bo", "/api/conversations").await.expect(200);
    assert_eq!(list["conversations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_group_changes_hands_its_name_and_its_rules_and_everyone_is_told() {
    let server = Server::start().await;
    let users = ["ana", "bo", "cy"].map(str::to_owned);
    let group = server.found("ana", &users[1..]).await;
    let mut cy = server.connect("cy").await;
    let path = format!("/api/conversations/{group}");
    let member = |user: &str| format!("{path}/members/{user}");
    let patch = async |who: &str, path: &str, body: Value| {
        server.request_as(who, "PATCH", path).json(&body).send().await
    };
    // Each change comes to who is there, in its place.
    let mut seq = 1;
    for (who, to, body, change) in [
        (
            "ana",
            path.clone(),
            json!({"name": "tour", "post": "admins"}),
            json!({"kind": "updated", "name": "tour", "post": "admins"}),
        ),
        (
            "ana",
            member("bo"),
            json!({"role": "admin"}),
            json!({"kind": "role", "member": "bo", "role": "admin"}),
        ),
        (
            "bo",
            path.clone(),
            json!({"post": "admins", "add": "all"}),
            json!({"kind": "updated", "add": "all"}),
        ),
        (
            "ana",
            member("bo"),
            json!({"role": "owner"}),
            json!({"kind": "role", "member": "bo", "role": "owner"}),
        ),
    ] {
        seq += 1;
        let done = patch(who, &to, body.clone()).await.expect(200);
        let change = json!({"type": "system", "change": change});
        assert_eq!(done, json!({"conversation_id": group, "seq": seq, "change": change}));
        // What was asked for again is told again.
        let mut told = cy.wait_for_type("message").await;
        while told["seq"] != seq {
            told = cy.wait_for_type("message").await;
        }
        assert_eq!(told["content"], change);
        // Again, it is the same change.
        assert_eq!(patch(who, &to, body).await.expect(200)["seq"], seq);
    }
    let hi = json!({"conversation_id": group, "content": frames::text("hi")});
    server.post("cy", "/api/messages", &hi).await.expect(403);
    server.post("ana", "/api/messages", &hi).await.expect(201);
    // The owner leaves: who may most takes over.
    let left = server.request_as("bo", "DELETE", &member("bo")).send().await.expect(200);
    assert_eq!(
        left["change"]["change"],
        json!({"kind": "removed", "members": ["bo"], "owner": "ana"})
    );
    let seen = server.request_as("cy", "GET", &path).send().await.expect(200);
    assert_eq!(
        seen["members"],
        json!([{"user_id": "ana", "role": "owner", "joined": 1, "name": null, "avatar": null},
        {"user_id": "cy", "role": "member", "joined": 1, "name": null, "avatar": null}])
    );
    assert_eq!(
        (&seen["name"], &seen["post"], &seen["add"]),
        (&json!("tour"), &json!("admins"), &json!("all"))
    );
}

#[tokio::test]
async fn who_has_a_code_joins_and_who_has_none_learns_nothing() {
    let server = Server::start().await;
    let group = server.found("ana", &["bo".to_owned()]).await;
    let invites = format!("/api/conversations/{group}/invites");
    let made = server.post("ana", &invites, &json!({})).await.expect(201);
    let code = made["code"].as_str().unwrap().to_owned();
    let ask = async |who: &str, method: &str, path: &str| {
        server.request_as(who, method, path).send().await
    };
    let to = |code: &str| format!("/api/invites/{code}");
    let shown = ask("eve", "GET", &to(&code)).await.expect(200);
    assert_eq!(
        shown,
        json!({"conversation_id": group, "name": "crew", "members": 2,
        "expires_at": made["expires_at"]})
    );
    let joined = ask("eve", "POST", &to(&code)).await.expect(200);
    assert_eq!(
        (&joined["seq"], &joined["change"]["change"]),
        (&json!(2), &json!({"kind": "added", "members": ["eve"]}))
    );
    assert_eq!(ask("eve", "POST", &to(&code)).await.expect(200), joined);
    let history = format!("/api/conversations/{group}/messages?after=0");
    assert_eq!(ask("eve", "GET", &history).await.expect(200)["messages"][0]["seq"], 2);

    // Tampered with, guessed, of a group that is not there, and taken back: one answer.
    let last = if code.ends_with('0') { "1" } else { "0" };
    let tampered = format!("{}{last}", &code[..code.len() - 1]);
    let elsewhere = format!("{}.{}", frames::new_id(), code.split_once('.').unwrap().1);
    let mut answers = vec![];
    for wrong in [tampered, elsewhere] {
        for method in ["GET", "POST"] {
            answers.push(ask("zoe", method, &to(&wrong)).await.expect(404));
        }
    }
    let one = format!("{invites}/{}", made["invite_id"].as_str().unwrap());
    let listed = ask("ana", "GET", &invites).await.expect(200);
    assert_eq!(listed, json!({"invites": [made]}));
    assert_eq!(ask("ana", "DELETE", &one).await.status, 204);
    assert_eq!(ask("ana", "GET", &invites).await.expect(200), json!({"invites": []}));
    answers.push(ask("zoe", "POST", &to(&code)).await.expect(404));
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
    for bad in ["x", "x.y", "0192f3c4-0000-7000-8000-000000000001", "%2e%2e.0"] {
        assert_eq!(ask("zoe", "POST", &to(bad)).await.expect(400)["code"], "bad_request");
    }
}

#[tokio::test]
async fn a_picture_and_a_time_of_its_own_are_the_admins_to_give_and_bad_ones_change_nothing() {
    let server = Server::start().await;
    let group = server.found("ana", &["bo", "cy"].map(str::to_owned)).await;
    let path = format!("/api/conversations/{group}");
    let patch = async |who: &str, body: &Value| {
        server.request_as(who, "PATCH", &path).json(body).send().await
    };
    let picture = media::upload(&server, "ana", "image/png", "the crew").await;
    let change = json!({"avatar": picture, "retention_days": 30});
    let done = patch("ana", &change).await.expect(200);
    let told = json!({"kind": "updated", "avatar": picture, "retention_days": 30});
    assert_eq!((&done["seq"], &done["change"]["change"]), (&json!(2), &told));
    let shown = async || {
        let group = server.get("cy", &path).await.expect(200);
        (group["avatar"].clone(), group["retention_days"].clone())
    };
    assert_eq!(shown().await, (picture.clone(), json!(30)));
    let look = format!("/api/media/{}/avatar", picture.as_str().unwrap());
    server.get("cy", &look).await.expect(200);

    let anothers = media::upload(&server, "bo", "image/png", "bo's own").await;
    let text = media::upload(&server, "ana", "text/plain", "no picture").await;
    let announced = media::announce(&server, "ana", "image/png", "not there yet").await;
    for (who, body, status, code) in [
        ("ana", json!({"avatar": anothers}), 404, "not_found"),
        ("ana", json!({"avatar": text}), 400, "bad_request"),
        ("ana", json!({"avatar": announced["media_id"]}), 409, "not_ready"),
        ("ana", json!({"avatar": "a b"}), 400, "bad_request"),
        ("ana", json!({"avatar": 7}), 400, "bad_request"),
        ("ana", json!({"retention_days": 3_651}), 400, "bad_request"),
        ("ana", json!({"retention_days": -1}), 400, "bad_request"),
        ("ana", json!({"retention_days": 1.5}), 400, "bad_request"),
        ("ana", json!({"retention_days": "week"}), 400, "bad_request"),
        ("ana", json!({"name": "x", "retention_days": 4_000}), 400, "bad_request"),
        ("bo", json!({"retention_days": 1}), 403, "forbidden"),
        ("bo", json!({"avatar": anothers}), 403, "forbidden"),
        ("eve", json!({"retention_days": 1}), 403, "not_a_member"),
    ] {
        let answer = patch(who, &body).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{who}: {body}");
    }
    assert_eq!(shown().await, (picture, json!(30)));

    let none = json!({"avatar": null, "retention_days": 0});
    assert_eq!(patch("ana", &none).await.expect(200)["seq"], 3);
    assert_eq!(shown().await, (Value::Null, Value::Null));
}

/// `tests/security` tries every request as a stranger and as a member; here are the admins, who may some.
#[tokio::test]
async fn what_an_admin_may_do_to_whom() {
    let server = Server::start().await;
    let group = server.found("olga", &["ada", "abe", "mo", "mia"].map(str::to_owned)).await;
    let member = |user: &str| format!("/api/conversations/{group}/members/{user}");
    let role = |role: &str| json!({ "role": role });
    let ask = async |who: &str, method: &str, user: &str, body: &Value| {
        server.request_as(who, method, &member(user)).json(body).send().await
    };
    for admin in ["ada", "abe"] {
        ask("olga", "PATCH", admin, &role("admin")).await.expect(200);
    }
    let before = server.get("mo", &format!("/api/conversations/{group}")).await.expect(200);
    for (method, user, body) in [
        ("DELETE", "abe", Value::Null),
        ("DELETE", "olga", Value::Null),
        ("PATCH", "olga", role("member")),
        ("PATCH", "abe", role("member")),
        ("PATCH", "mo", role("owner")),
        ("PATCH", "ada", role("owner")),
    ] {
        let refused = ask("ada", method, user, &body).await;
        let what = format!("{method} {user} {body}: {}", refused.body);
        // Nobody takes the owner's role but by being handed it.
        let expected = if user == "olga" && method == "PATCH" { [400, 403] } else { [403, 403] };
        assert!(expected.contains(&refused.status), "{what}");
    }
    let after = server.get("mo", &format!("/api/conversations/{group}")).await.expect(200);
    assert_eq!(after, before);
    ask("ada", "DELETE", "mia", &Value::Null).await.expect(200);
    ask("ada", "PATCH", "ada", &role("member")).await.expect(200);
    ask("ada", "DELETE", "mo", &Value::Null).await.expect(403);
}

#[tokio::test]
async fn the_two_of_a_direct_conversation_choose_how_long_it_is_kept_up_to_what_the_operator_lets()
{
    let server = Server::with(&["--max-retention-days", "90"]).await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    let chat = "d:ana:bo";
    let path = format!("/api/conversations/{chat}");
    let patch = async |who: &str, body: &Value| {
        server.request_as(who, "PATCH", &path).json(body).send().await
    };
    let thirty = json!({"retention_days": 30});
    assert_eq!(patch("ana", &thirty).await.expect(403)["code"], "not_a_member");
    ana.say(chat, 0, "hi").await;
    bo.wait_for_type("message").await;
    let done = patch("bo", &thirty).await.expect(200);
    let told = json!({"kind": "updated", "retention_days": 30});
    assert_eq!((&done["seq"], &done["change"]["change"]), (&json!(2), &told));
    for device in [&mut ana, &mut bo] {
        let is_second = |frame: &Value| frame["type"] == "message" && frame["seq"] == 2;
        let message = device.wait_for("the change", is_second).await;
        assert_eq!(message["content"]["change"], told);
    }
    for (who, body, status, code) in [
        ("ana", json!({"retention_days": 91}), 400, "bad_request"),
        ("ana", json!({"retention_days": -1}), 400, "bad_request"),
        ("ana", json!({"retention_days": "30"}), 400, "bad_request"),
        ("ana", json!({"name": "us"}), 400, "bad_request"),
        ("ana", json!({"name": "us", "retention_days": 9}), 400, "bad_request"),
        ("ana", json!({"post": "admins", "retention_days": 9}), 400, "bad_request"),
        ("ana", json!({"avatar": null, "retention_days": 9}), 400, "bad_request"),
        ("ana", json!({}), 400, "bad_request"),
        ("eve", json!({"retention_days": 9}), 403, "not_a_member"),
    ] {
        let answer = patch(who, &body).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{who}: {body}");
    }
    let shown =
        async |who: &str| server.get(who, &path).await.expect(200)["retention_days"].clone();
    assert_eq!((shown("ana").await, shown("bo").await), (json!(30), json!(30)));
    assert_eq!(patch("ana", &json!({"retention_days": 0})).await.expect(200)["seq"], 3);
    assert_eq!(shown("bo").await, Value::Null);
}
