//! What the log must not hold, at any level, and what nobody can make it say.

use std::fs;

use petrel_test_client::tungstenite::Message;
use petrel_test_client::{Client, Login, frames};
use serde_json::{Value, json};

use super::raw;
use crate::server::Server;
use crate::tokens::Token;

const WORDS: &str = "words-that-only-bo-may-read";
const PHONE: &str = "the-token-of-a-phone";
/// A line of its own, in the terminal's language and in the log's.
const FORGED: &str = "x\r\n2026-01-01T00:00:00.000000Z ERROR forged\n{\"level\":\"ERROR\",\"message\":\"forged\"}\u{1b}[2J\u{0}\u{85}\u{2028}";

/// Everything that people and attackers do, and what of it must not be found again.
async fn traffic(server: &Server) -> Vec<String> {
    let mut secrets = vec![WORDS.to_owned(), PHONE.to_owned()];
    let expired = Token::of("ana").claim("exp", 1).signed(&server.key());
    let forged = Token::of(FORGED).signed(&server.key());
    let tokens = [server.token("ana"), server.token("bo"), expired, forged];
    for token in &tokens {
        let login = Login::new(&server.ws(), token);
        let _ = Client::connect(&login).await;
        let _ = Client::connect(&login.token_in_query()).await;
        server.request("GET", "/api/conversations").token(token).send().await;
    }
    let given = raw::ask(
        server,
        "POST /local/token",
        &[("content-type", "application/json")],
        r#"{"user":"cy"}"#,
    );
    let given = given.await;
    secrets.push(given.rsplit('"').nth(1).unwrap().to_owned());

    let push = json!({"platform": "fcm", "token": PHONE}).to_string();
    server
        .request_as("bo", "PUT", "/api/devices/phone/push")
        .header("content-type", "application/json")
        .text(&push)
        .send()
        .await
        .expect(204);
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, WORDS).await;
    ana.say("d:ana:bo", 1, &format!("{WORDS} {FORGED}")).await;
    let message = json!({"to_user_id": "bo", "content": {"type": "text", "text": WORDS}});
    server.post("ana", "/api/messages", &message).await.expect(201);
    let many: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
    let group = server.found("ana", &many).await;
    ana.say(&group, 1, WORDS).await;
    server.fanned_out().await;
    server.connect("bo").await.sync(&json!({"d:ana:bo": 0})).await;
    server.get("bo", "/api/conversations/d:ana:bo/messages?after=0").await.expect(200);

    // What is refused, with the words in every field.
    for frame in [
        json!({"action": FORGED}),
        json!({"action": "send", "conversation_id": FORGED, "message_id": FORGED, "content": WORDS}),
        json!({"action": "send", "to_user_id": WORDS, "content": {"type": WORDS, "text": FORGED}}),
        json!({"action": "history", "conversation_id": FORGED, "request_id": FORGED}),
        json!({"action": "sync", "cursors": {FORGED: 1}, "page": FORGED, "limit": WORDS}),
        json!({FORGED: FORGED, "action": "ack"}),
    ] {
        ana.send(&frame).await;
        ana.wait_for_type("error").await;
    }
    ana.send_raw(Message::binary(WORDS)).await;
    ana.wait_for_close().await;
    for device in [FORGED, "\u{1b}[2J"] {
        let refused = Client::connect(&server.login("ana").device(device)).await;
        assert!(refused.is_err());
    }
    let path = "%0A%7B%22level%22%3A%22ERROR%22%7D%1B%5B2J";
    for line in [
        format!("GET /api/conversations/{path}"),
        format!("GET /api/conversations/d:ana:bo/messages?after={path}"),
        format!("DELETE /api/devices/{path}/push"),
        format!("GET /{path}?token={}", tokens[0]),
    ] {
        raw::ask_as(server, "ana", &line, "").await;
    }
    for name in ["user-agent", "origin", "x-forwarded-for", "cookie", "x-amzn-trace-id"] {
        let value = "\u{1b}[2J\u{85} forged \u{ff}";
        raw::ask(server, "GET /api/conversations", &[(name, value)], "").await;
    }
    let body = json!({"name": WORDS, "member_ids": [FORGED], "request_id": FORGED}).to_string();
    raw::ask_as(server, "ana", "POST /api/conversations", &body).await;
    // The signature is what makes a token one.
    secrets.extend(tokens.iter().map(|t| t.rsplit('.').next().unwrap().to_owned()));
    secrets.extend(tokens.iter().map(|t| t.split('.').nth(1).unwrap().to_owned()));
    secrets
}

fn log_of(server: &Server) -> String {
    fs::read_to_string(server.data().join("log")).unwrap()
}

#[tokio::test]
async fn no_level_writes_down_what_people_say_or_what_they_sign_in_with() {
    for format in ["text", "json"] {
        let server = Server::with_log("trace", &["--log-format", format]).await;
        let secrets = traffic(&server).await;
        server.wait_until("everyone has left", |state| state["connections"] == 0).await;
        let log = log_of(&server);
        // That there is a log at this level to be looked at.
        assert!(log.lines().count() > 5 && log.contains("closed"), "{log}");
        for secret in secrets {
            assert!(!log.contains(&secret), "{secret} stands in\n{log}");
        }
    }
}

#[tokio::test]
async fn nobody_can_write_a_line_of_his_own() {
    let server = Server::with_log("trace", &["--log-format", "json"]).await;
    traffic(&server).await;
    server.wait_until("everyone has left", |state| state["connections"] == 0).await;
    for line in log_of(&server).lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(line["timestamp"].is_string() && line["message"] != "forged", "{line}");
    }

    let server = Server::with_log("trace", &[]).await;
    traffic(&server).await;
    server.wait_until("everyone has left", |state| state["connections"] == 0).await;
    for line in log_of(&server).lines() {
        let time = line.split(' ').next().unwrap();
        assert!(time.len() == 27 && time.ends_with('Z'), "a line without a time: {line:?}");
        let level = line.split_whitespace().nth(1).unwrap();
        assert!(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level), "{line:?}");
        let plain = |c: char| !c.is_control() && !['\u{2028}', '\u{2029}'].contains(&c);
        assert!(line.chars().all(plain), "{line:?}");
        assert!(!line.starts_with("2026-01-01T00:00:00"), "{line}");
    }
}

/// `frames` is what a client may say; `request_id` comes back, and is bounded.
#[tokio::test]
async fn what_comes_back_to_the_caller_is_bounded() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let mut frame = frames::sync(&json!({}));
    frame["request_id"] = "x".repeat(20_000).into();
    assert_eq!(ana.ask(&frame).await.get("request_id"), None);
    let long = json!({"action": "send", "to_user_id": "bo", "message_id": frames::new_id(),
        "content": {"type": "x".repeat(20_000)}});
    let answer = ana.ask(&long).await.to_string();
    assert!(answer.len() < 1_000, "{} bytes come back", answer.len());
}
