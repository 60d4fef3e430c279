//! Invites that run out, and how many there may be.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::look::until;
use crate::rest::Answer;
use crate::server::Server;

/// ana's group, and an invite to it that holds so long.
async fn invite(server: &Server, group: &str, seconds: u64) -> Answer {
    let invites = format!("/api/conversations/{group}/invites");
    server.post("ana", &invites, &json!({"expires_in_s": seconds})).await
}

async fn listed(server: &Server, group: &str) -> Vec<Value> {
    let all = server.get("ana", &format!("/api/conversations/{group}/invites")).await.expect(200);
    all["invites"].as_array().unwrap().clone()
}

/// Waits until a code leads nowhere any more.
async fn runs_out(server: &Server, code: &str) {
    let path = format!("/api/invites/{code}");
    until("it has run out", async || server.get("eve", &path).await.status == 404).await;
}

#[tokio::test]
async fn an_invite_that_has_run_out_is_as_one_that_never_was() {
    let server = Server::start().await;
    let group = server.found("ana", &["bo".to_owned()]).await;
    let short = invite(&server, &group, 1).await.expect(201);
    let long = invite(&server, &group, 3_600).await.expect(201);
    let life = |invite: &Value| {
        invite["expires_at"].as_u64().unwrap() - invite["created_at"].as_u64().unwrap()
    };
    assert_eq!((life(&short), life(&long)), (1_000, 3_600_000));
    let code = short["code"].as_str().unwrap();
    runs_out(&server, code).await;

    let unknown = format!("{}.{}", code.split_once('.').unwrap().0, "0".repeat(32));
    let answer = async |method: &str, code: &str| {
        let path = format!("/api/invites/{code}");
        server.request_as("eve", method, &path).send().await.expect(404)
    };
    for method in ["GET", "POST"] {
        assert_eq!(answer(method, code).await, answer(method, &unknown).await, "{method}");
    }
    assert_eq!(json!(listed(&server, &group).await), json!([long]));
    // What has run out may be taken back like any other.
    let path =
        format!("/api/conversations/{group}/invites/{}", short["invite_id"].as_str().unwrap());
    server.request_as("ana", "DELETE", &path).send().await.expect(204);
    let path = format!("/api/conversations/{group}");
    server.get("eve", &path).await.expect(403);
    let path = format!("/api/invites/{}", long["code"].as_str().unwrap());
    server.post("eve", &path, &json!({})).await.expect(200);
}

#[tokio::test]
async fn an_invite_ends_with_its_makers_membership_and_does_not_come_back_with_it() {
    let server = Server::start().await;
    let group = server.found("ana", &["bo", "cy"].map(str::to_owned)).await;
    let path = format!("/api/conversations/{group}");
    let may_add = json!({"add": "all"});
    server.request_as("ana", "PATCH", &path).json(&may_add).send().await.expect(200);
    let hers = invite(&server, &group, 3_600).await.expect(201);
    for (maker, who) in [("bo", "ana"), ("cy", "cy")] {
        let invites = format!("{path}/invites");
        let made = server.post(maker, &invites, &json!({})).await.expect(201);
        let code = made["code"].as_str().unwrap();
        let answer = async |who: &str, method: &str, code: &str| {
            let path = format!("/api/invites/{code}");
            server.request_as(who, method, &path).send().await
        };
        answer("eve", "GET", code).await.expect(200);
        let gone = format!("{path}/members/{maker}");
        server.request_as(who, "DELETE", &gone).send().await.expect(200);

        let unknown = format!("{}.{}", code.split_once('.').unwrap().0, "0".repeat(32));
        for method in ["GET", "POST"] {
            for asks in ["eve", maker] {
                let refused = answer(asks, method, code).await.expect(404);
                assert_eq!(refused["code"], "not_found");
                assert_eq!(refused, answer(asks, method, &unknown).await.expect(404));
            }
        }
        assert_eq!(json!(listed(&server, &group).await), json!([hers]));
        // It has not only lost its maker.
        let again = json!({"user_ids": [maker]});
        server.post("ana", &format!("{path}/members"), &again).await.expect(200);
        answer("eve", "POST", code).await.expect(404);
        answer("eve", "GET", code).await.expect(404);
        assert_eq!(json!(listed(&server, &group).await), json!([hers]));
    }
}

#[tokio::test]
async fn a_group_has_at_most_twenty_invites() {
    let server = Server::start().await;
    let group = server.found("ana", &["bo".to_owned()]).await;
    let mut made = vec![];
    for _ in 0..20 {
        made.push(invite(&server, &group, 3_600).await.expect(201));
    }
    let full = async || {
        let refused = invite(&server, &group, 3_600).await.expect(400);
        assert_eq!(refused["code"], "bad_request");
        listed(&server, &group).await
    };
    let ids = |invites: &[Value]| -> BTreeSet<String> {
        invites.iter().map(|i| i["invite_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = full().await;
    assert_eq!((all.len(), ids(&all)), (20, ids(&made)));
    // Another group has room of its own.
    let other = server.found("ana", &["cy".to_owned()]).await;
    invite(&server, &other, 3_600).await.expect(201);
    // One that is taken back makes room, and so does one that runs out.
    let path =
        format!("/api/conversations/{group}/invites/{}", made[3]["invite_id"].as_str().unwrap());
    server.request_as("ana", "DELETE", &path).send().await.expect(204);
    let short = invite(&server, &group, 1).await.expect(201);
    runs_out(&server, short["code"].as_str().unwrap()).await;
    invite(&server, &group, 3_600).await.expect(201);
    assert_eq!(full().await.len(), 20);
}

#[tokio::test]
async fn of_invites_that_are_made_at_once_no_more_stand_than_may() {
    let server = Server::start().await;
    let group = server.found("ana", &["bo".to_owned()]).await;
    let mut codes = vec![];
    for _ in 0..19 {
        codes.push(invite(&server, &group, 3_600).await.expect(201));
    }
    let answers = join_all((0..12).map(|_| invite(&server, &group, 3_600))).await;
    codes.extend(answers.into_iter().filter(|a| a.status == 201).map(|a| a.body));
    assert!(codes.len() <= 20, "{}", codes.len());
    let mut standing: Vec<_> = codes.iter().map(|made| &made["invite_id"]).collect();
    standing.sort_by_key(ToString::to_string);
    let listed = listed(&server, &group).await;
    let mut ids: Vec<_> = listed.iter().map(|made| &made["invite_id"]).collect();
    ids.sort_by_key(ToString::to_string);
    // Who was refused left nothing.
    assert_eq!(ids, standing);
}
