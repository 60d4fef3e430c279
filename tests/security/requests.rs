//! Requests that are not what they seem: paths, methods, headers and bodies that two readers would read differently.

use serde_json::json;

use super::raw;
use crate::server::Server;

const SECRET: &str = "for bo's eyes alone";

/// A server on which bo has something to lose, and eve's credentials.
async fn scene() -> (Server, String) {
    let server = Server::start().await;
    let note = json!({"to_user_id": "bo", "content": {"type": "text", "text": SECRET}});
    server.post("bo", "/api/messages", &note).await.expect(201);
    let eve = format!("Bearer {}", server.token("eve"));
    (server, eve)
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_past_the_check() {
    let (server, eve) = scene().await;
    let of = "d:bo:bo/messages?after=0";
    for path in [
        format!("/api/conversations/{of}"),
        "/api/conversations/d%3Abo%3Abo/messages?after=0".to_owned(),
        "/api/conversations/d%253Abo%253Abo/messages?after=0".to_owned(),
        format!("/api/health/../conversations/{of}"),
        format!("/api/health/%2e%2e/conversations/{of}"),
        format!("/api/health%2f..%2fconversations/{of}"),
        format!("/api/./conversations/{of}"),
        format!("/api//conversations/{of}"),
        format!("//api/conversations/{of}"),
        format!("/API/conversations/{of}"),
        format!("/api/conversations;x=1/{of}"),
        format!("/api/health;/../conversations/{of}"),
        format!("/api\\conversations\\{of}"),
        format!("/api/conversations/d:eve:eve%2f..%2f{of}"),
        "/api/conversations/d:bo:bo%00/messages?after=0".to_owned(),
        "/api/conversations/d:bo:bo%2fmessages?after=0".to_owned(),
        "/api/conversations/d:bo:bo%0d%0ax:y/messages?after=0".to_owned(),
        "/api/conversations/d:bo:eve:bo/messages?after=0".to_owned(),
        "/api/conversations/d:bo:bo%20/messages?after=0".to_owned(),
        "/api/conversations/%C0%AE%C0%AE/messages?after=0".to_owned(),
        "/api/conversations/g:*/messages?after=0".to_owned(),
        "/api/conversations?page=d:bo:bo&user=bo&sub=bo".to_owned(),
        format!("http://{}/api/conversations/{of}", server.addr()),
        format!("http://evil.example/api/conversations/{of}"),
    ] {
        for headers in [vec![], vec![("authorization", eve.as_str())]] {
            let answer = raw::ask(&server, &format!("GET {path}"), &headers, "").await;
            assert!(!answer.contains(SECRET), "{path}: {answer}");
            assert!(!answer.contains("d:bo:bo"), "{path}: {answer}");
            let status = raw::status(&answer);
            let listed = path.starts_with("/api/conversations?") && !headers.is_empty();
            assert!(listed || (400..500).contains(&status), "{path}: {answer}");
            assert!(!headers.is_empty() || status != 403, "{path} passed without a token");
        }
    }
    // Without a token there is nothing behind any of them but health, as it is spelt.
    for path in ["/api/health/", "/api/health/x", "/api/Health", "/api/health%00", "/api/%68ealth"]
    {
        let answer = raw::ask(&server, &format!("GET {path}"), &[], "").await;
        assert_eq!(raw::status(&answer), 401, "{path}: {answer}");
    }
}

#[tokio::test]
async fn no_header_makes_the_caller_another_or_the_method_another() {
    let (server, eve) = scene().await;
    let line = "GET /api/conversations/d:bo:bo/messages?after=0";
    let plain = raw::ask(&server, line, &[("authorization", &eve)], "").await;
    assert_eq!(raw::status(&plain), 403);
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-user", "bo"),
        ("x-remote-user", "bo"),
        ("x-amzn-oidc-identity", "bo"),
        ("x-amzn-request-context", r#"{"authorizer":{"jwt":{"claims":{"sub":"bo"}}}}"#),
        ("x-amzn-lambda-context", "{}"),
        ("x-original-url", "/api/health"),
        ("x-rewrite-url", "/api/health"),
        ("x-http-method-override", "DELETE"),
        ("x-user-id", "bo"),
        ("forwarded", "for=127.0.0.1;host=localhost"),
        ("host", "evil.example"),
        ("cookie", "user=bo"),
        ("expect", "x"),
        ("range", "bytes=0-1"),
        ("if-none-match", "*"),
        ("accept", "text/html"),
    ] {
        let headers = [("authorization", eve.as_str()), (name, value)];
        assert_eq!(raw::ask(&server, line, &headers, "").await, plain, "{name}");
    }
    // A POST that asks to be a DELETE stays a POST.
    let group = server.found("bo", &["eve".to_owned(), "cy".to_owned()]).await;
    for (name, value) in [("x-http-method-override", "DELETE"), ("x-method-override", "DELETE")] {
        let line = format!("POST /api/conversations/{group}/members/eve?_method=DELETE");
        let headers = [("authorization", eve.as_str()), (name, value)];
        assert_eq!(raw::status(&raw::ask(&server, &line, &headers, "").await), 404, "{name}");
    }
    let group = server.get("bo", &format!("/api/conversations/{group}")).await.expect(200);
    assert_eq!(group["members"].as_array().unwrap().len(), 3);
}

/// Each of these has been two requests to one reader and one to another. Here it is one, or none.
#[tokio::test]
async fn no_request_is_hidden_in_another() {
    let (server, eve) = scene().await;
    let bo = server.token("bo");
    let hidden = format!(
        "GET /api/conversations/d:bo:bo/messages?after=0 HTTP/1.1\r\nhost: x\r\n\
         authorization: Bearer {bo}\r\nconnection: close\r\n\r\n"
    );
    let post = |lines: &str, body: &str| {
        format!(
            "POST /api/sync HTTP/1.1\r\nhost: {}\r\nauthorization: {eve}\r\nconnection: close\r\n\
             {lines}\r\n{body}",
            server.addr()
        )
    };
    let chunked = format!("2\r\n{{}}\r\n0\r\n\r\n{hidden}");
    let length = format!("content-length: {}\r\n", chunked.len());
    for (why, request) in [
        ("both", post(&format!("{length}transfer-encoding: chunked\r\n"), &chunked)),
        ("both, turned", post(&format!("transfer-encoding: chunked\r\n{length}"), &chunked)),
        (
            "two lengths",
            post(
                &format!("content-length: 2\r\ncontent-length: {}\r\n", hidden.len()),
                &format!("{{}}{hidden}"),
            ),
        ),
        ("a list of lengths", post("content-length: 2, 500\r\n", &format!("{{}}{hidden}"))),
        ("a length with a sign", post("content-length: +2\r\n", &format!("{{}}{hidden}"))),
        ("a length in hex", post("content-length: 0x2\r\n", &format!("{{}}{hidden}"))),
        ("a negative length", post("content-length: -2\r\n", &format!("{{}}{hidden}"))),
        (
            "an endless length",
            post("content-length: 99999999999999999999999\r\n", &format!("{{}}{hidden}")),
        ),
        (
            "chunked in another spelling",
            post(&format!("{length}transfer-encoding: xchunked\r\n"), &chunked),
        ),
        (
            "chunked is not last",
            post(&format!("{length}transfer-encoding: chunked, identity\r\n"), &chunked),
        ),
        (
            "twice chunked",
            post(
                &format!("{length}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
                &chunked,
            ),
        ),
        (
            "a blank before the colon",
            post(&format!("transfer-encoding : chunked\r\n{length}"), &chunked),
        ),
        ("a folded line", post(&format!("transfer-encoding:\r\n chunked\r\n{length}"), &chunked)),
        ("a bare LF", post(&format!("x: y\ntransfer-encoding: chunked\r\n{length}"), &chunked)),
        ("NUL in a header", post("x: \0\r\ncontent-length: 2\r\n", &format!("{{}}{hidden}"))),
        (
            "a chunk's size that is too large",
            post(
                "transfer-encoding: chunked\r\n",
                &format!("ffffffffffffffffff\r\n{{}}\r\n0\r\n\r\n{hidden}"),
            ),
        ),
        (
            "a chunk's size with a sign",
            post("transfer-encoding: chunked\r\n", &format!("+2\r\n{{}}\r\n0\r\n\r\n{hidden}")),
        ),
        (
            "a GET with a body",
            format!(
                "GET /api/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{hidden}",
                hidden.len()
            ),
        ),
    ] {
        let said = raw::say(&server, request.as_bytes()).await;
        assert!(!said.contains(SECRET), "{why}: {said}");
        assert!(said.matches("HTTP/1.1 ").count() <= 1, "{why}: {said}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_server_lives() {
    let (server, eve) = scene().await;
    let huge = "x".repeat(500_000);
    let many = "x: y\r\n".repeat(1_000);
    let auth = format!("authorization: {eve}\r\n");
    let get = "GET /api/conversations/d:bo:bo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    for (why, request, statuses) in [
        ("a header that is too large", format!("{get}x: {huge}\r\n\r\n"), &[431_u16][..]),
        ("too many headers", format!("{get}{many}\r\n"), &[431]),
        (
            "a path that is too long",
            format!("GET /{huge} HTTP/1.1\r\nhost: x\r\n\r\n"),
            &[414, 431],
        ),
        (
            "version 1.0, as eve",
            format!("GET /api/conversations/d:bo:bo HTTP/1.0\r\n{auth}\r\n"),
            &[403],
        ),
        ("version 1.0, as nobody", "GET /api/conversations HTTP/1.0\r\n\r\n".to_owned(), &[401]),
        ("version 0.9", "GET /api/conversations\r\n\r\n".to_owned(), &[400]),
        ("version 2.0 in words", "GET / HTTP/2.0\r\n\r\n".to_owned(), &[400]),
        (
            "no host",
            "GET /api/conversations HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(),
            &[400, 401],
        ),
        (
            "a tunnel",
            format!(
                "CONNECT evil.example:443 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{auth}\r\n"
            ),
            &[400, 404, 405],
        ),
        (
            "everything",
            format!("OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{auth}\r\n"),
            &[400, 404, 405],
        ),
        ("noise", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(), &[400]),
        ("a method that is none", "G@T / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        ("a line break in the path", "GET /a\rb HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), &[400]),
    ] {
        let said = raw::say(&server, request.as_bytes()).await;
        assert!(statuses.contains(&raw::status(&said)), "{why}: {said:.300}");
        assert!(!said.contains(SECRET), "{why}");
    }
    server.get("bo", "/api/conversations").await.expect(200);
}

#[tokio::test]
async fn no_answer_tells_of_the_inside() {
    let (server, _) = scene().await;
    let mut answers = vec![];
    for (line, body) in [
        ("POST /api/messages", "{"),
        ("POST /api/messages", r#"{"content":{"type":"text","text":7}}"#),
        ("POST /api/conversations", r#"{"name":"x","member_ids":[7]}"#),
        ("GET /api/conversations/%FF", ""),
        ("GET /api/conversations/d:bo:bo/messages?after=x", ""),
        ("GET /api/conversations/d:bo:bo/receipts?seq=18446744073709551616", ""),
        ("PUT /api/devices/%2e%2e/push", "{}"),
        ("GET /api/nothing", ""),
        ("POST /local/token", "{"),
        ("GET /nothing", ""),
        ("DELETE /", ""),
        ("GET /ws", ""),
    ] {
        answers.push(raw::ask_as(&server, "eve", line, body).await);
    }
    for answer in answers {
        assert!((400..500).contains(&raw::status(&answer)), "{answer}");
        for inside in [
            ".rs",
            "src/",
            "petrel_",
            "axum",
            "hyper",
            "serde",
            "dynamo",
            "sqlite",
            "panicked",
            "stack",
            "/tmp",
            "u#",
            "m#",
            "server:",
            "x-powered-by",
        ] {
            assert!(!answer.to_lowercase().contains(inside), "{inside:?} in {answer}");
        }
    }
}

/// Found by fuzzing: a library under the handlers makes a URL of what the request says of its host and its scheme, and would
/// panic over what makes none.
#[tokio::test]
async fn no_host_and_no_scheme_breaks_a_request() {
    let server = Server::start().await;
    for header in [
        ("host", "a:99999"),
        ("host", "["),
        ("host", "%zz"),
        ("host", "a b"),
        ("host", ""),
        ("x-forwarded-proto", ":"),
        ("x-forwarded-proto", "1x"),
        ("x-forwarded-proto", ""),
    ] {
        let answer = raw::ask(&server, "GET /api/health", &[header], "").await;
        assert!([200, 400].contains(&raw::status(&answer)), "{header:?}: {answer}");
    }
    for target in
        ["/api/health?\"", "/api/health?<>", "/api/\u{7f}", "/api/health?a=%", "//api//health"]
    {
        let answer = raw::ask(&server, &format!("GET {target}"), &[], "").await;
        assert!([200, 400, 401, 404].contains(&raw::status(&answer)), "{target}: {answer}");
    }
    let log = std::fs::read_to_string(server.data().join("log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}
