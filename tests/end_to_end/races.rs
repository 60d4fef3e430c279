//! Members of a group who change it at the same moment: whoever comes second meets what the first one did.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::rest::Answer;
use crate::server::{Server, crowd};

/// Most members of a group.
const MOST: usize = 1000;

/// Most tries of one request.
const TRIES: usize = 200;

/// Asks until the answer is another than `busy`, as every client does.
async fn ask(server: &Server, who: &str, method: &str, path: &str, body: &Value) -> Answer {
    for _ in 0..TRIES {
        let answer = server.request_as(who, method, path).json(body).send().await;
        if answer.status != 503 {
            return answer;
        }
    }
    panic!("{method} {path} as {who} was answered `busy` {TRIES} times");
}

async fn members(server: &Server, as_user: &str, group: &str) -> Vec<Value> {
    let group = server.get(as_user, &format!("/api/conversations/{group}")).await.expect(200);
    group["members"].as_array().unwrap().clone()
}

/// The changes of a group from its beginning on, as one who was there from the beginning reads them.
async fn changes(server: &Server, as_user: &str, group: &str) -> Vec<Value> {
    let path = format!("/api/conversations/{group}/messages?after=0");
    let page = server.get(as_user, &path).await.expect(200);
    let entries = page["messages"].as_array().unwrap();
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(entry["seq"], at + 1, "{entries:?}");
    }
    entries.iter().map(|entry| entry["content"]["change"].clone()).collect()
}

async fn invite(server: &Server, owner: &str, group: &str) -> String {
    let path = format!("/api/conversations/{group}/invites");
    let made = server.post(owner, &path, &json!({})).await.expect(201);
    format!("/api/invites/{}", made["code"].as_str().unwrap())
}

#[tokio::test]
async fn of_ten_who_join_at_once_as_many_belong_as_there_was_room_for() {
    const ROOM: usize = 5;
    let server = Server::with(&["--memory"]).await;
    let first = crowd(MOST - ROOM);
    let owner = &first[0];
    let group = server.found(owner, &first[1..]).await;
    let code = invite(&server, owner, &group).await;
    let came: Vec<String> = (0..2 * ROOM).map(|n| format!("late-{n}")).collect();
    let answers = came.iter().map(|user| ask(&server, user, "POST", &code, &Value::Null));
    let answers = join_all(answers).await;

    let mut joined: BTreeSet<&str> = BTreeSet::new();
    for (user, answer) in came.iter().zip(&answers) {
        match answer.status {
            200 => assert!(joined.insert(user)),
            _ => {
                assert_eq!((answer.status, &answer.body["code"]), (400, &json!("too_many_members")))
            }
        }
    }
    assert_eq!(joined.len(), ROOM, "{answers:?}");
    let members = members(&server, owner, &group).await;
    assert_eq!(members.len(), MOST);
    let late =
        members.iter().filter_map(|m| m["user_id"].as_str()).filter(|u| u.starts_with("late"));
    assert_eq!(late.collect::<BTreeSet<_>>(), joined);
    assert_eq!(changes(&server, owner, &group).await.len(), 1 + ROOM);
}

#[tokio::test]
async fn one_who_joins_eight_times_at_once_joins_once() {
    let server = Server::start().await;
    let group = server.found("ana", &["bo".to_owned()]).await;
    let code = invite(&server, "ana", &group).await;
    let answers = (0..8).map(|_| ask(&server, "eve", "POST", &code, &Value::Null));
    for answer in join_all(answers).await {
        assert_eq!((answer.status, &answer.body["seq"]), (200, &json!(2)), "{}", answer.body);
    }
    let changes = changes(&server, "ana", &group).await;
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(members(&server, "ana", &group).await.len(), 3);
}

#[tokio::test]
async fn when_everyone_leaves_at_once_there_is_one_owner_to_the_last_and_then_none() {
    let server = Server::start().await;
    let leave = async |who: &str, group: &str| {
        let path = format!("/api/conversations/{group}/members/{who}");
        ask(&server, who, "DELETE", &path, &Value::Null).await
    };
    let others = ["bo", "cy", "di"].map(str::to_owned);
    let group = server.found("ana", &others).await;
    let admin = json!({"role": "admin"});
    for heir in ["bo", "cy"] {
        let path = format!("/api/conversations/{group}/members/{heir}");
        server.request_as("ana", "PATCH", &path).json(&admin).send().await.expect(200);
    }
    for answer in join_all(["ana", "bo", "cy"].map(|who| leave(who, &group))).await {
        answer.expect(200);
    }
    let left = members(&server, "di", &group).await;
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0]["user_id"], &left[0]["role"]), (&json!("di"), &json!("owner")));
    let mut owner = json!("ana");
    for change in changes(&server, "di", &group).await {
        if let Some(heir) = change.get("owner").filter(|heir| !heir.is_null()) {
            assert_eq!(change["members"], json!([owner]), "only an owner who leaves has an heir");
            owner = heir.clone();
        }
    }
    assert_eq!(owner, "di");
    // And the last one: the group is no more, and a code leads nowhere.
    let code = invite(&server, "di", &group).await;
    leave("di", &group).await.expect(200);
    assert_eq!(
        ask(&server, "eve", "POST", &code, &Value::Null).await.expect(404)["code"],
        "not_found"
    );
}

#[tokio::test]
async fn of_two_who_hand_the_group_over_and_take_it_away_one_comes_first() {
    let server = Server::start().await;
    let group = server.found("ana", &["bo", "cy"].map(str::to_owned)).await;
    let to = |who: &str| format!("/api/conversations/{group}/members/{who}");
    // ana names two heirs at once, and removes one of them: whoever comes second is no owner any more, or finds none.
    let owner = json!({"role": "owner"});
    let (bo, cy) = (to("bo"), to("cy"));
    let answers = join_all([
        ask(&server, "ana", "PATCH", &bo, &owner),
        ask(&server, "ana", "PATCH", &cy, &owner),
        ask(&server, "ana", "DELETE", &bo, &Value::Null),
    ])
    .await;
    for answer in &answers {
        assert!([200, 403, 404].contains(&answer.status), "{answer:?}");
    }
    let members = members(&server, "ana", &group).await;
    let owners: Vec<_> = members.iter().filter(|m| m["role"] == "owner").collect();
    assert_eq!(owners.len(), 1, "{members:?}");
    assert!(answers.iter().any(|answer| answer.status == 200));
}
