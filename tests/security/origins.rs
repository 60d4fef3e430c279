//! A web page of another site in the user's own browser, and a server that is reached by a name that is not its own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::raw;
use super::routes::{LOCAL, ROUTES, Way};
use crate::server::{Server, petrel};

const LOGIN: &str = r#"{"user":"ana"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn another_site_gets_no_token_and_sees_nothing_of_the_inside() {
    let server = Server::start().await;
    let port = server.addr().rsplit_once(':').unwrap().1.to_owned();
    let own = format!("http://{}", server.addr());
    let by_name = format!("localhost:{port}");
    let its_name = format!("http://{by_name}");
    for good in [
        vec![JSON],
        vec![JSON, ("origin", own.as_str())],
        vec![JSON, ("host", by_name.as_str()), ("origin", its_name.as_str())],
    ] {
        let answer = raw::ask(&server, "POST /local/token", &good, LOGIN).await;
        assert_eq!(raw::status(&answer), 200, "{good:?}: {answer}");
        assert!(answer.contains("\r\ncache-control: no-store\r\n"), "{answer}");
        assert!(!answer.contains("access-control-"), "{answer}");
    }
    let evil = format!("evil.example:{port}");
    let evils = format!("http://{evil}");
    for (why, headers) in [
        ("another page", vec![JSON, ("origin", "https://evil.example")]),
        ("a page without a name", vec![JSON, ("origin", "null")]),
        ("a page on another port", vec![JSON, ("origin", "http://127.0.0.1:1")]),
        ("a page of the other name", vec![JSON, ("origin", its_name.as_str())]),
        ("two origins", vec![JSON, ("origin", own.as_str()), ("origin", "https://evil.example")]),
        (
            "a name that resolves here",
            vec![JSON, ("host", evil.as_str()), ("origin", evils.as_str())],
        ),
        ("two hosts", vec![JSON, ("host", "127.0.0.1"), ("host", evil.as_str())]),
        ("a host that begins so", vec![JSON, ("host", "127.0.0.1.evil.example")]),
        ("a host with a user", vec![JSON, ("host", "127.0.0.1@evil.example")]),
        ("no host", vec![JSON, ("host", "")]),
        ("another spelling of the address", vec![JSON, ("host", "2130706433")]),
        ("another loopback address", vec![JSON, ("host", "0.0.0.0")]),
        ("a proxy that says so", vec![JSON, ("forwarded", "for=203.0.113.7")]),
        ("a proxy of another kind", vec![JSON, ("x-forwarded-proto", "https")]),
        ("nginx", vec![JSON, ("x-real-ip", "203.0.113.7")]),
        ("a gateway", vec![JSON, ("via", "1.1 cache")]),
    ] {
        let answer = raw::ask(&server, "POST /local/token", &headers, LOGIN).await;
        assert_eq!(raw::status(&answer), 403, "{why}: {answer}");
        let answer = raw::ask(&server, "GET /local/state", &headers, "").await;
        assert_eq!(raw::status(&answer), 403, "{why}: {answer}");
    }
    // nginx as it comes: it speaks 1.0, and names the server by its own address.
    let body = format!("content-length: {}\r\n\r\n{LOGIN}", LOGIN.len());
    let host = format!("host: {}\r\ncontent-type: application/json\r\n", server.addr());
    let proxied = format!("POST /local/token HTTP/1.0\r\n{host}{body}");
    assert_eq!(raw::status(&raw::say(&server, proxied.as_bytes()).await), 403);
    let line = "POST http://evil.example/local/token HTTP/1.1\r\nconnection: close\r\n";
    let absolute = format!("{line}{host}{body}");
    assert_eq!(raw::status(&raw::say(&server, absolute.as_bytes()).await), 403);
}

/// What a form or a script of another site can send without being asked first.
#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let server = Server::with(&["--allow-origin", "https://chat.example"]).await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let answer = raw::ask(&server, "POST /local/token", &[("content-type", kind)], LOGIN).await;
        assert_eq!(raw::status(&answer), 400, "{kind}: {answer}");
    }
    // Nobody is told that he may send JSON; an origin that was allowed may use the API, and not the login.
    for origin in ["https://evil.example", "https://chat.example", "null"] {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,authorization"),
        ];
        let answer = raw::ask(&server, "OPTIONS /local/token", &headers, "").await;
        assert!(!answer.contains("access-control-allow-origin"), "{origin}: {answer}");
        let answer = raw::ask(&server, "OPTIONS /api/messages", &headers, "").await;
        let named = format!("access-control-allow-origin: {origin}\r\n");
        assert_eq!(answer.contains(&named), origin == "https://chat.example", "{answer}");
        assert!(!answer.contains("allow-credentials"), "{answer}");
    }
}

