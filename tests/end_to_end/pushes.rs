//! Waking phones: about what they may not have, once, and not about what they have.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use petrel_test_client::frames;
use serde_json::{Value, json};

use crate::look::{each, pick};
use crate::media;
use crate::server::{Server, crowd};

/// This user has a phone.
async fn has_a_phone(server: &Server, user: &str) {
    let endpoint = json!({"platform": "fcm", "token": format!("token of {user}")});
    let put = server.request_as(user, "PUT", "/api/devices/phone/push").json(&endpoint);
    put.send().await.expect(204);
}

async fn have_phones(server: &Server, users: &[String]) {
    let all: Vec<_> = users.iter().map(|user| has_a_phone(server, user)).collect();
    // Few at once: a push service that is an emulator answers them one by one.
    stream::iter(all).buffer_unordered(4).collect::<()>().await;
}

#[tokio::test]
async fn of_a_thousand_members_each_phone_that_is_offline_is_woken_once_a_message() {
    let server = Server::with(&["--memory", "--push-delay", "900"]).await;
    let users = crowd(1000);
    // Some in every chunk of members: user005, user010, …
    let phones: Vec<String> = users.iter().skip(5).step_by(5).cloned().collect();
    have_phones(&server, &phones).await;
    let (online, offline) = phones.split_at(10);
    let _sockets = server.connect_all(online).await;
    let group = server.found(&users[0], &users[1..]).await;
    let mut sender = server.connect(&users[0]).await;
    for seen in 1..=3 {
        sender.say(&group, seen, "wake up").await;
    }

    server.fanned_out().await;
    // The ten who are online are in one chunk. Their pushes wait for what they acknowledge.
    let waits = |state: &Value| state["queues"]["push"]["messages"] == 3;
    let state = server.wait_until("all pushes but theirs are out", waits).await;
    let pushes = state["pushes"].as_array().unwrap();
    let distinct: BTreeSet<_> = pushes.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), offline.len() * 3, "one a phone and message");
    assert_eq!(pushes.len(), distinct.len(), "and none twice");
    let seqs: BTreeSet<_> = pushes.iter().filter_map(|p| p["seq"].as_u64()).collect();
    assert_eq!(Vec::from_iter(seqs), [2, 3, 4], "that the group was founded wakes nobody");
    assert_eq!(
        pick(&pushes[0], &["conversation_id", "sender_id", "preview"]),
        json!({"conversation_id": group, "sender_id": users[0], "preview": "wake up"})
    );
}

#[tokio::test]
async fn a_push_job_is_for_a_hundred_members() {
    let server = Server::with(&["--memory", "--push-delay", "900"]).await;
    let users = crowd(300);
    have_phones(&server, &users).await;
    let _sockets = server.connect_all(&users).await;
    let group = server.found(&users[0], &users[1..]).await;
    let mut sender = server.connect(&users[0]).await;
    sender.say(&group, 1, "who is there?").await;
    server.fanned_out().await;
    // Their sockets took it, so their pushes wait.
    let state = server.state().await;
    assert_eq!((&state["queues"]["push"]["messages"], &state["pushes"]), (&json!(3), &json!([])));
}

#[tokio::test]
async fn a_phone_is_not_woken_about_what_was_acknowledged_meanwhile() {
    let delay = Duration::from_secs(1);
    let server = Server::with(&["--push-delay", "1"]).await;
    let (mut ana, _bo) = (server.connect("ana").await, server.connect("bo").await);
    has_a_phone(&server, "bo").await;
    has_a_phone(&server, "cy").await;
    let _cy = server.connect("cy").await;

    // The delay counts from some moment after the send: an acknowledgement that stands before the delay has passed since
    // was in time. On a machine so slow that it was not, the next message shows it.
    let mut seq = 0;
    let acknowledged = loop {
        let begun = Instant::now();
        seq = ana.say("d:ana:bo", seq, "did you get this?").await["seq"].as_u64().unwrap();
        let ack = json!({"delivered": seq});
        server.post("bo", "/api/conversations/d:ana:bo/ack", &ack).await.expect(204);
        if begun.elapsed() < delay {
            break seq;
        }
    };
    ana.say("d:ana:cy", 0, "and you?").await;

    let pushes = server.pushed_out().await;
    let about = |conversation: &str, seq: u64| {
        let same = |p: &&Value| p["conversation_id"] == conversation && p["seq"] == seq;
        pushes.iter().filter(same).count()
    };
    assert_eq!(about("d:ana:bo", acknowledged), 0, "{pushes:?}");
    assert_eq!(about("d:ana:cy", 1), 1, "cy's socket took it, but cy did not say so: {pushes:?}");
}

