//! What only the real gateway can bring in: its authorizer's view of a handshake, the claims that it passes on; and who is
//! blocked, as the authorizer sees it.

use std::sync::Arc;
use std::time::Duration;

use petrel_aws::Origins;
use petrel_aws::token::{Expected, LocalKey, Verifier, sign};
use petrel_core::ErrorKind;
use petrel_core::ids::UserId;
use petrel_core::ports::{People, World};
use petrel_core::testing::Memory;
use petrel_functions::authorizer::{Authorizer, handle};
use petrel_functions::{connect, route};
use serde_json::{Value, json};

use crate::api::{app, ask, hi, pass};
use crate::events::{self, ANA, BO, Socket};

#[path = "../../../tests/security/routes.rs"]
#[expect(dead_code, reason = "what the local server has besides is not here")]
mod routes;

use routes::{Row, Way, Who};

const PROTOCOL: &str = "Sec-WebSocket-Protocol";
const ID: &str = "0192f3c4-0000-7000-8000-0000000000e0";
const EVE: Socket = Socket { user: "eve", device: "phone", id: "EveXcOFvHcCIhw=", ..ANA };

fn key() -> LocalKey {
    LocalKey::new([1; 32]).unwrap()
}

fn token(user: &str) -> String {
    let user = UserId::parse(user).unwrap();
    let now = petrel_aws::SystemWorld.now_ms();
    sign(&key(), &user, "i", "petrel", now, Duration::from_secs(60), None).unwrap()
}

fn authorizer() -> Authorizer {
    let expected = Expected { issuer: Some("i".into()), audiences: vec!["petrel".to_owned()] };
    Authorizer { verifier: Verifier::local(&key(), expected), origins: Origins::Any }
}

#[tokio::test]
async fn a_handshake_with_two_tokens_has_none() {
    let authorizer = authorizer();
    let (ana, eve) = (token("ana"), token("eve"));
    let bearer = |token: &str| format!("bearer.{token}");
    let header = |token: &str| format!("Bearer {token}");
    let query = |name: &str, all: [&str; 2]| {
        let mut event = events::authorize(&[], &[(name, all[1])]);
        event["multiValueQueryStringParameters"][name] = json!(all);
        event
    };
    let mut lines = events::authorize(&[(PROTOCOL, &bearer(&ana))], &[]);
    events::set_header(&mut lines, PROTOCOL, &bearer(&eve));
    let mut authorizations = events::authorize(&[("Authorization", &header(&ana))], &[]);
    events::set_header(&mut authorizations, "Authorization", &header(&eve));
    let (of_ana, of_eve) = (bearer(&ana), header(&eve));
    for (why, event) in [
        ("subprotocol and query", events::authorize(&[(PROTOCOL, &of_ana)], &[("token", &eve)])),
        (
            "subprotocol and header",
            events::authorize(&[(PROTOCOL, &of_ana), ("Authorization", &of_eve)], &[]),
        ),
        ("query and header", events::authorize(&[("Authorization", &of_eve)], &[("token", &ana)])),
        ("twice in the query", query("token", [&ana, &eve])),
        (
            "twice in a line",
            events::authorize(&[(PROTOCOL, &format!("{of_ana}, {}", bearer(&eve)))], &[]),
        ),
        ("two lines of subprotocols", lines),
        ("two lines of the header", authorizations),
        ("one that is empty", events::authorize(&[(PROTOCOL, &of_ana)], &[("token", "")])),
    ] {
        let refused = handle(&authorizer, events::authorizer(&event)).await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Unauthenticated, "{why}");
    }
    let same = events::authorize(&[(PROTOCOL, &of_ana)], &[("token", &ana)]);
    let allowed = handle(&authorizer, events::authorizer(&same)).await.unwrap();
    assert_eq!(allowed.principal_id.as_deref(), Some("ana"));
}

