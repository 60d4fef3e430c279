//! Tokens that were forged, mixed up or sent in pieces, over both ways in. What an issuer's keys add to that is attacked
//! in `shared/aws/tests/ports/forged.rs`.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use petrel_test_client::{Client, Error, Login};
use ring::hmac;
use serde_json::{Value, json};

use super::raw;
use crate::server::Server;
use crate::tokens::Token;

fn b64(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// A token of these texts, which need not be JSON, signed with this secret.
fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

/// Claims that hold, with these in front.
fn claims(first: &str) -> String {
    format!(
        r#"{{{first}"sub":"ana","iss":"petrel-local","aud":"petrel","iat":1700000000,"exp":4000000000}}"#
    )
}

/// What must open nothing, and why one might think that it does.
fn forged(key: &[u8]) -> Vec<(&'static str, String)> {
    let good = || Token::of("ana");
    let secret = b"a secret of the attacker's own choice";
    let jwk = json!({"kty": "oct", "k": b64("a secret of the attacker's own choice")});
    let with = |name: &str, value: Value| good().header(name, value).signed(secret);
    let text = |claims: &str| signed(HEADER, claims, key);
    let sub = |sub: &str| {
        let claims = claims("").replace(r#""sub":"ana""#, &format!(r#""sub":{sub}"#));
        signed(HEADER, &claims, key)
    };
    let exp = |exp: &str| signed(HEADER, &claims("").replace("4000000000", exp), key);
    let whole = good().signed(key);
    let (message, signature) = whole.rsplit_once('.').unwrap();
    let (head, body) = message.split_once('.').unwrap();
    let raw_signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    // The last character of 32 bytes in base64 holds two bits that mean nothing.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    let twin = alphabet.chars().nth(at ^ 1).unwrap();
    let malleable = format!("{message}.{}{twin}", &signature[..signature.len() - 1]);
    vec![
        ("its own key in jwk", with("jwk", jwk)),
        ("its own keys at jku", with("jku", "https://evil.example/keys".into())),
        ("its own certificate at x5u", with("x5u", "https://evil.example/cert".into())),
        ("its own certificate in x5c", with("x5c", json!(["AAAA"]))),
        ("kid of an empty file", good().header("kid", "../../../../dev/null").signed(b"")),
        ("kid of a known file", good().header("kid", "/proc/sys/kernel/ostype").signed(b"Linux\n")),
        ("kid in SQL", good().header("kid", "x' UNION SELECT 'k' --").signed(b"k")),
        ("an endless kid", good().header("kid", "k".repeat(100_000)).signed(secret)),
        ("a kid of another kind", good().header("kid", json!({"$ne": 1})).signed(key)),
        ("no algorithm", signed(r#"{"typ":"JWT"}"#, &claims(""), key)),
        ("a list of algorithms", good().header("alg", json!(["none", "HS256"])).signed(key)),
        ("none in capitals", good().header("alg", "NONE").unsigned()),
        ("the algorithm in small letters", good().header("alg", "hs256").signed(key)),
        ("two algorithms, none last", signed(r#"{"alg":"HS256","alg":"none"}"#, &claims(""), key)),
        ("two algorithms, none first", signed(r#"{"alg":"none","alg":"HS256"}"#, &claims(""), key)),
        ("an algorithm with NUL", signed("{\"alg\":\"HS256\\u0000\"}", &claims(""), key)),
        ("critical, of nothing", good().header("crit", json!([])).signed(key)),
        ("an empty secret", good().signed(b"")),
        ("a secret of zeros", good().signed(&[0; 32])),
        ("the key as hex", good().signed(hex(key).as_bytes())),
        ("the key in base64", good().signed(BASE64_STANDARD_NO_PAD.encode(key).as_bytes())),
        ("two users", text(&claims(r#""sub":"bo","#))),
        ("two ends", text(&claims(r#""exp":1,"#))),
        ("two audiences, apart", text(&claims(r#""aud":"other","#))),
        ("a list of users", sub(r#"["ana"]"#)),
        ("a user in an object", sub(r#"{"id":"ana"}"#)),
        ("NUL in the user", sub(r#""ana\u0000""#)),
        ("a line after the user", sub(r#""ana\n""#)),
        ("blanks around the user", sub(r#"" ana""#)),
        ("a letter that looks like another", sub(r#""\u0430na""#)),
        ("half a letter", sub(r#""ana\ud800""#)),
        ("a conversation as user", sub(r#""d:ana:bo""#)),
        ("the partition of a user", sub(r#""u#ana""#)),
        ("a path as user", sub(r#""..""#)),
        ("an endless user", sub(&format!("\"{}\"", "a".repeat(65)))),
        ("an end in words", exp(r#""4000000000""#)),
        ("an end that is no number", exp("null")),
        ("an end before the beginning", exp("-1")),
        ("an end beyond all numbers", exp("1e999")),
        ("not yet valid", text(&claims(r#""nbf":3900000000,"#))),
        ("not before nothing", text(&claims(r#""nbf":"","#))),
        ("for identity, not for access", text(&claims(r#""token_use":"id","#))),
        ("a use in a list", text(&claims(r#""token_use":["access"],"#))),
        (
            "an audience beside the right one",
            text(&claims("").replace("\"petrel\"", "\"petrel2\"")),
        ),
        ("the audience in capitals", text(&claims("").replace("\"petrel\"", "\"PETREL\""))),
        ("the issuer with a slash", text(&claims("").replace("petrel-local", "petrel-local/"))),
        ("no object", signed(HEADER, "[]", key)),
        ("an array for a header", signed("[]", &claims(""), key)),
        ("text behind the claims", text(&format!("{} x", claims("")))),
        ("four parts", format!("{whole}.{signature}")),
        ("a part in front", format!("{head}.{whole}")),
        ("another's signature bits", malleable),
        ("padding", format!("{message}.{}", BASE64_URL_SAFE.encode(&raw_signature))),
        (
            "a signature that is longer",
            format!(
                "{message}.{}",
                BASE64_URL_SAFE_NO_PAD.encode([&raw_signature[..], &[0]].concat())
            ),
        ),
        (
            "half a signature",
            format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(&raw_signature[..16])),
        ),
        ("the parts of a URL", format!("{head}%2E{body}%2E{signature}")),
        ("an encrypted one", format!("{}.a.b.c.d", b64(r#"{"alg":"dir","enc":"A256GCM"}"#))),
        ("10 KiB and more", good().claim("x", "x".repeat(11_000)).signed(key)),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn refused(why: &str, outcome: Result<Client, Error>) -> (u16, Value) {
    match outcome {
        Err(Error::Refused { status, body }) => (status, body["code"].clone()),
        other => panic!("{why} is not refused: {other:?}"),
    }
}

#[tokio::test]
async fn no_forged_token_opens_anything() {
    let server = Server::start().await;
    server.connect("ana").await.say("d:ana:bo", 0, "not for everyone").await;
    let key = server.key();
    let unauthenticated = (401, json!("unauthenticated"));
    // That the hand that forges could sign, were it not for what is forged.
    let good = signed(HEADER, &claims(""), &key);
    server.request("GET", "/api/conversations").token(&good).send().await.expect(200);
    for (why, token) in forged(&key) {
        // The client's library writes no URL that is longer.
        if token.len() < 60_000 {
            let query = Login::new(&server.ws(), &token).token_in_query();
            assert_eq!(refused(why, Client::connect(&query).await), unauthenticated, "{why}");
        }
        let bearer = format!("Bearer {token}");
        for line in ["GET /api/conversations", "GET /api/conversations/d:ana:bo/messages?after=0"] {
            let answer = raw::ask(&server, line, &[("authorization", &bearer)], "").await;
            // A header so long is not read to its end.
            let expected = if token.len() > 60_000 { [401, 431] } else { [401, 401] };
            assert!(expected.contains(&raw::status(&answer)), "{why}: {answer}");
            assert!(!answer.contains("not for everyone"), "{why}");
        }
    }
    // Ana's may still be closing; one that was let in would stay.
    server.wait_until("no socket is open", |state| state["connections"] == 0).await;
}

/// When it was issued is no reason to refuse a token: only its end and its beginning are.
#[tokio::test]
async fn the_time_of_issue_decides_nothing() {
    let server = Server::start().await;
    for iat in ["4000000000", "-7", "\"yesterday\"", "null", "1e300"] {
        let claims = claims("").replace("1700000000", iat);
        let token = signed(HEADER, &claims, &server.key());
        server.request("GET", "/api/conversations").token(&token).send().await.expect(200);
    }
}

#[tokio::test]
async fn a_token_of_another_server_is_none_here() {
    let (server, other) = (Server::start().await, Server::start().await);
    let login = Login::new(&server.ws(), &other.token("ana"));
    assert_eq!(
        refused("another's", Client::connect(&login).await),
        (401, json!("unauthenticated"))
    );
}

#[tokio::test]
async fn two_tokens_at_once_are_none() {
    let server = Server::start().await;
    let (ana, eve) = (server.token("ana"), server.token("eve"));
    let upgrade = [
        ("upgrade", "websocket"),
        ("connection", "upgrade, close"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let open = async |query: &str, protocols: &[&str], header: Option<&str>| {
        let mut request = format!("GET /ws?{query} HTTP/1.1\r\nhost: {}\r\n", server.addr());
        for (name, value) in upgrade {
            request += &format!("{name}: {value}\r\n");
        }
        for line in protocols {
            request += &format!("sec-websocket-protocol: {line}\r\n");
        }
        if let Some(token) = header {
            request += &format!("authorization: Bearer {token}\r\n");
        }
        raw::head(&server, format!("{request}\r\n").as_bytes()).await
    };
    let (of_ana, of_eve) = (format!("bearer.{ana}"), format!("bearer.{eve}"));
    let both = format!("petrel.v1, {of_ana}, {of_eve}");
    for (why, answer) in [
        ("query and subprotocol", open(&format!("token={eve}"), &[&of_ana], None).await),
        ("query and header", open(&format!("token={eve}"), &[], Some(&ana)).await),
        ("subprotocol and header", open("", &[&of_ana], Some(&eve)).await),
        ("twice in the query", open(&format!("token={ana}&token={eve}"), &[], None).await),
        ("twice in one line", open("", &[&both], None).await),
        ("in two lines", open("", &[&of_ana, &of_eve], None).await),
        ("a good one and none", open(&format!("token={ana}"), &["bearer."], None).await),
    ] {
        assert_eq!(raw::status(&answer), 401, "{why}: {answer}");
    }
    // The same one twice is one.
    let answer = open(&format!("token={ana}"), &[&of_ana], Some(&ana)).await;
    assert_eq!(raw::status(&answer), 101, "{answer}");

    let (ana, eve) = (format!("Bearer {ana}"), format!("Bearer {eve}"));
    let with = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let bearer = |value: &str| vec![with("authorization", value)];
    for (why, headers) in [
        ("two lines", [bearer(&ana), bearer(&eve)].concat()),
        ("the same line twice", [bearer(&ana), bearer(&ana)].concat()),
        ("one line", bearer(&format!("{ana}, {eve}"))),
        ("another scheme", bearer(&ana.replace("Bearer", "Basic"))),
        ("two blanks", bearer(&ana.replace("Bearer ", "Bearer  "))),
        ("a tab", bearer(&ana.replace("Bearer ", "Bearer\t"))),
        (
            "another header",
            vec![with("x-authorization", &ana), with("x-forwarded-authorization", &ana)],
        ),
        ("a cookie", vec![with("cookie", &format!("authorization={ana}; token={ana}"))]),
    ] {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = raw::ask(&server, "GET /api/conversations", &headers, "").await;
        assert_eq!(raw::status(&answer), 401, "{why}: {answer}");
    }
    let line = format!("GET /api/conversations?token={}", server.token("ana"));
    assert_eq!(raw::status(&raw::ask(&server, &line, &[], "").await), 401, "in the query");
}

#[tokio::test]
async fn a_handshake_that_is_repeated_opens_another_socket_and_nothing_of_the_first() {
    let server = Server::start().await;
    let login = server.login("bo").device("phone");
    let mut first = Client::connect(&login).await.unwrap();
    first.sync(&json!({})).await;
    // Whoever recorded the handshake has the token, and so is its user until it ends: the device has moved, no more.
    let mut again = Client::connect(&login).await.unwrap();
    again.sync(&json!({})).await;
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, "to the newer").await;
    again.wait_for_type("message").await;
    // The end of the older one does not take the newer with it.
    first.close().await;
    server.wait_until("two are open", |state| state["connections"] == 2).await;
    ana.say("d:ana:bo", 1, "still").await;
    again.wait_for_type("message").await;
}

/// The subprotocol that carries the token is never the one that is picked: it would come back in a header.
#[tokio::test]
async fn the_subprotocol_with_the_token_is_not_echoed() {
    let server = Server::start().await;
    let token = server.token("ana");
    for offered in [
        format!("bearer.{token}"),
        format!("petrel.v1, bearer.{token}"),
        format!("bearer.{token}, petrel.v1, petrel.v2"),
    ] {
        let request = format!(
            "GET /ws HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: {offered}\r\n\r\n",
            server.addr()
        );
        let answer = raw::head(&server, request.as_bytes()).await;
        assert_eq!(raw::status(&answer), 101, "{answer}");
        assert!(!answer.contains(&token), "{answer}");
        let picked = answer.contains("sec-websocket-protocol: petrel.v1\r\n");
        assert_eq!(picked, offered.contains("petrel.v1"), "{answer}");
    }
}
