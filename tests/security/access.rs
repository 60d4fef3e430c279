//! Every row of the table, tried by whoever must not pass: a stranger, one who was removed, one who came later. What is
//! forbidden is answered byte for byte as what is not there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use petrel_test_client::frames::{self, new_id, text};
use serde_json::{Value, json};

use super::raw;
use super::routes::{LOCAL, ROUTES, Row, Way, Who};
use crate::media;
use crate::server::Server;
use crate::tokens::Token;

/// ana (admin), bo and late are in a group that late joined as its fourth entry and ex was removed from; ana and bo also
/// talk to each other. eve belongs to nothing.
struct Scene {
    server: Server,
    group: String,
}

const DIRECT: &str = "d:ana:bo";

impl Scene {
    async fn set() -> Self {
        let server = Server::start().await;
        let group = server.found("ana", &["bo", "ex"].map(str::to_owned)).await;
        let say = |to: &str, words: &str| json!({"conversation_id": to, "content": text(words)});
        let post = async |to: &str, words: &str| {
            server.post("ana", "/api/messages", &say(to, words)).await.expect(201)
        };
        post(&group, "before late").await;
        let members = format!("/api/conversations/{group}/members");
        server.request_as("ana", "DELETE", &format!("{members}/ex")).send().await.expect(200);
        server.post("ana", &members, &json!({"user_ids": ["late"]})).await.expect(200);
        post(&group, "after late").await;
        post(DIRECT, "one").await;
        for words in ["two", "three", "four", "five"] {
            post(DIRECT, words).await;
        }
        // In both as the sixth.
        let id = media::upload(&server, "ana", "image/png", "a picture").await;
        for to in [&*group, DIRECT] {
            let content = json!({"type": "media", "media_id": id});
            let body = json!({"conversation_id": to, "content": content});
            server.post("ana", "/api/messages", &body).await.expect(201);
        }
        Self { server, group }
    }

    /// All that anybody has.
    async fn stored(&self) -> Vec<Value> {
        self.stored_of(&["ana", "bo", "late", "ex", "eve"]).await
    }

    /// All that these have.
    async fn stored_of(&self, users: &[&str]) -> Vec<Value> {
        let mut all = vec![self.server.state().await["queues"].clone()];
        for user in users {
            all.push(self.server.post(user, "/api/sync", &json!({})).await.expect(200));
        }
        all
    }

    /// The whole answer to a row's request about a conversation, byte for byte. Of a frame it is the next that comes.
    async fn answer(&self, row: &Row, user: &str, conversation: &str, id: &str) -> String {
        let (path, body) = row.fill(conversation, id, user);
        match row.way {
            Way::Http(method) => {
                raw::ask_as(&self.server, user, &format!("{method} {path}"), &body).await
            }
            Way::Frame(_) => {
                let (mut outgoing, mut incoming) = self.server.connect(user).await.split();
                outgoing.send(&serde_json::from_str(&body).unwrap()).await.unwrap();
                incoming.next_text().await.unwrap().to_string()
            }
        }
    }

