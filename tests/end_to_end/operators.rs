//! What operators do about users and conversations, and what those they do it to see of it.

use petrel_test_client::{Client, frames};
use serde_json::{Value, json};

use crate::server::{Server, run};

const NONE: Value = Value::Null;

#[tokio::test]
async fn a_notice_is_a_message_that_only_the_server_writes() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let id = frames::new_id();
    let notice = json!({"message_id": id, "text": "please be kind"});
    let path = "/api/admin/conversations/d:ana:bo/notices";
    let sent = server.operate("POST", path, &notice).await.expect(201);
    assert_eq!((&sent["seq"], &sent["duplicate"]), (&json!(1), &json!(false)));
    let told = ana.wait_for_type("message").await;
    let expected = json!({"type": "notice", "text": "please be kind"});
    assert_eq!((&told["content"], &told["sender_id"]), (&expected, &json!("@system")));
    // The same again is the same; the conversation is there, and the notice unread, for both.
    assert_eq!(server.operate("POST", path, &notice).await.expect(200)["duplicate"], true);
    for user in ["ana", "bo"] {
        let list = server.get(user, "/api/conversations").await.expect(200);
        assert_eq!(list["conversations"][0]["unread"], 1, "{user}");
    }
    // Nobody else writes one, changes one, or is the one who writes them.
    let forged = frames::send("d:ana:bo", 1, &frames::new_id(), expected);
    assert_eq!(ana.ask(&forged).await["code"], "bad_request");
    for content in
        [json!({"type": "edit", "target": 1, "text": "x"}), json!({"type": "delete", "target": 1})]
    {
        let change = frames::send("d:ana:bo", 1, &frames::new_id(), content);
        assert_eq!(ana.ask(&change).await["code"], "forbidden");
    }
    let reply = json!({"type": "reply", "target": 1, "text": "sorry"});
    assert_eq!(ana.ask(&frames::send("d:ana:bo", 1, &frames::new_id(), reply)).await["seq"], 2);
    server.get("@system", "/api/conversations").await.expect(401);
    assert!(Client::connect(&server.login("@system")).await.is_err());
    for (path, body, status) in [
        (
            "/api/admin/conversations/g:0192f3c4-0000-7000-8000-000000000001/notices",
            json!({"text": "x"}),
            404,
        ),
        (path, json!({"text": ""}), 400),
        (path, json!({"text": "x".repeat(16 * 1024 + 1)}), 413),
        (path, json!({"text": 1}), 400),
        (path, json!({"text": "x", "message_id": "1"}), 400),
        ("/api/admin/conversations/nothing/notices", json!({"text": "x"}), 400),
    ] {
        server.operate("POST", path, &body).await.expect(status);
    }
}

#[tokio::test]
async fn a_group_is_founded_for_a_user_who_owns_it() {
    let server = Server::start().await;
    let group =
        json!({"owner_id": "bo", "name": "support", "member_ids": ["cy"], "request_id": "7"});
    let path = "/api/admin/conversations";
    let made = server.operate("POST", path, &group).await.expect(201);
    assert_eq!(server.operate("POST", path, &group).await.expect(201), made);
    let of = format!("/api/conversations/{}", made["conversation_id"].as_str().unwrap());
    let seen = server.get("cy", &of).await.expect(200);
    let owner = &seen["members"][0];
    assert_eq!((&owner["user_id"], &owner["role"]), (&json!("bo"), &json!("owner")));
    server.get("root", &of).await.expect(403);
}

#[tokio::test]
async fn an_operator_neither_disables_nor_enables_himself() {
    let server = Server::start().await;
    let himself = "/api/admin/users/root/disabled";
    for method in ["PUT", "DELETE"] {
        let answer = server.operate(method, himself, &NONE).await.expect(403);
        assert_eq!(answer["code"], "forbidden", "{method}");
    }
}