#[tokio::test]
async fn a_handshake_names_its_user_by_nothing_but_its_token() {
    let authorizer = authorizer();
    let eve = token("eve");
    let headers = [
        ("X-User", "bo"),
        ("X-Amzn-Oidc-Identity", "bo"),
        ("X-Forwarded-User", "bo"),
        ("Cookie", "user=bo"),
    ];
    let query = [
        ("token", eve.as_str()),
        ("user", "bo"),
        ("sub", "bo"),
        ("principalId", "bo"),
        ("device_id", "bos-phone"),
        ("context", r#"{"user":"bo"}"#),
    ];
    let event = events::authorize(&headers, &query);
    let allowed = handle(&authorizer, events::authorizer(&event)).await.unwrap();
    assert_eq!(allowed.context, json!({"user": "eve", "device": "bos-phone"}));
    assert_eq!(allowed.principal_id.as_deref(), Some("eve"));
    // What it allows is this handshake, and no other route of the API.
    let resources = &allowed.policy_document.statement[0].resource;
    assert_eq!(*resources, [events::ARN]);
}

#[tokio::test]
async fn claims_that_are_not_of_an_access_token_call_nothing() {
    let (_, app) = app();
    ask(&app, "ana", "POST", "/api/messages", hi("hi")).await;
    let event = |claims: Value| {
        let mut event = events::http(Some("ana"), "GET", "/api/conversations", "");
        let all = &mut event["requestContext"]["authorizer"]["jwt"]["claims"];
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        event
    };
    for claims in [
        json!({"token_use": "id"}),
        json!({"token_use": "refresh"}),
        json!({"token_use": ""}),
        json!({"token_use": "Access"}),
        // As API Gateway writes a list.
        json!({"sub": "[ana bo]"}),
        json!({"sub": "ana\u{0}"}),
        json!({"sub": "ana bo"}),
        json!({"sub": "ana,bo"}),
        json!({"sub": "u#ana"}),
        json!({"sub": ""}),
        json!({"sub": ".."}),
    ] {
        let answer = pass(&app, &event(claims.clone())).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (401, &json!("unauthenticated")),
            "{claims}"
        );
    }
    // The rest of what a token says is the gateway's to check.
    for claims in [json!({}), json!({"scope": "openid", "aud": "[petrel other]", "nbf": "x"})] {
        assert_eq!(pass(&app, &event(claims)).await.status, 200);
    }
}

#[tokio::test]
async fn answers_are_for_who_asked_and_for_no_cache() {
    let (_, app) = app();
    for (user, path) in [
        (Some("ana"), "/api/conversations"),
        (None, "/api/conversations"),
        (Some("ana"), "/api/nothing"),
    ] {
        let headers = pass(&app, &events::http(user, "GET", path, "")).await.headers;
        assert_eq!(
            (&headers["cache-control"], &headers["x-content-type-options"]),
            (&"no-store".parse().unwrap(), &"nosniff".parse().unwrap())
        );
    }
}

/// A row's request, answered whole.
async fn answer(memory: &Arc<Memory>, row: &Row, from: Socket, of: &str) -> Value {
    let (path, content) = row.fill(of, ID, from.user);
    match row.way {
        Way::Http(method) => {
            let event = events::http(Some(from.user), method, &path, &content);
            let answer = pass(&memory.app(), &event).await;
            json!([answer.status, answer.body])
        }
        Way::Frame(_) => {
            let event = events::websocket(&events::message(from, &content));
            serde_json::to_value(route::handle(&memory.app(), event).await).unwrap()
        }
    }
}

/// Whoever is blocked may read what was said, and not write; and the refusal is that of a conversation that is not there.
#[tokio::test]
async fn one_who_is_blocked_writes_nothing_and_is_told_nothing() {
    let memory = Arc::new(Memory::default());
    for socket in [ANA, BO] {
        connect::handle(&memory.app(), events::websocket(&events::connect(socket))).await;
    }
    for words in ["one", "two"] {
        ask(&memory.app(), "ana", "POST", "/api/messages", hi(words)).await;
    }
    let id = |user: &str| UserId::parse(user).unwrap();
    memory.block(&id("bo"), &id("ana")).await.unwrap();
    let posts = memory.posts().len();
    let mut writers = 0;
    for row in Row::guarded().filter(|row| row.is_for("d:ana:bo")) {
        let blocked = answer(&memory, row, ANA, "d:ana:bo").await;
        let stranger = answer(&memory, row, EVE, "d:ana:nobody").await;
        if row.who == Who::Writers {
            assert_eq!(blocked, stranger, "{row:?}");
            assert!(blocked.to_string().contains("not_a_member"), "{row:?}: {blocked}");
            writers += 1;
        } else {
            assert!(!blocked.to_string().contains("not_a_member"), "{row:?}: {blocked}");
        }
    }
    assert!(writers > 3);
    // Nothing reached bo.
    let to_bo = memory.posts().into_iter().skip(posts).filter(|(to, _)| to.as_str() == BO.id);
    assert_eq!(to_bo.count(), 0);
    assert_eq!(memory.jobs().len(), 0);
    let history = ask(
        &memory.app(),
        "bo",
        "GET",
        "/api/conversations/d:ana:bo/messages?after=0",
        Value::Null,
    )
    .await;
    assert_eq!(history.body["messages"].as_array().unwrap().len(), 2);
}
