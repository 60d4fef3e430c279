//! Requests to the HTTP API.

use petrel_test_client::frames::{new_id, text};
use serde_json::{Value, json};

use super::{Scene, error, without_words};
use crate::server::Server;

/// A request and the answer it gets.
struct Row {
    user: &'static str,
    method: &'static str,
    path: String,
    body: String,
    status: u16,
    code: &'static str,
}

fn row(user: &'static str, request: &'static str, body: &Value, answer: &'static str) -> Row {
    row_with(user, request, body.to_string(), answer)
}

/// `request` is a method and a path, `answer` a status and a code.
fn row_with(user: &'static str, request: &'static str, body: String, answer: &'static str) -> Row {
    let (method, path) = request.split_once(' ').unwrap();
    let (status, code) = answer.split_once(' ').unwrap();
    Row { user, method, path: path.to_owned(), body, status: status.parse().unwrap(), code }
}

async fn each_is_refused(scene: &Scene, rows: Vec<Row>) {
    for row in rows {
        // Stand-ins for what is not known before the scene is set.
        let path = row.path.replace("{group}", &scene.group).replace("{new}", &new_id());
        let request = scene.server.request_as(row.user, row.method, &path);
        let request = request.header("content-type", "application/json").text(&row.body);
        let answer = request.send().await;
        let start: String = row.body.chars().take(200).collect();
        let what = format!("{} {path} {start} as {}", row.method, row.user);
        assert_eq!(answer.status, row.status, "{what}: {}", answer.body);
        assert_eq!(without_words(answer.body), error(row.code), "{what}");
    }
    scene.assert_nothing_changed().await;
}

const BAD: &str = "400 bad_request";
const STRANGER: &str = "403 not_a_member";

#[tokio::test]
async fn what_is_no_resource_or_no_method() {
    let scene = Scene::set().await;
    let none = "404 not_found";
    let rows = [
        "GET /api/nothing",
        "GET /api/messages",
        "PUT /api/messages",
        "DELETE /api/messages",
        "GET /api/sync",
        "PUT /api/conversations",
        "POST /api/conversations/d:ana:bo",
        "DELETE /api/conversations/d:ana:bo",
        "POST /api/conversations/d:ana:bo/messages",
        "GET /api/conversations/d:ana:bo/nothing",
        "GET /api/conversations/d:ana:bo/members",
        "GET /api/conversations/d:ana:bo/members/bo",
        "GET /api/conversations/d:ana:bo/ack",
        "POST /api/conversations/d:ana:bo/receipts",
        "GET /api/devices/phone/push",
        "GET /api/devices",
        "GET /api/conversations/",
        "POST /api/health",
    ];
    each_is_refused(&scene, rows.map(|r| row_with("ana", r, String::new(), none)).into()).await;
}

#[tokio::test]
async fn what_is_no_json_or_lacks_a_field() {
    let scene = Scene::set().await;
    let bodies = ["", "nonsense", "{", "null", "7", "[7]", "{}"];
    let posts = [
        "POST /api/messages",
        "POST /api/conversations",
        "POST /api/conversations/{group}/members",
        "PATCH /api/conversations/{group}",
        "PATCH /api/conversations/{group}/members/bo",
        "PUT /api/devices/phone/push",
        "PATCH /api/profile",
        "POST /api/profiles",
    ];
    let mut rows = vec![];
    for post in posts {
        rows.extend(bodies.map(|body| row_with("ana", post, body.to_owned(), BAD)));
    }
    for post in [
        "POST /api/sync",
        "POST /api/conversations/d:ana:bo/ack",
        "POST /api/conversations/{group}/invites",
    ] {
        rows.extend(bodies[..6].iter().map(|b| row_with("ana", post, (*b).to_owned(), BAD)));
    }
    each_is_refused(&scene, rows).await;
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let scene = Scene::set().await;
    let pad = |bytes: usize| json!({"pad": "x".repeat(bytes)});
    let posts = [
        "POST /api/messages",
        "POST /api/sync",
        "POST /api/conversations/{group}/members",
        "POST /api/conversations/d:ana:bo/ack",
        "PUT /api/devices/phone/push",
    ];
    let too_large = "413 too_large";
    let mut rows: Vec<_> = posts.map(|p| row("ana", p, &pad(32 * 1024), too_large)).into();
    rows.push(row("ana", "POST /api/conversations", &pad(128 * 1024), too_large));
    // So large that it is refused while it is still being sent.
    rows.push(row("ana", "POST /api/messages", &pad(9 * 1024 * 1024), too_large));
    each_is_refused(&scene, rows).await;
}