#[tokio::test]
async fn who_is_disabled_is_cut_off_and_finds_everything_when_he_is_enabled() {
    let server = Server::start().await;
    let push = json!({"platform": "fcm", "token": "t"});
    server.request_as("bo", "PUT", "/api/devices/phone/push").json(&push).send().await.expect(204);
    let mut ana = server.connect("ana").await;
    let mut bo = server.connect_device("bo", "laptop").await;
    ana.say("d:ana:bo", 0, "one").await;
    bo.wait_for_type("message").await;

    let told = server.operate("PUT", "/api/admin/users/bo/disabled", &NONE).await.expect(200);
    assert_eq!(told["closed"], 1);
    bo.wait_for_close().await;
    let account = server.operate("GET", "/api/admin/users/bo", &NONE).await.expect(200);
    assert!(account["disabled_at"].is_u64());
    let phone = json!([{"device_id": "phone", "connected_at": null, "push": true}]);
    assert_eq!(account["devices"], phone);
    // No socket, no request, whatever it is; and nothing is sent to him.
    let refused = Client::connect(&server.login("bo").device("laptop")).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    ana.say("d:ana:bo", 1, "two").await;
    let pushes = server.pushed_out().await;
    assert!(pushes.iter().all(|p| p["preview"] != "two"), "{pushes:?}");

    server.operate("PUT", "/api/admin/users/bo/disabled", &NONE).await.expect(200);
    server.operate("DELETE", "/api/admin/users/bo/disabled", &NONE).await.expect(204);
    let mut bo = Client::connect(&server.login("bo")).await.unwrap();
    let (_, synced) = bo.sync(&json!({})).await;
    assert_eq!(synced["conversations"][0]["head"], 2);
    ana.say("d:ana:bo", 2, "three").await;
    bo.wait_for_type("message").await;
}

#[tokio::test]
async fn who_is_erased_leaves_no_word_behind() {
    let server = Server::start().await;
    let group = server.found("bo", &["ana".to_owned()]).await;
    let mut bo = server.connect("bo").await;
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, "secret").await;
    ana.say(&group, 1, "secret too").await;
    bo.say("d:ana:bo", 1, "word").await;
    let profile = server.request_as("ana", "PATCH", "/api/profile");
    profile.json(&json!({"name": "Ana"})).send().await.expect(200);
    let path = "/api/admin/users/ana/erasure";
    for body in [json!({"page": "nonsense"}), json!({"page": 1}), json!([])] {
        server.operate("POST", path, &body).await.expect(400);
    }
    server.post("bo", path, &json!({})).await.expect(403);
    let absent = json!({"conversation_id": "d:ana:nobody"});
    server.operate("POST", path, &absent).await.expect(404);
    ana.sync(&json!({})).await;

    // The first request disables her; what she sent before may be on its way.
    let wait = loop {
        let answer = server.operate("POST", path, &json!({})).await;
        let busy = answer.expect(503);
        assert_eq!(busy["code"], "busy");
        // Of a socket that has just opened, the gateway cannot say yet whether it is closed.
        if let Some(wait) = busy["retry_after_ms"].as_u64().filter(|ms| *ms > 1_000) {
            break wait;
        }
    };
    ana.wait_for_close().await;
    server.request_as("ana", "GET", "/api/conversations").send().await.expect(403);
    tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
    let erased = server.operate("POST", path, &json!({})).await.expect(200);
    assert_eq!(erased, json!({"erased": 2, "page": null}));

    for of in ["d:ana:bo", &group] {
        let read = server
            .get("bo", &format!("/api/conversations/{of}/messages?after=0"))
            .await
            .expect(200);
        assert!(!read.to_string().contains("secret"), "{read}");
    }
    let members = server.get("bo", &format!("/api/conversations/{group}")).await.expect(200);
    assert_eq!(members["members"].as_array().unwrap().len(), 1);
    let told = server.post("bo", "/api/profiles", &json!({"user_ids": ["ana"]})).await.expect(200);
    assert!(!told.to_string().contains("Ana"), "{told}");
    let again = server.operate("POST", path, &json!({})).await.expect(200);
    assert_eq!(again, json!({"erased": 0, "page": null}));
}

