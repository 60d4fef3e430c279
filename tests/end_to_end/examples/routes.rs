//! The OpenAPI document is made from a table; the router is held beside it here, both ways.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::document::file;
use crate::server::Server;

/// The paths of every router in the functions' sources.
fn paths(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let all = text.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1));
            found.extend(all.map(str::to_owned));
        }
    }
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_route_is_there() {
    let mut all = BTreeSet::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/src");
    paths(&sources, &mut all);
    let text = fs::read_to_string(file("openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let documented = document["paths"].as_object().unwrap();
    let paths: BTreeSet<String> = documented.keys().cloned().collect();
    let how = "shared/core/src/wire/documents/mod.rs says how to add a route";
    assert_eq!(paths, all, "documented, and in the routers: {how}");
    let server = Server::start().await;
    for (path, ways) in documented {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let filled = path.replace(['{', '}'], "");
            let answer = server.request_as("ana", method, &filled).send().await;
            let words = answer.body["message"].as_str().unwrap_or_default();
            let there = !words.starts_with("no such method here");
            let documented = ways.get(method.to_lowercase()).is_some();
            assert_eq!(there, documented, "{method} {path}: {how}; {}", answer.body);
        }
    }
}
