//! A request a line: whose it is (`-`: nobody's), the method, the path with its query, and the body.

use axum::Router;
use axum::body::to_bytes;
use axum::http::Uri;
use lambda_http::Request;
use petrel_functions::api::router;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::scene::{self, check_error, wait};

/// Most requests of one input.
const MAX_REQUESTS: usize = 8;

pub fn run(input: &[u8]) {
    let (_, app) = scene::set();
    let router = router(app.clone());
    for line in input.split(|b| *b == b'\n').take(MAX_REQUESTS) {
        let line = String::from_utf8_lossy(line);
        let mut words = line.splitn(4, ' ');
        let (Some(who), Some(method), Some(target)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let user = who.bytes().next().and_then(scene::user);
        if let Some(request) = event(user, method, target, words.next().unwrap_or_default()) {
            wait(ask(router.clone(), request));
        }
    }
    scene::check(&app);
}

/// Whether a server would take this for what a request asks for. Over what is none the library under the handlers panics, before
/// anything of ours runs; a gateway does not pass it on.
pub fn is_target(target: &str) -> bool {
    target.starts_with('/') && target.parse::<Uri>().is_ok()
}

/// The request as the function gets it.
pub fn event(user: Option<&str>, method: &str, target: &str, body: &str) -> Option<Request> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !is_target(target) {
        return None;
    }
    let mut event: Value =
        serde_json::from_str(include_str!("../../../../functions/tests/handlers/events/http.json"))
            .expect("the event");
    event["rawPath"] = path.into();
    event["rawQueryString"] = query.into();
    event["requestContext"]["http"]["method"] = method.into();
    event["requestContext"]["http"]["path"] = path.into();
    if let Some(user) = user {
        let claims = json!({"sub": user, "iss": "https://issuer.example", "aud": "petrel",
            "token_use": "access", "scope": "petrel/admin"});
        event["requestContext"]["authorizer"] = json!({"jwt": {"claims": claims, "scopes": null}});
    }
    event["headers"]["content-type"] = "application/json".into();
    event["body"] = body.into();
    lambda_http::request::from_str(&event.to_string()).ok()
}

/// Asks, and looks at the answer.
pub async fn ask(router: Router, request: Request) {
    // It says so of itself: what the user sent before is on its way.
    let waits = request.uri().path().ends_with("/erasure");
    let Ok(response) = router.oneshot(request).await;
    let status = response.status().as_u16();
    // An export is lines of JSON, and none at its end.
    let lines = response.headers().get("content-type").is_some_and(|t| t == "application/x-ndjson");
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    if waits && status == 503 {
        let error: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(error["code"] == "busy" && error["retry_after_ms"].is_u64(), "{error}");
        return;
    }
    assert!(status < 500, "{status}: {}", String::from_utf8_lossy(&body));
    if lines {
        for line in body.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            serde_json::from_slice::<Value>(line).expect("JSON");
        }
        return;
    }
    if body.is_empty() {
        assert!(status == 204, "{status} without a body");
        return;
    }
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    if status >= 400 {
        check_error(&body);
    }
}
