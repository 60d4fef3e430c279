//! What a user chose for a conversation: on every device, in every list, and on the phone.

use petrel_test_client::frames;
use serde_json::{Value, json};

use crate::look::each;
use crate::server::Server;

const STATE: &str = "/api/conversations/d:ana:bo/state";
/// The year 9999.
const FOR_EVER: u64 = 253_402_300_799_999;

async fn choose(server: &Server, user: &str, path: &str, change: Value) -> Value {
    server.request_as(user, "PATCH", path).json(&change).send().await.expect(200)
}

#[tokio::test]
async fn what_one_device_chooses_the_others_show() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, "hi").await;
    let mut phone = server.connect_device("bo", "phone").await;
    let mut laptop = server.connect_device("bo", "laptop").await;
    let (_, synced) = phone.sync(&json!({})).await;
    assert_eq!(synced["conversations"][0].get("state"), None, "nothing was chosen");

    let muted =
        choose(&server, "bo", STATE, json!({"muted_until": FOR_EVER, "marked_unread": true})).await;
    let version = muted["version"].as_u64().unwrap();
    assert_eq!(
        muted,
        json!({"conversation_id": "d:ana:bo", "version": version, "muted_until": FOR_EVER,
            "pinned": false, "archived": false, "marked_unread": true})
    );
    let mut frame = muted.clone();
    frame["type"] = json!("state");
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.wait_for_type("state").await, frame);
    }
    // Reading more takes the mark away, on all devices.
    server.post("bo", "/api/conversations/d:ana:bo/ack", &json!({"read": 1})).await.expect(204);
    let told = laptop.wait_for_type("state").await;
    let newer = told["version"].as_u64().unwrap();
    assert!(newer > version && told["marked_unread"] == false, "{told}");

    // Each choice leaves the others as they are.
    let mut chosen = muted;
    chosen["version"] = json!(newer);
    chosen["marked_unread"] = json!(false);
    for (field, to) in [("pinned", true), ("archived", true), ("pinned", false), ("pinned", true)] {
        let now = choose(&server, "bo", STATE, json!({ field: to })).await;
        assert!(now["version"].as_u64() > chosen["version"].as_u64(), "{now}");
        chosen["version"] = now["version"].clone();
        chosen[field] = json!(to);
        assert_eq!(now, chosen);
        let mut frame = chosen.clone();
        frame["type"] = json!("state");
        for device in [&mut phone, &mut laptop] {
            let newest =
                |told: &Value| told["type"] == "state" && told["version"] == now["version"];
            assert_eq!(device.wait_for("what was chosen", newest).await, frame);
        }
    }

    let (_, synced) = laptop.sync(&json!({})).await;
    chosen.as_object_mut().unwrap().remove("conversation_id");
    assert_eq!(synced["conversations"][0]["state"], chosen);
    let list = server.get("bo", "/api/conversations").await.expect(200);
    assert_eq!(list["conversations"][0]["state"], chosen);
    let others = server.get("ana", "/api/conversations").await.expect(200);
    assert_eq!(others["conversations"][0].get("state"), None, "it is nobody else's");
}

#[tokio::test]
async fn a_muted_phone_rings_for_mentions_alone_and_says_how_much_is_unread() {
    let server = Server::start().await;
    let endpoint = json!({"platform": "apns", "token": "t"});
    let put = server.request_as("bo", "PUT", "/api/devices/phone/push").json(&endpoint);
    put.send().await.expect(204);
    let group = json!({"name": "trip", "member_ids": ["bo", "dee"]});
    let group = server.post("ana", "/api/conversations", &group).await.expect(201);
    let group = group["conversation_id"].as_str().unwrap();
    let mut ana = server.connect("ana").await;
    ana.say(group, 1, "ring").await;
    assert_eq!(server.pushed_out().await.len(), 1);
    choose(
        &server,
        "bo",
        &format!("/api/conversations/{group}/state"),
        json!({"muted_until": FOR_EVER}),
    )
    .await;
    ana.say(group, 2, "silence").await;
    let mention = || json!({"type": "text", "text": "@bo", "mentions": ["bo"]});
    ana.ask(&frames::send(group, 3, &frames::new_id(), mention())).await;
    // In a direct conversation a mute holds.
    let mut cy = server.connect("cy").await;
    cy.say("d:bo:cy", 0, "hi").await;
    ana.say("d:ana:bo", 0, "ring").await;
    assert_eq!(server.pushed_out().await.len(), 4);
    choose(&server, "bo", STATE, json!({"muted_until": FOR_EVER})).await;
    ana.ask(&frames::send("d:ana:bo", 1, &frames::new_id(), mention())).await;

    let pushes = Value::from(server.pushed_out().await);
    let mut told: Vec<_> = pushes
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            (p["conversation_id"].as_str().unwrap(), p["seq"].as_u64(), p["mentioned"] == true)
        })
        .collect();
    told.sort();
    let expected = vec![
        ("d:ana:bo", Some(1), false),
        ("d:bo:cy", Some(1), false),
        (group, Some(2), false),
        (group, Some(4), true),
    ];
    assert_eq!(told, expected, "{pushes}");
    // The first was alone, and from then on its conversation is muted.
    assert_eq!(each(&pushes, "/badge")[0], json!(1));
    let unread = server.get("bo", "/api/unread").await.expect(200);
    assert_eq!(unread, json!({"messages": 6, "conversations": 3, "badge": 1, "more": false}));
}

#[tokio::test]
async fn an_operator_may_keep_words_and_numbers_from_the_phone() {
    let server = Server::with(&["--no-push-badge", "--no-push-preview"]).await;
    let endpoint = json!({"platform": "fcm", "token": "t"});
    let put = server.request_as("bo", "PUT", "/api/devices/phone/push").json(&endpoint);
    put.send().await.expect(204);
    server.connect("ana").await.say("d:ana:bo", 0, "secret").await;
    let pushes = server.pushed_out().await;
    assert_eq!((&pushes[0]["preview"], pushes[0].get("badge")), (&Value::Null, None));
}