/// A page that may call the API may call all of it.
#[tokio::test]
async fn an_origin_that_is_allowed_may_use_every_method_of_the_api() {
    let server = Server::with(&["--allow-origin", "https://chat.example"]).await;
    let methods: BTreeSet<&str> = ROUTES
        .iter()
        .filter_map(|row| match row.way {
            Way::Http(method) => Some(method),
            Way::Frame(_) => None,
        })
        .collect();
    assert!(methods.contains("PATCH"), "{methods:?}");
    for method in methods {
        let headers =
            [("origin", "https://chat.example"), ("access-control-request-method", method)];
        let answer = raw::ask(&server, "OPTIONS /api/profile", &headers, "").await;
        let allowed = answer.lines().find_map(|l| l.strip_prefix("access-control-allow-methods: "));
        let mut allowed = allowed.unwrap_or_default().split(',').map(str::trim);
        assert!(allowed.any(|m| m == method), "{method}: {answer}");
    }
}

#[tokio::test]
async fn every_answer_tells_the_browser_what_it_must_not_do_with_it() {
    let server = Server::start().await;
    let paths = LOCAL.iter().map(|path| path.replace("{*path}", "health"));
    for path in paths.chain(["/nothing".to_owned(), "/api/nothing".to_owned()]) {
        let answer = raw::ask(&server, &format!("GET {path}"), &[], "").await;
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "frame-ancestors 'none'",
            "cache-control: no-",
        ] {
            assert!(answer.contains(header), "{path}: no {header} in {answer}");
        }
        assert!(!answer.contains("unsafe-"), "{path}: {answer}");
    }
    let page = raw::ask(&server, "GET /", &[], "").await;
    let (_, policy) = page.split_once("content-security-policy: ").unwrap();
    let policy = policy.split("\r\n").next().unwrap();
    assert_eq!(
        policy,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    );
    // The policy would silence what stands in the page itself: there is nothing.
    for inline in ["<script>", "style=", "onclick", "onload", "onsubmit", "http://", "https://"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

/// The files are in the binary: there is nothing behind them.
#[tokio::test]
async fn no_path_leads_to_a_file() {
    let server = Server::start().await;
    let key = server.data().join("key");
    let (folder, key) = (server.data().display(), key.display());
    for path in [
        format!("{key}"),
        format!("/..{key}"),
        format!("/style.css/../../../../../..{key}"),
        format!("/%2e%2e/%2e%2e/%2e%2e/%2e%2e{key}"),
        format!("/..%2f..%2f..%2f..%2f..{}", key.to_string().replace('/', "%2f")),
        format!("/..%5c..%5c{folder}%5ckey"),
        format!("/file://{key}"),
        "/key".to_owned(),
        "/petrel.db".to_owned(),
        "/.petrel/key".to_owned(),
        "/.git/config".to_owned(),
        "/index.html".to_owned(),
        "/app.js%00.css".to_owned(),
        "/app.test.js".to_owned(),
    ] {
        let answer = raw::ask(&server, &format!("GET {path}"), &[], "").await;
        assert_eq!(raw::status(&answer), 404, "{path}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{path} has a body: {answer}");
    }
}

#[tokio::test]
async fn a_key_that_others_may_read_signs_nothing() {
    let data = tempfile::tempdir().unwrap();
    let run = async |args: &[&str]| petrel(data.path()).args(args).output().await.unwrap();
    assert!(run(&["token", "ana"]).await.status.success());
    let key = data.path().join("key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o660, 0o666, 0o610] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        for args in [&["token", "ana"][..], &["serve", "--addr", "127.0.0.1:0"]] {
            let output = run(args).await;
            assert_eq!(output.status.code(), Some(1), "{mode:o}: {output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            let expected = format!(
                "petrel: others may read the key {}; chmod 600 it, or remove it if they did\n",
                key.display()
            );
            assert_eq!(said, expected);
        }
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(run(&["token", "ana"]).await.status.success());
}

#[tokio::test]
async fn everything_that_is_stored_is_for_its_owner_only() {
    let server = Server::start().await;
    let note = json!({"to_user_id": "ana", "content": {"type": "text", "text": "mine"}});
    server.post("ana", "/api/messages", &note).await.expect(201);
    let mut seen = 0;
    for file in fs::read_dir(server.data()).unwrap() {
        let file = file.unwrap();
        // The harness's own.
        if file.file_name() == "log" {
            continue;
        }
        let mode = file.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{:?} {mode:o}", file.file_name());
        seen += 1;
    }
    let on_disk = crate::server::endpoint().is_none();
    assert!(seen >= if on_disk { 3 } else { 2 }, "{seen}");
}