    /// That the request succeeds for `user`; `other` is told of what has no answer.
    async fn assert_passes(&self, row: &Row, user: &str, other: &str, conversation: &str) {
        let (_, body) = row.fill(conversation, &new_id(), user);
        let what = format!("{row:?} as {user} in {conversation}");
        let mut other = self.server.connect(other).await;
        match row.way {
            Way::Frame("ack" | "typing") => {
                let mut mine = self.server.connect(user).await;
                let frame: Value = serde_json::from_str(&body).unwrap();
                mine.send(&frame).await;
                let told = if frame["action"] == "ack" { "receipt" } else { "typing" };
                other.wait_for_type(told).await;
            }
            Way::Frame(_) => {
                let answer = self.answer(row, user, conversation, &new_id()).await;
                assert!(!answer.contains(r#""type":"error""#), "{what}: {answer}");
            }
            Way::Http(_) => {
                let answer = self.answer(row, user, conversation, &new_id()).await;
                assert!((200..300).contains(&raw::status(&answer)), "{what}: {answer}");
            }
        }
    }

    /// The conversations that a row's request can be about.
    fn of(&self, row: &Row) -> Vec<(String, String)> {
        let nowhere = format!("g:{}", new_id());
        let mut pairs =
            vec![(self.group.clone(), nowhere), (DIRECT.to_owned(), "d:ana:nobody".to_owned())];
        pairs.retain(|(there, _)| row.is_for(there));
        pairs
    }
}

/// Whether the answer is the one refusal that says nothing.
fn is_refused(row: &Row, answer: &str) -> bool {
    let status = matches!(row.way, Way::Frame(_)) || raw::status(answer) == 403;
    status && answer.contains(r#""code":"not_a_member""#)
}

#[tokio::test]
async fn a_stranger_is_told_the_same_of_what_is_there_and_of_what_is_not() {
    let scene = Scene::set().await;
    let before = scene.stored().await;
    for row in Row::guarded() {
        for (there, nowhere) in scene.of(row) {
            let id = new_id();
            let refused = scene.answer(row, "eve", &there, &id).await;
            let missing = scene.answer(row, "eve", &nowhere, &id).await;
            assert!(is_refused(row, &refused), "{row:?} {there}: {refused}");
            assert_eq!(refused, missing, "{row:?} {there}");
        }
    }
    assert_eq!(scene.stored().await, before);
}

#[tokio::test]
async fn who_was_removed_is_a_stranger() {
    let scene = Scene::set().await;
    let before = scene.stored().await;
    for row in Row::guarded() {
        let (there, nowhere) = scene.of(row).remove(0);
        let id = new_id();
        let refused = scene.answer(row, "ex", &there, &id).await;
        let missing = scene.answer(row, "ex", &nowhere, &id).await;
        assert!(is_refused(row, &refused), "{row:?}: {refused}");
        assert_eq!(refused, missing, "{row:?}");
    }
    assert_eq!(scene.stored().await, before);
}

#[tokio::test]
async fn what_is_an_admins_a_member_may_not_do() {
    let scene = Scene::set().await;
    let before = scene.stored().await;
    for row in Row::guarded().filter(|row| row.who == Who::Admins) {
        let answer = scene.answer(row, "bo", &scene.group, &new_id()).await;
        assert_eq!(raw::status(&answer), 403, "{row:?}: {answer}");
        assert!(answer.contains(r#""code":"forbidden""#), "{row:?}: {answer}");
    }
    assert_eq!(scene.stored().await, before);
}

/// Without this, a request that is refused for a wrong field would look like one that is refused for its caller.
#[tokio::test]
async fn each_row_passes_for_those_who_may() {
    let scene = Scene::set().await;
    // Whoever has a code: in `groups::who_has_a_code_joins_and_who_has_none_learns_nothing`; whoever has uploaded: in `media`.
    let others = [Who::Holders, Who::Uploaders, Who::Operators];
    let mut rows: Vec<&Row> = ROUTES.iter().filter(|row| !others.contains(&row.who)).collect();
    // An ack that comes second tells nobody, and who has left can do nothing more.
    rows.sort_by_key(|row| match row.way {
        Way::Frame(_) => 0,
        Way::Http("DELETE") => {
            if row.who == Who::Members {
                3
            } else {
                2
            }
        }
        Way::Http(_) => 1,
    });
    for row in rows {
        let user = if row.who == Who::Admins { "ana" } else { "bo" };
        for (there, _) in scene.of(row) {
            let other = if user == "ana" { "bo" } else { "ana" };
            scene.assert_passes(row, user, other, &there).await;
        }
    }
}

#[tokio::test]
async fn nothing_but_what_is_anyones_passes_without_a_token() {
    let scene = Scene::set().await;
    let before = scene.stored().await;
    for row in ROUTES {
        let Way::Http(method) = row.way else { continue };
        let (path, body) = row.fill(&scene.group, &new_id(), "ana");
        let headers = [("content-type", "application/json")];
        let line = format!("{method} {path}");
        let answer = raw::ask(&scene.server, &line, &headers, &body).await;
        let expected = if row.who == Who::Anyone { 200 } else { 401 };
        assert_eq!(raw::status(&answer), expected, "{line}: {answer}");
    }
    assert_eq!(scene.stored().await, before);
}

#[tokio::test]
async fn who_is_disabled_may_do_nothing_not_even_as_an_operator() {
    let scene = Scene::set().await;
    let to_be = ["bo", "op"];
    for user in to_be {
        let path = format!("/api/admin/users/{user}/disabled");
        scene.server.operate("PUT", &path, &Value::Null).await.expect(200);
    }
    let before = scene.stored_of(&["ana", "late", "ex", "eve"]).await;
    for row in ROUTES {
        let Way::Http(method) = row.way else { continue };
        if row.who == Who::Anyone {
            continue;
        }
        for user in to_be {
            let (path, body) = row.fill(&scene.group, &new_id(), user);
            let token = Token::of(user).claim("scope", "petrel/admin").signed(&scene.server.key());
            let call = scene.server.request(method, &path).token(&token);
            let answer = call.header("content-type", "application/json").text(&body).send().await;
            assert_eq!(answer.status, 403, "{method} {path} as {user}: {}", answer.body);
            assert_eq!(answer.body["code"], "disabled", "{method} {path} as {user}");
        }
    }
    assert_eq!(scene.stored_of(&["ana", "late", "ex", "eve"]).await, before);
}

#[tokio::test]
async fn what_is_ones_own_says_nothing_of_others_whatever_it_names() {
    let scene = Scene::set().await;
    let sync = |body: &str| {
        let body = body.to_owned();
        let server = &scene.server;
        async move { raw::ask_as(server, "eve", "POST /api/sync", &body).await }
    };
    let nothing = sync("{}").await;
    assert!(nothing.contains(r#"{"batches":[],"conversations":[],"page":null}"#), "{nothing}");
    for of in [scene.group.as_str(), DIRECT, "d:ana:nobody"] {
        assert_eq!(sync(&format!(r#"{{"cursors":{{"{of}":0}},"tail":true}}"#)).await, nothing);
        assert_eq!(sync(&format!(r#"{{"page":"{of}"}}"#)).await, nothing);
        let list = raw::ask_as(&scene.server, "eve", "GET /api/conversations", "").await;
        let line = format!("GET /api/conversations?page={of}");
        assert_eq!(raw::ask_as(&scene.server, "eve", &line, "").await, list);
    }
}

#[tokio::test]
async fn who_came_later_learns_nothing_of_what_was_before() {
    let scene = Scene::set().await;
    let group = &scene.group;
    let of = format!("/api/conversations/{group}");
    let seqs = |list: &Value| -> Vec<u64> {
        list.as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()).collect()
    };
    for query in ["after=0", "before=99", "before=7&limit=100"] {
        let answer = scene.server.get("late", &format!("{of}/messages?{query}")).await.expect(200);
        assert_eq!(seqs(&answer["messages"]), [4, 5, 6], "{query}");
        assert_eq!(answer["more"], false, "{query}");
    }
    let synced = scene.server.post("late", "/api/sync", &json!({"cursors": {group: 0}})).await;
    assert_eq!(seqs(&synced.expect(200)["batches"][0]["messages"]), [4, 5, 6]);
    let mut late = scene.server.connect("late").await;
    for frame in [frames::history_after(group, 0, 9), frames::history_before(group, 99, 9)] {
        assert_eq!(seqs(&late.ask(&frame).await["messages"]), [4, 5, 6]);
    }
    // What lies before is as good as not there.
    let receipts = async |seq: u64| {
        raw::ask_as(&scene.server, "late", &format!("GET {of}/receipts?seq={seq}"), "").await
    };
    assert_eq!(receipts(2).await, receipts(99).await);
    let id = new_id();
    for kind in ["reply", "reaction", "edit", "delete"] {
        let send = async |target: u64| {
            let content = json!({"type": kind, "target": target, "text": "x", "emoji": "+"});
            let body = json!({"conversation_id": group, "message_id": id, "content": content});
            raw::ask_as(&scene.server, "late", "POST /api/messages", &body.to_string()).await
        };
        let refused = send(2).await;
        assert!(refused.contains(r#""code":"not_found""#), "{kind}: {refused}");
        assert_eq!(refused, send(99).await, "{kind}");
    }
    let ack = scene.server.post("late", &format!("{of}/ack"), &json!({"read": 2})).await;
    assert_eq!(ack.status, 400);
}

#[tokio::test]
async fn a_device_of_the_same_name_is_another_users_own() {
    let server = Server::start().await;
    let phone = |token: &str| json!({"platform": "fcm", "token": token}).to_string();
    let put = |user: &str, token: &str| {
        server
            .request_as(user, "PUT", "/api/devices/phone/push")
            .header("content-type", "application/json")
            .text(&phone(token))
    };
    put("bo", "bos-phone").send().await.expect(204);
    let mut bo = server.connect_device("bo", "phone").await;
    let mut ana = server.connect("ana").await;

    // Eve takes the same name, and gives it up again.
    put("eve", "eves-phone").send().await.expect(204);
    let mut eve = server.connect_device("eve", "phone").await;
    ana.say("d:ana:bo", 0, "for bo alone").await;
    bo.wait_for_type("message").await;
    eve.sync(&json!({})).await;
    assert_eq!(eve.take_mailbox(), [Value::Null; 0]);
    server.request_as("eve", "DELETE", "/api/devices/phone/push").send().await.expect(204);
    eve.close().await;
    server.wait_until("eve is gone", |state| state["connections"] == 2).await;

    ana.say("d:ana:bo", 1, "still").await;
    bo.wait_for_type("message").await;
    bo.close().await;
    server.wait_until("bo is gone", |state| state["connections"] == 1).await;
    ana.say("d:ana:bo", 2, "by push").await;
    let woken = |state: &Value| {
        let pushes = state["pushes"].as_array().unwrap();
        pushes.iter().any(|p| p["preview"] == "by push")
    };
    server.wait_until("bo is woken", woken).await;
}

/// What makes a request repeatable is one user's own: another who knows it gets no place, and no group, of his.
#[tokio::test]
async fn the_keys_of_anothers_requests_are_good_for_nothing() {
    let server = Server::start().await;
    let founding = json!({"name": "crew", "member_ids": ["ana", "bo"], "request_id": "1"});
    let mut groups = vec![];
    for user in ["ana", "bo", "ana"] {
        let made = server.post(user, "/api/conversations", &founding).await.expect(201);
        groups.push(made["conversation_id"].clone());
    }
    assert_ne!(groups[0], groups[1]);
    assert_eq!(groups[0], groups[2]);

    let id = new_id();
    let mut places = vec![];
    for (user, words) in [("ana", "hers"), ("bo", "his"), ("ana", "again")] {
        let message =
            json!({"conversation_id": groups[0], "message_id": id, "content": text(words)});
        let sent = server.post(user, "/api/messages", &message).await;
        places.push((sent.status, sent.body["seq"].clone(), sent.body["duplicate"].clone()));
    }
    let expected = [(201, 2, false), (201, 3, false), (200, 2, true)];
    assert_eq!(places, expected.map(|(status, seq, again)| (status, json!(seq), json!(again))));
}

/// Nobody's own token opens what is an operator's, nor does one with other scopes, or one with theirs that is not good.
#[tokio::test]
async fn what_is_an_operators_nobody_else_may_do() {
    let scene = Scene::set().await;
    let before = scene.stored().await;
    let key = scene.server.key();
    let token = |scope: Value| Token::of("eve").claim("scope", scope).signed(&key);
    let scopes = [
        json!(""),
        json!("petrel"),
        json!("petrel/administrator"),
        json!("xpetrel/admin"),
        json!("petrel/admin2 openid"),
        json!("petrel/admin,openid"),
        json!("PETREL/ADMIN"),
        json!("petrel/admin\n"),
    ];
    let rows = || ROUTES.iter().filter(|row| row.who == Who::Operators);
    for row in rows() {
        let Way::Http(method) = row.way else { panic!("{row:?}") };
        let (path, body) = row.fill(&scene.group, &new_id(), "eve");
        let line = format!("{method} {path}");
        let ask = async |token: &str| {
            let bearer = format!("Bearer {token}");
            let headers = [("content-type", "application/json"), ("authorization", &*bearer)];
            raw::ask(&scene.server, &line, &headers, &body).await
        };
        let mut tokens: Vec<String> = scopes.iter().cloned().map(token).collect();
        tokens.extend(["eve", "ana"].map(|user| scene.server.token(user)));
        for token in tokens {
            let answer = ask(&token).await;
            assert_eq!(raw::status(&answer), 403, "{line}: {answer}");
            assert!(answer.contains(r#""code":"forbidden""#), "{line}: {answer}");
        }
        // A claim of another kind is no scope; a token that is forged, or whose scope stands elsewhere, none at all.
        for scope in [json!(["petrel/admin"]), json!({"petrel/admin": true}), json!(1)] {
            assert!([401, 403].contains(&raw::status(&ask(&token(scope)).await)), "{line}");
        }
        let forged = Token::of("eve").claim("scope", "petrel/admin");
        for forged in [forged.signed(&[7; 32]), forged.unsigned()] {
            assert_eq!(raw::status(&ask(&forged).await), 401, "{line}");
        }
    }
    assert_eq!(scene.stored().await, before);
    let operator = Token::of("root").claim("scope", "openid petrel/admin").signed(&key);
    for row in rows() {
        let Way::Http(method) = row.way else { continue };
        let (path, body) = row.fill(&scene.group, &new_id(), "eve");
        let call = scene.server.request(method, &path).token(&operator);
        let answer = call.header("content-type", "application/json").text(&body).send().await;
        assert!((200..300).contains(&answer.status), "{row:?}: {}", answer.body);
    }
}

/// The words between these marks, in every Rust file of a folder.
fn quoted(folder: &str, begin: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut found = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&file).unwrap();
            let paths = text.split(begin).skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(paths.map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_path_and_every_action_has_a_row_and_every_row_is_there() {
    let sources = ["functions/src", "functions/src/api", "shared/core/src/wire"];
    let paths = sources.into_iter().flat_map(|folder| quoted(folder, "\"/api/"));
    let paths: BTreeSet<String> = paths.map(|path| format!("/api/{path}")).collect();
    let rows: BTreeSet<String> =
        ROUTES.iter().filter(|r| !r.route.is_empty()).map(|r| r.route.to_owned()).collect();
    assert_eq!(rows, paths, "tests/security/routes.rs beside the router");

    let schema: Value =
        serde_json::from_str(include_str!("../../docs/protocol.schema.json")).unwrap();
    let frames = schema["$defs"]["ClientFrame"]["oneOf"].as_array().unwrap();
    let known = frames.iter().map(|f| f["properties"]["action"]["const"].as_str().unwrap());
    let known: BTreeSet<&str> = known.collect();
    let rows = ROUTES.iter().filter_map(|row| match row.way {
        Way::Frame(action) => Some(action),
        Way::Http(_) => None,
    });
    assert_eq!(rows.collect::<BTreeSet<_>>(), known, "tests/security/routes.rs beside the schema");

    let local: BTreeSet<String> = quoted("infra/local/src", ".route(\"");
    let listed: BTreeSet<String> = LOCAL.iter().map(|&p| p.to_owned()).collect();
    assert_eq!(listed, local, "LOCAL in tests/security/routes.rs beside infra/local");
}

#[tokio::test]
async fn a_path_takes_the_methods_of_its_rows_and_no_other() {
    let scene = Scene::set().await;
    let paths: BTreeSet<&str> = ROUTES.iter().map(|r| r.path).filter(|p| !p.is_empty()).collect();
    for path in paths {
        let of_path = |row: &&Row| row.path.split('?').next() == path.split('?').next();
        let route = ROUTES.iter().find(of_path).unwrap().route;
        let filled = path.replace("{conversation}", &scene.group).replace("{me}", "eve");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"] {
            let answer = raw::ask_as(&scene.server, "eve", &format!("{method} {filled}"), "").await;
            let has = |row: &Row| row.route == route && row.way == Way::Http(method);
            let is_there = !answer.contains("no such method here");
            assert_eq!(ROUTES.iter().any(has), is_there, "{method} {filled}: {answer}");
        }
    }
}