#[tokio::test]
async fn bad_changes_of_a_group() {
    let scene = Scene::set().await;
    let (group, member) =
        ("PATCH /api/conversations/{group}", "PATCH /api/conversations/{group}/members/bo");
    let invite = "POST /api/conversations/{group}/invites";
    let mut rows = vec![
        row("ana", "PATCH /api/conversations/d:ana:bo", &json!({"name": "us"}), BAD),
        row("ana", "PATCH /api/conversations/x", &json!({"name": "us"}), BAD),
        row("ana", "POST /api/conversations/d:ana:bo/invites", &json!({}), BAD),
        row("ana", "GET /api/conversations/d:ana:bo/invites", &json!({}), BAD),
        row("ana", "DELETE /api/conversations/{group}/invites/x", &json!({}), BAD),
        row(
            "ana",
            "PATCH /api/conversations/{group}/members/b%20o",
            &json!({"role": "admin"}),
            BAD,
        ),
        row(
            "ana",
            "PATCH /api/conversations/{group}/members/nobody",
            &json!({"role": "admin"}),
            "404 not_found",
        ),
        row("ana", "PATCH /api/conversations/{group}/members/ana", &json!({"role": "member"}), BAD),
        row("bo", group, &json!({"name": "mine"}), "403 forbidden"),
        row("bo", member, &json!({"role": "admin"}), "403 forbidden"),
        row("bo", invite, &json!({}), "403 forbidden"),
        row("eve", "PATCH /api/conversations/g:{new}", &json!({"name": "x"}), STRANGER),
    ];
    for body in [
        json!({"name": ""}),
        json!({"name": "x".repeat(257)}),
        json!({"name": 7}),
        json!({"post": "nobody"}),
        json!({"add": ["all"]}),
    ] {
        rows.push(row("ana", group, &body, BAD));
    }
    for role in [json!("king"), json!(1), json!(null)] {
        rows.push(row("ana", member, &json!({"role": role}), BAD));
    }
    for life in [json!(0), json!(-1), json!(2_592_001), json!("1"), json!(1.5)] {
        rows.push(row("ana", invite, &json!({"expires_in_s": life}), BAD));
    }
    each_is_refused(&scene, rows).await;
}

#[tokio::test]
async fn bad_messages() {
    let scene = Scene::set().await;
    let with = |field: &str, value: Value| {
        let mut message = json!({"to_user_id": "bo", "content": text("never stored")});
        message[field] = value;
        message
    };
    let post = "POST /api/messages";
    let unreadable = vec![
        row("ana", post, &json!({"to_user_id": "bo"}), BAD),
        row("ana", post, &with("to_user_id", "".into()), BAD),
        row("ana", post, &with("to_user_id", "b o".into()), BAD),
        row("ana", post, &with("conversation_id", "d:bo:ana".into()), BAD),
        row("ana", post, &with("message_id", "x".into()), BAD),
        row("ana", post, &with("seen", (-1).into()), BAD),
        row("ana", post, &with("content", "hi".into()), BAD),
        row("ana", post, &with("content", json!({"type": "spell"})), BAD),
    ];
    each_is_refused(&scene, unreadable).await;
}

#[tokio::test]
async fn messages_that_are_refused_are_named() {
    let scene = Scene::set().await;
    let to = |field: &str, id: &str| json!({field: id, "content": text("never stored")});
    let hold = |content: Value| json!({"to_user_id": "bo", "content": content});
    let system = json!({"type": "system", "change": {"kind": "added", "members": []}});
    let mut ahead = hold(text("never stored"));
    ahead["seen"] = 2.into();
    let mut both = to("conversation_id", "d:ana:bo");
    both["to_user_id"] = "bo".into();
    let delete = json!({"to_user_id": "ana", "content": {"type": "delete", "target": 1}});
    let large = text(&"x".repeat(16 * 1024 + 1));
    let reply = json!({"type": "reply", "target": 9, "text": "x"});
    let nowhere = format!("g:{}", new_id());
    for (user, mut message, status, code) in [
        ("ana", json!({"content": text("to whom?")}), 400, "bad_request"),
        ("ana", both, 400, "bad_request"),
        ("ana", hold(text("")), 400, "bad_request"),
        ("ana", hold(system), 400, "bad_request"),
        ("ana", hold(large), 413, "too_large"),
        ("ana", hold(reply), 404, "not_found"),
        ("ana", ahead, 409, "sync_required"),
        ("bo", delete, 403, "forbidden"),
        ("eve", to("conversation_id", "d:ana:bo"), 403, "not_a_member"),
        ("eve", to("conversation_id", "d:ana:cy"), 403, "not_a_member"),
        ("eve", to("conversation_id", &scene.group), 403, "not_a_member"),
        ("eve", to("conversation_id", &nowhere), 403, "not_a_member"),
    ] {
        // Without an id the server has minted one, so that the same can be sent again.
        let answer = scene.server.post(user, "/api/messages", &message).await;
        assert_eq!(answer.status, status, "{message}");
        assert_eq!(answer.body["message_id"].as_str().map(str::len), Some(36), "{}", answer.body);

        message["message_id"] = new_id().into();
        let answer = scene.server.post(user, "/api/messages", &message).await;
        let expected = json!({"type": "error", "code": code, "action": "send",
            "message_id": message["message_id"]});
        assert_eq!((answer.status, without_words(answer.body)), (status, expected));
    }
    scene.assert_nothing_changed().await;
}

