//! Erasing users over the wire: what is archived, uploaded and blocked goes too, some at a time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use petrel_test_client::frames;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::look::{each, until};
use crate::media;
use crate::server::{Server, endpoint};

/// What a user sent before he was disabled is on its way for so long at most, and a little more.
const SETTLED: Duration = Duration::from_secs(31);
const CHAT: &str = "d:ana:bo";
const ERASURE: &str = "/api/admin/users/ana/erasure";

async fn writes(server: &Server, to: &str, count: u64) {
    writes_as(server, "ana", to, count).await;
}

/// A user writes so many secrets, ten a frame.
async fn writes_as(server: &Server, who: &str, to: &str, count: u64) {
    let mut socket = server.connect(who).await;
    for seen in (0..count).step_by(10) {
        let message = |n: u64| (frames::new_id(), frames::text(&format!("secret {n}")));
        let ten: Vec<_> = (seen..seen + 10).map(message).collect();
        let sent = socket.ask(&frames::send_several(to, seen, &ten)).await;
        assert_eq!(sent["results"][9]["seq"], seen + 10, "{sent}");
    }
    socket.close().await;
}

/// All that bo can read there.
async fn reads(server: &Server, of: &str) -> Vec<Value> {
    let (mut all, mut after) = (vec![], 0);
    loop {
        let path = format!("/api/conversations/{of}/messages?after={after}&limit=100");
        let page = server.get("bo", &path).await.expect(200);
        all.extend(page["messages"].as_array().unwrap().iter().cloned());
        if page["more"] == false {
            return all;
        }
        after = all.last().unwrap()["seq"].as_u64().unwrap();
    }
}

/// The archive's objects of the chat.
fn objects(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = data.join("archive").join(CHAT);
    let files = fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|e| e == "zst"));
    // One may go between the list and the look.
    files.filter_map(|file| fs::read(&file).ok().map(|bytes| (file, bytes))).collect()
}

/// Asks until nothing is left, and returns how many entries were emptied in all.
async fn erases(server: &Server) -> u64 {
    let (mut erased, mut body) = (0, json!({}));
    for _ in 0..100 {
        let answer = server.operate("POST", ERASURE, &body).await;
        if answer.status == 503 {
            // What was sent before the first request may be on its way for half a minute.
            sleep(Duration::from_millis(answer.body["retry_after_ms"].as_u64().unwrap())).await;
            continue;
        }
        let done = answer.expect(200);
        erased += done["erased"].as_u64().unwrap();
        if done["page"].is_null() {
            return erased;
        }
        body["page"] = done["page"].clone();
    }
    panic!("it does not come to an end: {body}");
}

#[tokio::test]
async fn what_is_archived_uploaded_and_blocked_goes_too() {
    if endpoint().is_some() {
        return; // Nothing is archived there.
    }
    let server = Server::with(&["--hot", "1"]).await;
    writes(&server, CHAT, 260).await;
    let picture = media::upload(&server, "ana", "image/png", "a secret picture").await;
    let unsent = media::upload(&server, "ana", "image/png", "another").await;
    let carries = json!({"to_user_id": "bo", "content": {"type": "media", "media_id": picture}});
    server.post("ana", "/api/messages", &carries).await.expect(201);
    let look = format!("/api/conversations/{CHAT}/messages/261/media");
    let download = server.get("bo", &look).await.expect(200);
    media::fetch(&download).await.expect(200);
    for (who, whom) in [("ana", "eve"), ("ana", "mallory"), ("eve", "ana")] {
        let path = format!("/api/blocks/{whom}");
        server.request_as(who, "PUT", &path).send().await.expect(204);
    }
    let data = server.data().to_owned();
    until("something is archived", async || !objects(&data).is_empty()).await;
    let copies = objects(&data);

    assert_eq!(erases(&server).await, 261);
    let left = reads(&server, CHAT).await;
    let seqs: Vec<u64> = left.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=261).collect::<Vec<_>>(), "each has left its place");
    assert!(left.iter().all(|entry| entry["content"]["type"] == "gone"), "{left:?}");
    let export = format!("/api/conversations/{CHAT}/export");
    let export = server.get("bo", &export).await.expect(200);
    assert!(!export.to_string().contains("secret"), "{export}");
    // The files are gone, also for who has a link that is good still.
    server.get("bo", &look).await.expect(404);
    media::fetch(&download).await.expect(404);
    // What the archive holds is written anew without it.
    let anew = async || {
        let now = objects(&data);
        copies.iter().all(|(file, bytes)| now.get(file) != Some(bytes))
    };
    until("no copy is left in the archive", anew).await;
    assert_eq!(reads(&server, CHAT).await, left);

    // Should he come back, he finds nothing of his own; what others chose is theirs.
    server.operate("DELETE", "/api/admin/users/ana/disabled", &json!({})).await.expect(204);
    let blocks = server.get("ana", "/api/blocks").await.expect(200);
    assert_eq!(blocks, json!({"user_ids": [], "page": null}));
    let blocks = server.get("eve", "/api/blocks").await.expect(200);
    assert_eq!(blocks["user_ids"], json!(["ana"]));
    let unsent = json!({"to_user_id": "bo", "content": {"type": "media", "media_id": unsent}});
    server.post("ana", "/api/messages", &unsent).await.expect(404);
    let list = server.get("ana", "/api/conversations").await.expect(200);
    assert_eq!(list["conversations"], json!([]));
}

