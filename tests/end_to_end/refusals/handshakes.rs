//! `$connect`.

use petrel_test_client::{Client, Error, Login};
use serde_json::{Value, json};

use super::{error, without_words};
use crate::server::Server;
use crate::tokens::Token;

/// Status and body of the refusal.
async fn refusal(login: &Login) -> (u16, Value) {
    match Client::connect(login).await {
        Err(Error::Refused { status, body }) => (status, body),
        other => panic!("not refused: {other:?}"),
    }
}

/// Every token that must not be taken, and why.
fn bad_tokens(server: &Server) -> Vec<(&'static str, String)> {
    let key = server.key();
    let good = Token::of("ana");
    let signed = good.signed(&key);
    let (unsigned, signature) = signed.rsplit_once('.').unwrap();
    let forged = format!("{}{signature}", Token::of("bo").unsigned());
    vec![
        ("empty", String::new()),
        ("garbage", "garbage".to_owned()),
        ("three dots", "...".to_owned()),
        ("two parts", unsigned.to_owned()),
        ("without a signature", format!("{unsigned}.")),
        ("another's claims", forged),
        ("of another key", good.signed(&[7; 32])),
        ("alg none", Token::of("ana").header("alg", "none").unsigned()),
        ("alg None, signed", Token::of("ana").header("alg", "None").signed(&key)),
        ("alg HS512", Token::of("ana").header("alg", "HS512").signed(&key)),
        ("alg RS256", Token::of("ana").header("alg", "RS256").signed(&key)),
        ("critical extension", Token::of("ana").header("crit", json!(["x"])).signed(&key)),
        ("expired", Token::of("ana").claim("exp", 1_700_000_000).signed(&key)),
        ("without an end", Token::of("ana").claim("exp", Value::Null).signed(&key)),
        ("not yet valid", Token::of("ana").claim("nbf", 4_000_000_000_u64).signed(&key)),
        ("another issuer", Token::of("ana").claim("iss", "https://evil.example").signed(&key)),
        ("without an issuer", Token::of("ana").claim("iss", Value::Null).signed(&key)),
        ("another audience", Token::of("ana").claim("aud", "other").signed(&key)),
        ("without an audience", Token::of("ana").claim("aud", Value::Null).signed(&key)),
        ("nobody", Token::of("").signed(&key)),
        ("no user id", Token::of("ana bo").signed(&key)),
        ("a number as user", Token::of("ana").claim("sub", 7).signed(&key)),
        ("too long", Token::of("ana").claim("x", "x".repeat(20_000)).signed(&key)),
    ]
}

#[tokio::test]
async fn no_token_but_a_good_one_opens_a_socket_or_calls_the_api() {
    let server = Server::start().await;
    let expected = (401, error("unauthenticated"));
    let (status, body) = refusal(&Login::without_token(&server.ws())).await;
    assert_eq!((status, without_words(body)), expected);
    for (why, token) in bad_tokens(&server) {
        for login in
            [Login::new(&server.ws(), &token), Login::new(&server.ws(), &token).token_in_query()]
        {
            let (status, body) = refusal(&login).await;
            let told = body["message"] == "the token has expired";
            assert_eq!(told, why == "expired", "{why}: {body}");
            assert_eq!((status, without_words(body)), expected, "{why}");
        }
        let answer = server.request("GET", "/api/conversations").token(&token).send().await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_eq!((answer.status, without_words(answer.body)), expected, "{why}");
    }
    assert_eq!(server.state().await["connections"], 0);
}

#[tokio::test]
async fn a_device_id_that_breaks_the_rule_opens_no_socket() {
    let server = Server::start().await;
    for device in ["", "a b", "a:b", "a/b", "gerät", "a\n", &"x".repeat(65), &"x".repeat(1000)] {
        let (status, body) = refusal(&server.login("ana").device(device)).await;
        assert_eq!((status, without_words(body)), (400, error("bad_request")), "{device:?}");
    }
    Client::connect(&server.login("ana").device(&"x".repeat(64))).await.unwrap();
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_socket_unless_it_is_allowed() {
    let server = Server::with(&["--allow-origin", "https://chat.example"]).await;
    let port = server.addr().rsplit_once(':').unwrap().1;
    // Its own page, by whatever name it was reached.
    for host in [server.addr(), &format!("localhost:{port}")] {
        let login = Login::new(&format!("ws://{host}/ws"), &server.token("ana"));
        Client::connect(&login.origin(&format!("http://{host}"))).await.unwrap();
    }
    Client::connect(&server.login("ana").origin("https://chat.example")).await.unwrap();
    for origin in [
        &format!("http://localhost:{port}"),
        "https://evil.example",
        "http://chat.example",
        "https://chat.example:8443",
        "https://chat.example.evil.example",
        "http://127.0.0.1:1",
        "null",
        "",
    ] {
        assert_eq!(refusal(&server.login("ana").origin(origin)).await.0, 403, "{origin}");
    }
}

#[tokio::test]
async fn what_is_no_websocket_handshake_is_refused() {
    let server = Server::start().await;
    assert_eq!(server.request_as("ana", "GET", "/ws").send().await.status, 400);
    assert_eq!(server.request_as("ana", "POST", "/ws").send().await.status, 405);
}