#[tokio::test]
async fn a_socket_that_closes_before_it_acknowledged_is_followed_by_one_push() {
    let server = Server::with(&["--push-delay", "1"]).await;
    has_a_phone(&server, "bo").await;
    let (mut ana, mut bo) = (server.connect("ana").await, server.connect("bo").await);
    let sent = ana.say("d:ana:bo", 0, "did you get this?").await;
    bo.wait_for_message(sent["message_id"].as_str().unwrap()).await;
    bo.close().await;
    server.wait_until("bo has left", |state| state["connections"] == 1).await;
    ana.say("d:ana:bo", 1, "and this?").await;

    let mut pushes = server.pushed_out().await;
    pushes.sort_by_key(|push| push["seq"].as_u64());
    assert_eq!(each(&pushes.into(), "/seq"), json!([1, 2]), "each once");
}

#[tokio::test]
async fn nobody_is_woken_by_edits_reactions_and_what_they_wrote_themselves() {
    let server = Server::start().await;
    has_a_phone(&server, "ana").await;
    has_a_phone(&server, "bo").await;
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, "one").await;
    // Before it is deleted: nothing that is gone is announced.
    assert_eq!(server.pushed_out().await.len(), 1);
    let not_said = [
        json!({"type": "reaction", "target": 1, "emoji": "👍"}),
        json!({"type": "edit", "target": 1, "text": "two"}),
        json!({"type": "delete", "target": 1}),
    ];
    for (seen, content) in (1..).zip(not_said) {
        let sent = ana.ask(&frames::send("d:ana:bo", seen, &frames::new_id(), content)).await;
        assert_eq!(sent["type"], "sent", "{sent}");
    }
    let sealed = json!({"type": "sealed", "ciphertext": "c2VjcmV0"});
    ana.ask(&frames::send("d:ana:bo", 4, &frames::new_id(), sealed)).await;

    let mut pushes = server.pushed_out().await;
    pushes.sort_by_key(|push| push["seq"].as_u64());
    let pushes = pushes.into();
    assert_eq!(each(&pushes, "/seq"), json!([1, 5]));
    assert_eq!(each(&pushes, "/preview"), json!(["one", null]), "nobody looks into what is sealed");
}

#[tokio::test]
async fn who_sends_what_is_sealed_says_whether_it_wakes() {
    let server = Server::start().await;
    has_a_phone(&server, "bo").await;
    let mut ana = server.connect("ana").await;
    let sealed = |push: Value| json!({"type": "sealed", "ciphertext": "c2VjcmV0", "push": push});
    let unsaid = json!({"type": "sealed", "ciphertext": "c2VjcmV0"});
    for (seen, content) in (0..).zip([sealed(json!(false)), sealed(json!(true)), unsaid.clone()]) {
        let sent = ana.ask(&frames::send("d:ana:bo", seen, &frames::new_id(), content)).await;
        assert_eq!(sent["type"], "sent", "{sent}");
    }
    for push in [json!("no"), json!(0), json!(null), json!([])] {
        let frame = frames::send("d:ana:bo", 3, &frames::new_id(), sealed(push));
        assert_eq!(ana.ask(&frame).await["code"], "bad_request", "{frame}");
    }
    let mut pushes = server.pushed_out().await;
    pushes.sort_by_key(|push| push["seq"].as_u64());
    assert!(pushes.iter().all(|p| !p.to_string().contains("c2VjcmV0")), "{pushes:?}");
    let pushes = pushes.into();
    assert_eq!(each(&pushes, "/seq"), json!([2, 3]));
    assert_eq!(each(&pushes, "/preview"), json!([null, null]));
    // What does not wake does not count either.
    let unread = server.get("bo", "/api/unread").await.expect(200);
    assert_eq!(pick(&unread, &["messages", "badge"]), json!({"messages": 2, "badge": 2}));
    let read = server.get("bo", "/api/conversations/d:ana:bo/messages?after=0").await.expect(200);
    assert_eq!(each(&read["messages"], "/content"), json!([sealed(json!(false)), unsaid, unsaid]));
}

#[tokio::test]
async fn each_of_a_users_phones_is_woken_whatever_its_make() {
    let server = Server::start().await;
    for platform in ["apns", "apns_sandbox", "fcm"] {
        let path = format!("/api/devices/{platform}/push");
        let body = json!({"platform": platform, "token": "the same for all"});
        server.request_as("bo", "PUT", &path).json(&body).send().await.expect(204);
    }
    server.connect("ana").await.say("d:ana:bo", 0, "ring").await;
    let pushes = server.pushed_out().await;
    let endpoints: BTreeSet<_> = pushes.iter().map(|push| push["endpoint"].to_string()).collect();
    assert_eq!((pushes.len(), endpoints.len()), (3, 3), "{pushes:?}");
}

