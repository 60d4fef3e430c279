//! Requests of operators that make no sense. Who is no operator: `tests/security`.

use petrel_test_client::frames::new_id;
use serde_json::{Value, json};

use super::{Scene, error, without_words};

const NONE: Value = Value::Null;

/// Each gets this answer, and nothing has changed after all of them.
async fn each_is_refused(scene: &Scene, rows: Vec<(&str, String, Value, u16, &str)>) {
    for (method, path, body, status, code) in rows {
        let answer = scene.server.operate(method, &path, &body).await;
        let start: String = body.to_string().chars().take(200).collect();
        assert_eq!(answer.status, status, "{method} {path} {start}: {}", answer.body);
        assert_eq!(without_words(answer.body), error(code), "{method} {path} {start}");
    }
    scene.assert_nothing_changed().await;
}

#[tokio::test]
async fn bad_groups_for_users() {
    let scene = Scene::set().await;
    let good = json!({"owner_id": "ana", "name": "support", "member_ids": ["bo"]});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let many: Vec<String> = (0..1000).map(|n| format!("user{n}")).collect();
    let bad = [
        with("owner_id", json!("")),
        with("owner_id", json!("a na")),
        with("owner_id", json!("@system")),
        with("owner_id", json!("x".repeat(65))),
        with("owner_id", json!(["ana"])),
        with("name", json!("")),
        with("name", json!("x".repeat(257))),
        with("member_ids", json!([])),
        with("member_ids", json!(["ana"])),
        with("member_ids", json!(["b o"])),
        with("member_ids", json!(["bo", 7])),
        with("member_ids", json!(["@system"])),
        with("member_ids", json!("bo")),
        with("request_id", json!(7)),
        json!([]),
        json!("support"),
        NONE,
    ];
    let path = || "/api/admin/conversations".to_owned();
    let mut rows: Vec<_> =
        bad.into_iter().map(|body| ("POST", path(), body, 400, "bad_request")).collect();
    rows.push(("POST", path(), with("member_ids", json!(many)), 400, "too_many_members"));
    rows.push(("GET", path(), NONE, 404, "not_found"));
    each_is_refused(&scene, rows).await;
}

#[tokio::test]
async fn users_that_there_cannot_be() {
    let scene = Scene::set().await;
    let mut rows = vec![];
    let long = "x".repeat(65);
    for user in ["a%20b", "%00", "a%2Fb", "%FF", "a%23b", "%C3%A9", "@system", &long] {
        for (method, path, body) in [
            ("GET", "", NONE),
            ("PUT", "/disabled", NONE),
            ("DELETE", "/disabled", NONE),
            ("POST", "/erasure", json!({})),
            ("POST", "/erasure", json!({"conversation_id": "d:ana:bo"})),
            ("DELETE", "/connections", NONE),
        ] {
            let path = format!("/api/admin/users/{user}{path}");
            rows.push((method, path, body, 400, "bad_request"));
        }
        if user != "@system" {
            let path = format!("/api/admin/users/{user}/devices/phone");
            rows.push(("DELETE", path, NONE, 400, "bad_request"));
        }
    }
    for device in ["a.b", "a%20b", "%00", "%FF", &long] {
        let path = format!("/api/admin/users/bo/devices/{device}");
        rows.push(("DELETE", path, NONE, 400, "bad_request"));
    }
    // What is no route, or no method of one.
    for (method, path) in [
        ("GET", "/api/admin"),
        ("GET", "/api/admin/users"),
        ("POST", "/api/admin/users/bo"),
        ("DELETE", "/api/admin/users/bo"),
        ("GET", "/api/admin/users/bo/disabled"),
        ("POST", "/api/admin/users/bo/disabled"),
        ("GET", "/api/admin/users/bo/erasure"),
        ("GET", "/api/admin/users/bo/connections"),
        ("DELETE", "/api/admin/users/bo/devices"),
        ("GET", "/api/admin/users/bo/devices/phone"),
        ("PUT", "/api/admin/users/bo/enabled"),
    ] {
        rows.push((method, path.to_owned(), NONE, 404, "not_found"));
    }
    each_is_refused(&scene, rows).await;
}

#[tokio::test]
async fn bad_notices_and_erasures() {
    let scene = Scene::set().await;
    let notices = |id: &str| format!("/api/admin/conversations/{id}/notices");
    let good = || json!({"text": "x"});
    let nowhere = format!("g:{}", new_id());
    let mut rows = vec![
        ("POST", notices(&nowhere), good(), 404, "not_found"),
        ("POST", notices("d:bo:ana"), good(), 400, "bad_request"),
        ("POST", notices("%00"), good(), 400, "bad_request"),
        ("POST", notices("%FF"), good(), 400, "bad_request"),
        ("POST", notices("d:ana:@system"), good(), 400, "bad_request"),
        ("GET", notices(&scene.group), NONE, 404, "not_found"),
    ];
    for (body, status, code) in [
        (json!({}), 400, "bad_request"),
        (json!({"text": ""}), 400, "bad_request"),
        (json!({"text": null}), 400, "bad_request"),
        (json!({"text": {"type": "text"}}), 400, "bad_request"),
        (json!({"text": "x", "message_id": ""}), 400, "bad_request"),
        (json!({"text": "x".repeat(16 * 1024 + 1)}), 413, "too_large"),
        (json!({"text": "é".repeat(8 * 1024 + 1)}), 413, "too_large"),
    ] {
        rows.push(("POST", notices(&scene.group), body, status, code));
    }
    let erasure = || "/api/admin/users/ana/erasure".to_owned();
    for (body, status, code) in [
        (json!({"conversation_id": nowhere}), 404, "not_found"),
        (json!({"conversation_id": "d:ana:nobody"}), 404, "not_found"),
        (json!({"conversation_id": "d:bo:ana"}), 400, "bad_request"),
        (json!({"conversation_id": "", "page": null}), 400, "bad_request"),
        (json!({"page": {}}), 400, "bad_request"),
        (json!("all"), 400, "bad_request"),
        (NONE, 400, "bad_request"),
    ] {
        rows.push(("POST", erasure(), body, status, code));
    }
    each_is_refused(&scene, rows).await;
}