#[tokio::test]
async fn sockets_are_cut_and_a_device_is_signed_out() {
    let server = Server::start().await;
    let push = json!({"platform": "fcm", "token": "t"});
    let path = "/api/devices/phone/push";
    server.request_as("bo", "PUT", path).json(&push).send().await.expect(204);
    let mut phone = server.connect_device("bo", "phone").await;
    let mut laptop = server.connect_device("bo", "laptop").await;
    let mut other = server.connect_device("ana", "phone").await;
    let signed_out = "/api/admin/users/bo/devices/phone";
    server.operate("DELETE", signed_out, &NONE).await.expect(204);
    server.operate("DELETE", signed_out, &NONE).await.expect(204);
    phone.wait_for_close().await;
    let account = server.operate("GET", "/api/admin/users/bo", &NONE).await.expect(200);
    let devices = account["devices"].as_array().unwrap();
    assert_eq!((devices.len(), &devices[0]["device_id"]), (1, &json!("laptop")));
    // The others of his live, and so do those of others.
    laptop.sync(&json!({})).await;
    other.sync(&json!({})).await;
    let cut = server.operate("DELETE", "/api/admin/users/bo/connections", &NONE).await.expect(200);
    assert_eq!(cut["closed"], 1);
    laptop.wait_for_close().await;
    server.connect_device("bo", "laptop").await.sync(&json!({})).await;
    for path in ["/api/admin/users/a b/connections", "/api/admin/users/bo/devices/a.b"] {
        server.operate("DELETE", &path.replace(' ', "%20"), &NONE).await.expect(400);
    }
}

#[tokio::test]
async fn the_command_line_makes_tokens_for_operators() {
    let server = Server::start().await;
    for (args, status) in [(vec!["token", "root", "--admin"], 200), (vec!["token", "root"], 403)] {
        let token = run(server.data(), &args).await.stdout;
        let token = String::from_utf8(token).unwrap();
        let call = server.request("GET", "/api/admin/users/bo").token(token.trim());
        call.send().await.expect(status);
    }
}

#[tokio::test]
async fn a_report_goes_to_the_moderators_with_what_the_reporter_may_read() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let group = server.found("ana", &["bo".to_owned()]).await;
    ana.say(&group, 1, "before eve").await;
    let members = format!("/api/conversations/{group}/members");
    server.post("ana", &members, &json!({"user_ids": ["eve"]})).await.expect(200);
    for n in 4..=12 {
        ana.say(&group, n - 1, &format!("at {n}")).await;
    }
    let path = |seq: u64| format!("/api/conversations/{group}/messages/{seq}/report");
    let body = json!({"reason": "abuse", "comment": "not nice"});
    let first = server.post("eve", &path(5), &body).await.expect(202);
    assert_eq!(server.post("eve", &path(5), &body).await.expect(202), first);
    let state = server.state().await;
    let report = &state["reports"][0];
    assert_eq!(report["report_id"], first["report_id"]);
    assert_eq!((&report["reporter_id"], &report["reason"]), (&json!("eve"), &json!("abuse")));
    assert_eq!((&report["version"], &report["comment"]), (&json!(1), &json!("not nice")));
    assert_eq!(
        (&report["message"]["seq"], &report["message"]["content"]["text"]),
        (&json!(5), &json!("at 5"))
    );
    let around: Vec<_> =
        report["context"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(around, [3, 4, 6, 7, 8, 9, 10], "eve joined at 3");
    assert_eq!(state["reports"].as_array().unwrap().len(), 2);
    for (user, seq, body, status) in [
        ("eve", 2, &body, 404),
        ("eve", 3, &body, 404),
        ("eve", 0, &body, 404),
        ("eve", 99, &body, 404),
        ("mallory", 5, &body, 403),
        ("eve", 5, &json!({"reason": "fun"}), 400),
        ("eve", 5, &json!({}), 400),
        ("eve", 5, &json!({"reason": "spam", "comment": "x".repeat(1001)}), 413),
    ] {
        server.post(user, &path(seq), body).await.expect(status);
    }
    server
        .post("eve", &format!("/api/conversations/{group}/messages/x/report"), &body)
        .await
        .expect(400);
    assert_eq!(server.state().await["reports"].as_array().unwrap().len(), 2);
}
