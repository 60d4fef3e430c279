//! Sockets come and go: what is registered, what is answered, and what a late event may not do.

use std::sync::Arc;

use petrel_core::ids::UserId;
use petrel_core::ports::{Connections, Devices};
use petrel_core::testing::Memory;
use petrel_functions::connect::handle;
use serde_json::{Value, json};

use crate::events::{self, ANA, Socket};

async fn run(memory: &Arc<Memory>, event: &Value) -> Value {
    let response = handle(&memory.app(), events::websocket(event)).await;
    serde_json::to_value(response).unwrap()
}

/// The connection ids of Ana's sockets.
async fn connected(memory: &Memory) -> Vec<String> {
    let Devices { connections, .. } = memory.of(&[UserId::parse("ana").unwrap()]).await.unwrap();
    connections.into_iter().map(|c| c.id.to_string()).collect()
}

#[tokio::test]
async fn a_socket_comes_and_goes() {
    let memory = Arc::new(Memory::default());
    let empty = json!({"statusCode": 200, "headers": {}, "multiValueHeaders": {},
        "isBase64Encoded": false});
    assert_eq!(run(&memory, &events::connect(ANA)).await, empty);
    assert_eq!(connected(&memory).await, [ANA.id]);
    // Both may come twice.
    run(&memory, &events::connect(ANA)).await;
    assert_eq!(connected(&memory).await, [ANA.id]);
    for _ in 0..2 {
        assert_eq!(run(&memory, &events::disconnect(ANA)).await, empty);
        assert!(connected(&memory).await.is_empty());
    }
}

#[tokio::test]
async fn the_subprotocol_is_picked_if_it_was_offered_and_a_token_never() {
    let memory = Arc::new(Memory::default());
    for (offered, picked) in [
        (&["petrel.v1"][..], true),
        (&["petrel.v1, bearer.e30.e30.e30"], true),
        (&["bearer.e30.e30.e30,petrel.v1"], true),
        (&["petrel.v1", "bearer.e30.e30.e30"], true),
        (&["bearer.e30.e30.e30"], false),
        (&["petrel.v10"], false),
        (&["other"], false),
        (&[], false),
    ] {
        let mut event = events::connect(ANA);
        for line in offered {
            events::set_header(&mut event, "Sec-WebSocket-Protocol", line);
        }
        let headers = run(&memory, &event).await["headers"].clone();
        let expected =
            if picked { json!({"sec-websocket-protocol": "petrel.v1"}) } else { json!({}) };
        assert_eq!(headers, expected, "{offered:?}");
    }
}

#[tokio::test]
async fn a_device_id_that_breaks_the_rules_is_refused_and_named() {
    for device in ["", "a b", "a:b", "é", "a/b", "a\n", &"x".repeat(65), &"x".repeat(256)] {
        let memory = Arc::new(Memory::default());
        let mut event = events::connect(ANA);
        event["requestContext"]["authorizer"]["device"] = device.into();
        let response = run(&memory, &event).await;
        assert_eq!(response["statusCode"], 400, "{device:?}");
        let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        let expected =
            json!({"type": "error", "code": "bad_request", "message": "not a valid device id"});
        assert_eq!(body, expected, "{device:?}");
        assert!(connected(&memory).await.is_empty(), "{device:?}");
    }
}

#[tokio::test]
async fn an_event_that_the_gateway_cannot_have_sent_changes_nothing() {
    let without = |name: &str| {
        let mut event = events::connect(ANA);
        event["requestContext"]["authorizer"].as_object_mut().unwrap().remove(name);
        event
    };
    let with = |pointer: &str, value: Value| {
        let mut event = events::connect(ANA);
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    for (label, event) in [
        ("no authorizer", with("/requestContext/authorizer", Value::Null)),
        ("an empty one", with("/requestContext/authorizer", json!({}))),
        ("no user", without("user")),
        ("no device", without("device")),
        ("a device that is no text", with("/requestContext/authorizer/device", json!(7))),
        ("a time before 1970", with("/requestContext/connectedAt", json!(-1))),
    ] {
        let memory = Arc::new(Memory::default());
        run(&memory, &events::connect(Socket { device: "tablet", id: "T=", ..ANA })).await;
        for event_type in ["CONNECT", "DISCONNECT"] {
            let mut event = event.clone();
            event["requestContext"]["eventType"] = event_type.into();
            let response = run(&memory, &event).await;
            assert_eq!(response["statusCode"], 503, "{label}, {event_type}");
            let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
            assert_eq!(body["code"], "busy", "{label}, {event_type}");
            assert_eq!(connected(&memory).await, ["T="], "{label}, {event_type}");
        }
    }
}

#[tokio::test]
async fn an_event_that_comes_late_leaves_the_newer_socket() {
    let memory = Arc::new(Memory::default());
    let old = Socket { id: "Old=", connected_at: 1_790_000_000_000, ..ANA };
    let new = Socket { id: "New=", connected_at: 1_790_000_060_000, ..ANA };
    for (label, event, status) in [
        ("the newer socket", events::connect(new), 200),
        ("the older one's $connect", events::connect(old), 503),
        ("its $disconnect", events::disconnect(old), 200),
    ] {
        assert_eq!(run(&memory, &event).await["statusCode"], status, "{label}");
        assert_eq!(connected(&memory).await, ["New="], "{label}");
    }
    run(&memory, &events::disconnect(new)).await;
    assert!(connected(&memory).await.is_empty());
}
