//! Every request about a conversation, tried by everyone: owner, admin, member, one who was removed and one who never belonged; of a
//! direct conversation both, one of them blocked, and a stranger. What is refused is refused by its code, and nothing is stored.

mod scene;
mod table;

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};

use crate::document::Document;
use crate::server::Server;
use scene::{Kind, Scene};
use table::{DIRECT, EXEMPT, GROUP, Row};

/// Scenes that are tried at once.
const AT_ONCE: usize = 4;

/// Tries one request, over a socket too if it is a message that is refused.
async fn try_one(scene: &Scene<'_>, row: &Row, who: &str, letter: char) {
    let refused = match letter {
        'y' | '-' | 'o' => None,
        'f' => Some((403, "forbidden")),
        'n' => Some((403, "not_a_member")),
        'b' => Some((400, "bad_request")),
        'm' => Some((404, "not_found")),
        other => panic!("{other} in {row:?}"),
    };
    let answer = scene.request(row, who).send().await;
    let what = format!("{} by {who}: {} {}", row.request, answer.status, answer.body);
    let Some((status, code)) = refused else {
        assert_eq!(answer.status, row.status, "{what}");
        if letter == 'o' {
            let nothing = scene.request(row, "newcomer").send().await;
            assert_eq!(answer.body, nothing.body, "{what}");
        }
        return;
    };
    assert_eq!((answer.status, &answer.body["code"]), (status, &code.into()), "{what}");
    if let Some(content) = row.content() {
        assert_eq!(scene.send(content, who).await["code"], code, "{what}, over a socket");
    }
}

/// Tries these requests with every role: all that changes nothing in one scene, each of the others in one of its own.
async fn try_with_every_role(kind: Kind, rows: &[Row]) {
    let server = Server::with(&["--memory"]).await;
    let all: String = rows.iter().map(|row| row.request).collect();
    let scene = Scene::set(&server, kind, 0, &all).await;
    let before = scene.stored().await;
    let mut changes = vec![];
    for row in rows {
        assert_eq!(row.expected.len(), kind.roles().len(), "{row:?}");
        for (&who, letter) in kind.roles().iter().zip(row.expected.chars()) {
            match kind.resolve(letter) {
                'y' if !row.reads() => changes.push((row, who)),
                letter => try_one(&scene, row, who, letter).await,
            }
        }
        assert!(scene.stored().await == before, "{} changed what it may not", row.request);
    }
    let tries = changes.into_iter().enumerate().map(|(n, (row, who))| {
        let server = &server;
        async move {
            let scene = Scene::set(server, kind, n + 1, row.request).await;
            let before = scene.stored_for(who).await;
            try_one(&scene, row, who, 'y').await;
            assert!(scene.stored_for(who).await != before, "{} by {who}: no change", row.request);
        }
    });
    stream::iter(tries).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn every_role_with_every_request_where_all_may_post_and_admins_add() {
    try_with_every_role(Kind::Group { post: "all", add: "admins" }, GROUP).await;
}

#[tokio::test]
async fn every_role_with_every_request_where_admins_may_post_and_all_add() {
    try_with_every_role(Kind::Group { post: "admins", add: "all" }, GROUP).await;
}

/// The rest of the requests does not depend on the rules, which the tests above hold.
#[tokio::test]
async fn every_role_with_what_the_rules_are_about_where_they_say_the_same() {
    let rows: Vec<Row> = GROUP.iter().copied().filter(Row::depends_on_rules).collect();
    for allowed in ["all", "admins"] {
        try_with_every_role(Kind::Group { post: allowed, add: allowed }, &rows).await;
    }
}

#[tokio::test]
async fn both_and_a_stranger_with_every_request_about_a_direct_conversation() {
    try_with_every_role(Kind::Direct, DIRECT).await;
}

#[test]
fn every_documented_route_has_a_row_or_a_reason_why_not() {
    let document = Document::read("openapi.json");
    let routes = |table: &[Row]| -> BTreeSet<String> {
        let route = |row: &Row| {
            let (method, path, _) = row.parts();
            let route = document.route(method, &path);
            format!("{method} {}", route.unwrap_or_else(|| panic!("no such route: {row:?}")))
        };
        table.iter().map(route).collect()
    };
    let exempt: BTreeSet<String> = EXEMPT.iter().map(|(route, _)| (*route).to_owned()).collect();
    let (group, direct, all) = (routes(GROUP), routes(DIRECT), document.operations());
    assert!(group.is_disjoint(&exempt), "a row for what is exempt");
    let accounted: BTreeSet<String> = group.union(&exempt).cloned().collect();
    let odd: Vec<_> = accounted.symmetric_difference(&all).collect();
    assert!(odd.is_empty(), "GROUP and EXEMPT beside docs/openapi.json: {odd:?}");
    let of_one = |route: &&String| route.contains(" /api/conversations/{id}");
    let odd: Vec<_> = direct.symmetric_difference(&all).filter(of_one).collect();
    assert!(odd.is_empty(), "DIRECT beside docs/openapi.json: {odd:?}");
}
