//! Who may open a socket, and what the gateway is told.

use std::time::Duration;

use petrel_aws::Origins;
use petrel_aws::token::{Expected, FetchKeys, LocalKey, Verifier, sign};
use petrel_core::ErrorKind;
use petrel_core::ids::UserId;
use petrel_core::ports::World;
use petrel_functions::authorizer::{Authorizer, failure, handle};
use serde_json::{Value, json};

use crate::events::{self, ARN};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "petrel";
const PROTOCOL: &str = "Sec-WebSocket-Protocol";
const HOUR: u64 = 3_600;

fn key(seed: u8) -> LocalKey {
    LocalKey::new([seed; 32]).unwrap()
}

fn authorizer(origins: Origins) -> Authorizer {
    let expected = Expected { issuer: Some(ISSUER.into()), audiences: vec![AUDIENCE.to_owned()] };
    Authorizer { verifier: Verifier::local(&key(1), expected), origins }
}

/// Ana's token, signed so many seconds ago for an hour.
fn token_of(age_s: u64, key: &LocalKey, issuer: &str, audience: &str) -> String {
    let now = petrel_aws::SystemWorld.now_ms() - age_s * 1_000;
    let ana = UserId::parse("ana").unwrap();
    sign(key, &ana, issuer, audience, now, Duration::from_secs(HOUR), None).unwrap()
}

fn token() -> String {
    token_of(0, &key(1), ISSUER, AUDIENCE)
}

async fn ask(authorizer: &Authorizer, event: &Value) -> Value {
    let answer = handle(authorizer, events::authorizer(event)).await.unwrap();
    serde_json::to_value(answer).unwrap()
}

#[tokio::test]
async fn a_token_comes_by_subprotocol_query_or_header() {
    let authorizer = authorizer(Origins::Any);
    let token = token();
    let bearer = format!("bearer.{token}");
    let browser = format!("petrel.v1, {bearer}");
    let header = format!("Bearer {token}");
    let lower = format!("bearer {token}");
    let device = ("device_id", "phone");
    let mut two_lines = events::authorize(&[(PROTOCOL, &bearer)], &[device]);
    events::set_header(&mut two_lines, PROTOCOL, "petrel.v1");
    for (way, event) in [
        ("subprotocol", events::authorize(&[(PROTOCOL, &browser)], &[device])),
        ("subprotocol alone", events::authorize(&[(PROTOCOL, &bearer)], &[device])),
        ("subprotocols in two lines", two_lines),
        ("query", events::authorize(&[], &[("token", &token), device])),
        ("header", events::authorize(&[("Authorization", &header)], &[device])),
        ("scheme in lower case", events::authorize(&[("Authorization", &lower)], &[device])),
    ] {
        let expected = json!({
            "principalId": "ana",
            "policyDocument": {"Version": "2012-10-17", "Statement": [
                {"Action": ["execute-api:Invoke"], "Effect": "Allow", "Resource": [ARN]}]},
            "context": {"user": "ana", "device": "phone"},
            "usageIdentifierKey": null,
        });
        assert_eq!(ask(&authorizer, &event).await, expected, "{way}");
    }
}

#[tokio::test]
async fn a_socket_without_a_device_id_gets_one_of_its_own() {
    let authorizer = authorizer(Origins::Any);
    let token = token();
    let event = events::authorize(&[], &[("token", &token)]);
    let mut devices = vec![];
    for _ in 0..2 {
        let device = ask(&authorizer, &event).await["context"]["device"].clone();
        petrel_core::ids::DeviceId::parse(device.as_str().unwrap()).unwrap();
        devices.push(device);
    }
    assert_ne!(devices[0], devices[1]);

    // One that breaks the rules is `$connect`'s to refuse, but the context has a limit.
    let long = "x".repeat(5_000);
    let event = events::authorize(&[], &[("token", &token), ("device_id", &long)]);
    assert_eq!(ask(&authorizer, &event).await["context"]["device"], long[..256]);
}

#[tokio::test]
async fn only_pages_of_an_allowed_origin_get_in() {
    let authorizer = authorizer(Origins::These(vec!["https://chat.example.com".into()]));
    let token = token();
    let event = |origin: Option<&str>| {
        let mut event = events::authorize(&[], &[("token", &token)]);
        let headers = event["headers"].as_object_mut().unwrap();
        headers.remove("Origin");
        if let Some(origin) = origin {
            headers.insert("Origin".into(), origin.into());
        }
        event
    };
    for (origin, effect) in [
        (Some("https://chat.example.com"), "Allow"),
        (None, "Allow"),
        (Some("https://evil.example"), "Deny"),
        (Some("https://chat.example.com.evil.example"), "Deny"),
        (Some("null"), "Deny"),
        (Some("é"), "Deny"),
        (Some(""), "Deny"),
    ] {
        let answer = ask(&authorizer, &event(origin)).await;
        let statement = &answer["policyDocument"]["Statement"];
        let expected =
            json!([{"Action": ["execute-api:Invoke"], "Effect": effect, "Resource": [ARN]}]);
        assert_eq!(*statement, expected, "{origin:?}");
    }
}

#[tokio::test]
async fn whoever_has_no_valid_token_is_unauthenticated() {
    let authorizer = authorizer(Origins::Any);
    let good = token();
    let (head, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let by_query = |token: &str| events::authorize(&[], &[("token", token)]);
    for (label, event) in [
        ("none", events::authorize(&[], &[("device_id", "phone")])),
        ("empty", by_query("")),
        ("garbage", by_query("garbage")),
        ("three dots", by_query("...")),
        ("too long", by_query(&"x".repeat(11_000))),
        ("expired", by_query(&token_of(2 * HOUR, &key(1), ISSUER, AUDIENCE))),
        ("of another key", by_query(&token_of(0, &key(2), ISSUER, AUDIENCE))),
        ("of another issuer", by_query(&token_of(0, &key(1), "https://other", AUDIENCE))),
        ("for another audience", by_query(&token_of(0, &key(1), ISSUER, "other"))),
        // {"alg":"none"}
        ("unsigned", by_query(&format!("eyJhbGciOiJub25lIn0.{claims}."))),
        ("cut", by_query(&format!("{head}.{claims}.{}", &signature[1..]))),
        ("as a password", events::authorize(&[("Authorization", "Basic YW5hOmFuYQ==")], &[])),
        ("without a scheme", events::authorize(&[("Authorization", &good)], &[])),
        ("as a bare subprotocol", events::authorize(&[(PROTOCOL, &good)], &[])),
        ("subprotocol without token", events::authorize(&[(PROTOCOL, "petrel.v1, bearer.")], &[])),
    ] {
        let refused = handle(&authorizer, events::authorizer(&event)).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Unauthenticated, "{label}");
        // The one text that API Gateway answers with 401.
        assert_eq!(failure(refused).to_string(), "Unauthorized", "{label}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_no_refusal() {
    struct Down;
    #[async_trait::async_trait]
    impl FetchKeys for Down {
        async fn fetch(&self) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
            Err("the issuer is down".into())
        }
    }
    let verifier = Verifier::issuer(Down, Expected::default());
    let authorizer = Authorizer { verifier, origins: Origins::Any };
    // {"alg":"RS256","kid":"k"}
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA";
    let event = events::authorize(&[], &[("token", token)]);
    let error = handle(&authorizer, events::authorizer(&event)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy);
    assert_ne!(failure(error).to_string(), "Unauthorized");
}