#[tokio::test]
async fn what_he_wrote_in_a_group_that_he_has_left_goes_and_so_do_his_invites() {
    let server = Server::start().await;
    let others = ["ana", "cy"].map(str::to_owned);
    let (left, stays) = (server.found("bo", &others).await, server.found("bo", &others).await);
    let mut ana = server.connect("ana").await;
    let mut cy = server.connect("cy").await;
    for group in [&left, &stays] {
        ana.say(group, 1, "secret").await;
        cy.say(group, 2, "a word").await;
        ana.say(group, 3, "secret too").await;
    }
    let may_add = json!({"add": "all"});
    let path = format!("/api/conversations/{stays}");
    server.request_as("bo", "PATCH", &path).json(&may_add).send().await.expect(200);
    let invites = format!("{path}/invites");
    let made = server.post("ana", &invites, &json!({})).await.expect(201);
    let code = format!("/api/invites/{}", made["code"].as_str().unwrap());
    server.get("eve", &code).await.expect(200);
    let leave = format!("/api/conversations/{left}/members/ana");
    server.request_as("ana", "DELETE", &leave).send().await.expect(200);
    ana.close().await;
    let read = async |who: &str| {
        let all = json!({"cursors": {&left: 0, &stays: 0}});
        server.post(who, "/api/sync", &all).await.expect(200).to_string()
    };
    assert_eq!(read("bo").await.matches("secret").count(), 4);

    assert_eq!(erases(&server).await, 4);
    for who in ["bo", "cy"] {
        let read = read(who).await;
        assert_eq!((read.matches("secret").count(), read.matches("a word").count()), (0, 2));
        assert_eq!(read.matches(r#""type":"gone""#).count(), 4, "{read}");
    }
    let void = async || {
        for method in ["GET", "POST"] {
            let refused = server.request_as("eve", method, &code).send().await.expect(404);
            assert_eq!(refused["code"], "not_found", "{method}");
        }
        assert_eq!(server.get("bo", &invites).await.expect(200), json!({"invites": []}));
    };
    void().await;
    // It has not only lost its maker.
    let again = json!({"user_ids": ["ana"]});
    server.post("bo", &format!("{path}/members"), &again).await.expect(200);
    void().await;
}

/// Waits until what a user sent before he was disabled cannot be on its way any more: half a minute after. Since when he is.
async fn settled(server: &Server, user: &str) -> u64 {
    let account = format!("/api/admin/users/{user}");
    let account = server.operate("GET", &account, &Value::Null).await.expect(200);
    let since = account["disabled_at"].as_u64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    sleep((Duration::from_millis(since) + SETTLED).saturating_sub(now)).await;
    since
}

/// A page is written here as a call answers it that has taken too long: when one does is for a clock to say
/// (`shared/core/tests/services/erasing.rs`).
#[tokio::test]
async fn the_erasure_in_one_conversation_goes_on_behind_its_page() {
    let server = Server::start().await;
    writes(&server, CHAT, 20).await;
    let page = format!("0~12~{CHAT}");
    // It is a page of this conversation and of no other.
    writes(&server, "d:ana:cy", 10).await;
    let elsewhere = json!({"conversation_id": "d:ana:cy", "page": page});
    server.operate("POST", ERASURE, &elsewhere).await.expect(400);
    let on = json!({"conversation_id": CHAT, "page": page});
    for erased in [8, 0] {
        let rest = server.operate("POST", ERASURE, &on).await.expect(200);
        assert_eq!(rest, json!({"erased": erased, "page": null}));
    }
    let kinds = each(&json!(reads(&server, CHAT).await), "/content/type");
    assert_eq!(kinds, json!([vec!["text"; 12], vec!["gone"; 8]].concat()));
    let all = json!({ "conversation_id": CHAT });
    let all = server.operate("POST", ERASURE, &all).await.expect(200);
    assert_eq!(all, json!({"erased": 12, "page": null}));
    // He is not disabled by that.
    let account = server.operate("GET", "/api/admin/users/ana", &Value::Null).await.expect(200);
    assert_eq!(account["disabled_at"], Value::Null);
}

#[tokio::test]
async fn the_erasure_of_a_user_goes_on_behind_its_page() {
    let server = Server::start().await;
    let erasure = |user: &str| format!("/api/admin/users/{user}/erasure");
    for user in ["ana", "abe"] {
        writes_as(&server, user, &frames::direct(user, "bo"), 20).await;
        writes_as(&server, user, &frames::direct(user, "cy"), 10).await;
        server.operate("POST", &erasure(user), &json!({})).await.expect(503);
    }
    // Of abe's the page is from before he was disabled last: it is begun anew.
    for (user, ago, erased, left) in [("ana", 0, 5 + 10, 15), ("abe", 1, 20 + 10, 0)] {
        let since = settled(&server, user).await;
        let chat = frames::direct(user, "bo");
        let on = json!({"page": format!("{}~15~{chat}", since - ago)});
        let done = server.operate("POST", &erasure(user), &on).await.expect(200);
        assert_eq!(done, json!({"erased": erased, "page": null}), "{user}");
        let kinds = each(&json!(reads(&server, &chat).await), "/content/type");
        let expected = [vec!["text"; left], vec!["gone"; 20 - left]].concat();
        assert_eq!(kinds, json!(expected), "{user}");
    }
}

#[tokio::test]
async fn a_page_that_nobody_was_answered_is_refused_and_erases_nothing() {
    let server = Server::start().await;
    writes(&server, CHAT, 10).await;
    let before = reads(&server, CHAT).await;
    let of = |page: Value| json!({ "page": page });
    let in_chat = |page: Value| json!({"page": page, "conversation_id": CHAT});
    let mut bodies =
        vec![json!([]), json!({"conversation_id": 7}), json!({"conversation_id": "bo"})];
    for page in [
        "",
        "~",
        "1",
        "rest",
        "1~",
        "~rest",
        "1~~",
        "1~all",
        "-1~rest",
        "+1~rest",
        "1.5~rest",
        "99999999999999999999~rest",
        "1~rest~",
        "1~behind",
        "1~behind~",
        "1~behind~nowhere",
        "1~behind~d:bo:ana",
        "1~5~",
        "1~5~nowhere",
        "1~-5~d:ana:bo",
        "1~x~d:ana:bo",
        " 1~rest",
        "1~rest\u{0}",
    ] {
        bodies.extend([of(json!(page)), in_chat(json!(page))]);
    }
    for page in [json!(7), json!(true), json!([]), json!({})] {
        bodies.extend([of(page.clone()), in_chat(page)]);
    }
    // Pages as they are answered, of something else.
    for page in ["0~rest", "0~behind~d:ana:bo", "0~5~d:ana:cy"] {
        bodies.push(in_chat(json!(page)));
    }
    for body in bodies {
        let refused = server.operate("POST", ERASURE, &body).await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!("bad_request")), "{body}");
    }
    assert_eq!(reads(&server, CHAT).await, before);
    let account = server.operate("GET", "/api/admin/users/ana", &Value::Null).await.expect(200);
    assert_eq!(account["disabled_at"], Value::Null);
}