#[tokio::test]
async fn bad_groups_and_members() {
    let scene = Scene::set().await;
    let many: Vec<String> = (0..1000).map(|n| format!("user{n}")).collect();
    let fifty = &many[..50];
    let group = |name: &str, members: Value| json!({"name": name, "member_ids": members});
    let users = |users: Value| json!({ "user_ids": users });
    let found = "POST /api/conversations";
    let add = "POST /api/conversations/{group}/members";
    let rows = vec![
        row("ana", found, &group("", json!(["bo"])), BAD),
        row("ana", found, &group(&"x".repeat(257), json!(["bo"])), BAD),
        row("ana", found, &group("alone", json!([])), BAD),
        row("ana", found, &group("alone", json!(["ana"])), BAD),
        row("ana", found, &group("crew", json!(["b o"])), BAD),
        row("ana", found, &group("crew", json!("bo")), BAD),
        row("ana", found, &json!({"name": 7, "member_ids": ["bo"]}), BAD),
        row("ana", found, &group("crowd", json!(many)), "400 too_many_members"),
        row("ana", add, &users(json!([])), BAD),
        row("ana", add, &users(json!(["c y"])), BAD),
        row("ana", add, &users(json!(fifty)), BAD),
        row("bo", add, &users(json!(["cy"])), "403 forbidden"),
        row("eve", add, &users(json!(["eve"])), STRANGER),
        row("ana", "POST /api/conversations/d:ana:bo/members", &users(json!(["cy"])), BAD),
        row("ana", "POST /api/conversations/g:{new}/members", &users(json!(["cy"])), STRANGER),
        row("ana", "POST /api/conversations/nowhere/members", &users(json!(["cy"])), BAD),
        row("bo", "DELETE /api/conversations/{group}/members/ana", &json!({}), "403 forbidden"),
        row("eve", "DELETE /api/conversations/{group}/members/bo", &json!({}), STRANGER),
        row("eve", "DELETE /api/conversations/{group}/members/eve", &json!({}), STRANGER),
        row("ana", "DELETE /api/conversations/{group}/members/b%20o", &json!({}), BAD),
        row("ana", "DELETE /api/conversations/nowhere/members/bo", &json!({}), BAD),
        row("ana", "DELETE /api/conversations/d:ana:bo/members/bo", &json!({}), BAD),
    ];
    each_is_refused(&scene, rows).await;
}

