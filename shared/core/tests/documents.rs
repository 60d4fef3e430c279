//! The documents in `docs` are those of the code, and the tables that they are made from say all of it.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeSet;
use std::fs;

use petrel_core::wire::documents::{Line, asyncapi, events, examples, lines, openapi, routes};
use serde_json::Value;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

fn is_up_to_date(file: &str, generated: &Value) {
    let file = format!("{DOCS}/{file}");
    if std::env::var_os("PETREL_UPDATE").is_some() {
        fs::write(&file, serde_json::to_string_pretty(generated).unwrap() + "\n").unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let written: Value = serde_json::from_str(&written).unwrap_or_default();
    let hint = "it changed: PETREL_UPDATE=1 cargo test -p petrel-core --test documents";
    assert!(written == *generated, "{file}: {hint}");
}

#[test]
fn openapi_is_up_to_date() {
    is_up_to_date("openapi.json", &openapi());
}

#[test]
fn asyncapi_is_up_to_date() {
    is_up_to_date("asyncapi.json", &asyncapi());
}

#[test]
fn every_row_is_whole() {
    let all = routes();
    let names: BTreeSet<_> = all.iter().map(|r| r.name).collect();
    assert_eq!(names.len(), all.len(), "two rows of one name");
    let ways: BTreeSet<_> = all.iter().map(|r| (r.method, r.path)).collect();
    assert_eq!(ways.len(), all.len(), "two rows for one method and path");
    for route in all {
        assert!(!route.answers.is_empty(), "{} answers nothing", route.name);
        for name in route.placeholders() {
            assert!(route.place(name).is_some(), "{}: of which type is {name}?", route.name);
        }
    }
}

#[test]
fn every_webhook_has_an_example() {
    let told: BTreeSet<_> =
        events().iter().map(|e| e.tells["type"].as_str().unwrap_or_default().to_owned()).collect();
    let all = ["conversation.changed", "message.created", "message.reported"];
    assert_eq!(told, all.map(str::to_owned).into(), "in examples/webhooks.json");
}

/// The names that a document refers to, and those that it has.
fn references(of: &Value, found: &mut BTreeSet<String>) {
    match of {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().filter(|_| name == "$ref") {
                    Some(to) => {
                        found.insert(to.to_owned());
                    }
                    None => references(value, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| references(one, found)),
        _ => {}
    }
}

#[test]
fn what_a_document_refers_to_is_in_it_and_what_is_in_it_is_referred_to() {
    for document in [openapi(), asyncapi()] {
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for to in &found {
            let there = document.pointer(to.strip_prefix('#').unwrap());
            assert!(there.is_some(), "nothing at {to}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            let to = format!("#/components/schemas/{name}");
            assert!(found.contains(&to), "nobody refers to {name}");
        }
    }
}

#[test]
fn every_action_and_every_frame_is_in_the_tables_and_has_an_example() {
    let document = asyncapi();
    let mut used = BTreeSet::new();
    references(&document["operations"], &mut used);
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        let to = format!("#/channels/socket/messages/{name}");
        assert!(used.contains(&to), "{name} is in no row of frames.rs");
        let told = message.get("examples").is_some();
        assert!(told, "{name} is in no line of examples/frames.json");
    }
}

#[test]
fn every_route_has_an_example_and_every_example_a_route() {
    let all = routes();
    for route in &all {
        let good = |e: &petrel_core::wire::documents::Example| {
            route.matches(e.method(), e.path()) && e.status.is_some_and(|s| s < 300)
        };
        let (method, path) = (route.method, route.path);
        assert!(examples().iter().any(good), "{method} {path} is not in examples/http.json");
    }
    for example in examples().into_iter().filter(|e| !e.is_elsewhere()) {
        let rows = all.iter().filter(|r| r.matches(example.method(), example.path()));
        let statuses: Vec<u16> = rows
            .flat_map(|r| {
                let errors = r.errors().into_iter().map(|kind| kind.http_status());
                r.answers.iter().map(|(status, _)| *status).chain(errors).collect::<Vec<_>>()
            })
            .collect();
        let status = example.status.unwrap_or_default();
        assert!(statuses.contains(&status), "{}: {status} is not documented", example.request);
    }
    let is_either = |line: &Line| match (&line.sends, &line.request) {
        (Some(sends), None) => sends.is_object() && line.body.is_none(),
        (None, Some(_)) => true,
        _ => false,
    };
    assert!(lines().iter().all(is_either), "a frame or a request, one of them");
}