#[tokio::test]
async fn who_wants_no_words_on_his_phone_gets_none_and_others_do() {
    let server = Server::start().await;
    let users = ["bo", "cy"].map(str::to_owned);
    have_phones(&server, &users).await;
    let hide = json!({"hide_previews": true});
    server.request_as("bo", "PATCH", "/api/profile").json(&hide).send().await.expect(200);
    let group = server.found("ana", &users).await;
    server.connect("ana").await.say(&group, 1, "the surprise is at eight").await;
    let pushes = Value::from(server.pushed_out().await);
    let mut shown: Vec<_> =
        each(&pushes, "/preview").as_array().unwrap().iter().map(Value::to_string).collect();
    shown.sort();
    assert_eq!(shown, ["\"the surprise is at eight\"", "null"]);
}

#[tokio::test]
async fn a_push_says_by_name_and_picture_who_wrote() {
    let server = Server::start().await;
    let users = ["bo", "cy"].map(str::to_owned);
    have_phones(&server, &users).await;
    let profile = async |user: &str, change: Value| {
        let patch = server.request_as(user, "PATCH", "/api/profile").json(&change);
        patch.send().await.expect(200)
    };
    // Who wants no words is told who wrote all the same.
    profile("cy", json!({"hide_previews": true})).await;
    let group = server.found("ana", &users).await;
    let mut ana = server.connect("ana").await;
    let face = media::upload(&server, "ana", "image/webp", "a face").await;
    let mut told = vec![];
    for (seen, change) in (1..).zip([
        json!({"name": null}),
        json!({"name": "Ana 👋", "avatar": face}),
        json!({"avatar": null}),
    ]) {
        profile("ana", change).await;
        ana.say(&group, seen, "hello").await;
        let pushes = server.pushed_out().await;
        assert_eq!(pushes.len(), 2 * (told.len() + 1), "one for each phone");
        let (first, second) = (&pushes[pushes.len() - 2], &pushes[pushes.len() - 1]);
        let who = ["sender_id", "sender_name", "sender_avatar"];
        assert_eq!(pick(first, &who), pick(second, &who));
        let previews = [&first["preview"], &second["preview"]];
        assert_eq!(previews.iter().filter(|p| p.is_null()).count(), 1, "{previews:?}");
        told.push(pick(first, &who));
    }
    let who = |name: Value, avatar: Value| json!({"sender_id": "ana", "sender_name": name, "sender_avatar": avatar});
    let name = || json!("Ana 👋");
    assert_eq!(
        told,
        [who(Value::Null, Value::Null), who(name(), face.clone()), who(name(), Value::Null)]
    );
    // It is what the phone fetches.
    let look = format!("/api/media/{}/avatar", face.as_str().unwrap());
    let download = server.get("bo", &look).await.expect(200);
    assert_eq!(media::fetch(&download).await.expect(200), "a face");
}

#[tokio::test]
async fn a_phone_that_changes_hands_shows_nothing_of_its_last_owner() {
    let server = Server::start().await;
    let phone = json!({"platform": "fcm", "token": "one"});
    for owner in ["bo", "cy"] {
        let put = server.request_as(owner, "PUT", "/api/devices/phone/push");
        put.json(&phone).send().await.expect(204);
    }
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, "for bo alone").await;
    ana.say("d:ana:cy", 0, "hello").await;
    let pushes = server.pushed_out().await.into();
    assert_eq!(each(&pushes, "/preview"), json!(["hello"]));
    let account = server.operate("GET", "/api/admin/users/bo", &Value::Null).await.expect(200);
    assert_eq!(account["devices"], json!([]), "it is his no more");
}

#[tokio::test]
async fn a_device_that_takes_no_more_pushes_gets_none() {
    let server = Server::start().await;
    has_a_phone(&server, "bo").await;
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, "ring").await;
    assert_eq!(server.pushed_out().await.len(), 1);
    server.request_as("bo", "DELETE", "/api/devices/phone/push").send().await.expect(204);
    ana.say("d:ana:bo", 1, "silence").await;
    assert_eq!(server.pushed_out().await.len(), 1);
}

#[tokio::test]
async fn the_push_service_forgets_phones_that_are_signed_out_or_erased() {
    let server = Server::start().await;
    let known = async || server.state().await["phones"].clone();
    for user in ["bo", "cy", "dee"] {
        has_a_phone(&server, user).await;
    }
    assert_eq!(known().await, 3);
    // Another token takes the place of the last one.
    let another = json!({"platform": "fcm", "token": "another"});
    let put = server.request_as("bo", "PUT", "/api/devices/phone/push").json(&another);
    put.send().await.expect(204);
    assert_eq!(known().await, 3);
    server.request_as("bo", "DELETE", "/api/devices/phone/push").send().await.expect(204);
    assert_eq!(known().await, 2);
    server.operate("DELETE", "/api/admin/users/cy/devices/phone", &json!({})).await.expect(204);
    assert_eq!(known().await, 1);
    // The rest of an erasure has to wait for what is on its way.
    server.operate("POST", "/api/admin/users/dee/erasure", &json!({})).await.expect(503);
    assert_eq!(known().await, 0);
}