#[tokio::test]
async fn bad_reads_and_acks() {
    let scene = Scene::set().await;
    let none = Value::Null;
    let get = |path: &'static str, answer: &'static str| row("ana", path, &none, answer);
    let mut rows = vec![
        get("GET /api/conversations?page=nowhere", BAD),
        get("GET /api/conversations/nowhere", BAD),
        get("GET /api/conversations/d:bo:ana", BAD),
        get("GET /api/conversations/%00", BAD),
        get("GET /api/conversations/%FF/messages?after=0", BAD),
        get("GET /api/conversations/d:ana:bo/messages", BAD),
        get("GET /api/conversations/d:ana:bo/messages?after=0&before=9", BAD),
        get("GET /api/conversations/d:ana:bo/messages?after=-1", BAD),
        get("GET /api/conversations/d:ana:bo/messages?after=x", BAD),
        get("GET /api/conversations/d:ana:bo/messages?after=", BAD),
        get("GET /api/conversations/d:ana:bo/messages?after=0&limit=0", BAD),
        get("GET /api/conversations/d:ana:bo/messages?after=0&limit=101", BAD),
        get("GET /api/conversations/d:ana:bo/messages?after=0&limit=-5", BAD),
        get("GET /api/conversations/d:ana:bo/receipts", BAD),
        get("GET /api/conversations/d:ana:bo/receipts?seq=-1", BAD),
        get("GET /api/conversations/d:ana:bo/receipts?seq=1&page=b%20o", BAD),
        get("GET /api/conversations/d:ana:bo/receipts?seq=0", "404 not_found"),
        get("GET /api/conversations/d:ana:bo/receipts?seq=2", "404 not_found"),
        row("ana", "POST /api/sync", &json!({"limit": 0}), BAD),
        row("ana", "POST /api/sync", &json!({"limit": -1}), BAD),
        row("ana", "POST /api/sync", &json!({"limit": 201}), BAD),
        row("ana", "POST /api/sync", &json!({"cursors": {"nowhere": 1}}), BAD),
        row("ana", "POST /api/sync", &json!({"page": "nowhere"}), BAD),
        row("ana", "POST /api/conversations/d:ana:bo/ack", &json!({}), BAD),
        row("ana", "POST /api/conversations/d:ana:bo/ack", &json!({"read": 0}), BAD),
        row("ana", "POST /api/conversations/d:ana:bo/ack", &json!({"read": -1}), BAD),
        row("ana", "POST /api/conversations/d:ana:bo/ack", &json!({"read": 2}), BAD),
        row("ana", "POST /api/conversations/nowhere/ack", &json!({"read": 1}), BAD),
        row("eve", "POST /api/conversations/{group}/ack", &json!({"read": 1}), STRANGER),
    ];
    // What is there and what is not look the same to a stranger.
    for path in [
        "GET /api/conversations/d:ana:bo",
        "GET /api/conversations/{group}",
        "GET /api/conversations/g:{new}",
        "GET /api/conversations/d:ana:cy",
        "GET /api/conversations/d:ana:bo/messages?after=0",
        "GET /api/conversations/{group}/messages?before=99",
        "GET /api/conversations/g:{new}/messages?after=0",
        "GET /api/conversations/{group}/receipts?seq=1",
        "GET /api/conversations/g:{new}/receipts?seq=1",
    ] {
        rows.push(row("eve", path, &none, STRANGER));
    }
    each_is_refused(&scene, rows).await;
}

#[tokio::test]
async fn bad_own_states_and_mentions() {
    let scene = Scene::set().await;
    let state = "PATCH /api/conversations/d:ana:bo/state";
    let beyond = json!({"muted_until": 253_402_300_800_000_u64});
    let text = |mentions: Value| json!({"to_user_id": "bo", "content": {"type": "text", "text": "x", "mentions": mentions}});
    let rows = vec![
        row("ana", state, &json!({}), BAD),
        row("ana", state, &json!({"unknown": true}), BAD),
        row("ana", state, &json!({"pinned": "yes"}), BAD),
        row("ana", state, &json!({"pinned": 1}), BAD),
        row("ana", state, &json!({"muted_until": -1}), BAD),
        row("ana", state, &json!({"muted_until": "ever"}), BAD),
        row("ana", state, &json!({"muted_until": 1.5}), BAD),
        row("ana", state, &beyond, BAD),
        row("ana", "PATCH /api/conversations/nowhere/state", &json!({"pinned": true}), BAD),
        row("eve", state, &json!({"pinned": true}), STRANGER),
        row("eve", "PATCH /api/conversations/{group}/state", &json!({"pinned": true}), STRANGER),
        row("eve", "PATCH /api/conversations/g:{new}/state", &json!({"pinned": true}), STRANGER),
        row("ana", "POST /api/messages", &text(json!("bo")), BAD),
        row("ana", "POST /api/messages", &text(json!(["b o"])), BAD),
        row("ana", "POST /api/messages", &text(json!([7])), BAD),
    ];
    each_is_refused(&scene, rows).await;
}

#[tokio::test]
async fn bad_phones() {
    let scene = Scene::set().await;
    let put = "PUT /api/devices/phone/push";
    let rows = vec![
        row("ana", put, &json!({"platform": "fcm"}), BAD),
        row("ana", put, &json!({"platform": "fcm", "token": ""}), BAD),
        row("ana", put, &json!({"platform": "fcm", "token": "x".repeat(4097)}), BAD),
        row("ana", put, &json!({"platform": "pigeon", "token": "t"}), BAD),
        row("ana", put, &json!({"platform": "FCM", "token": "t"}), BAD),
        row(
            "ana",
            "PUT /api/devices/my%20phone/push",
            &json!({"platform": "fcm", "token": "t"}),
            BAD,
        ),
        row("ana", "DELETE /api/devices/my%20phone/push", &json!({}), BAD),
    ];
    each_is_refused(&scene, rows).await;
}

#[tokio::test]
async fn health_alone_needs_no_token() {
    let server = Server::start().await;
    server.request("GET", "/api/health").send().await.expect(200);
    for path in ["/api/conversations", "/api/nothing", "/api/health/", "/api/Health"] {
        let answer = server.request("GET", path).send().await;
        let body = without_words(answer.body);
        assert_eq!((answer.status, body), (401, error("unauthenticated")), "{path}");
    }
}
