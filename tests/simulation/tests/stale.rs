//! The reads of the product that need not be strongly consistent are those that the simulation answers from a moment ago.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// On this machine, where no table knows such reads; and a call that warms a connection up, and asks for nothing.
const ELSEWHERE: [&str; 3] = ["expired_timers", "expired_uploads", "warm"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What a table and a bucket are on this machine.
        if path.ends_with("embedded") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The functions that read a table and do not ask for what is newest.
fn eventual(text: &str) -> BTreeSet<String> {
    let reads = |body: &str| {
        let calls = [".get_item()", ".query()", ".scan()", ".entries(conversation)"];
        let asks = calls.iter().any(|call| body.contains(call));
        // `read_all` asks for what is newest; who only builds a query leaves that to its callers.
        let newest = ["consistent_read(", "read_all(", "-> QueryFluentBuilder"];
        let newest = newest.iter().any(|word| body.contains(word));
        asks && !newest || body.contains(".batch_get_recent(")
    };
    let functions = text.split(" fn ").skip(1).filter(|body| reads(body));
    functions.map(|body| body.split(['(', '<']).next().unwrap().to_owned()).collect()
}

#[test]
fn what_may_be_stale_in_the_product_is_stale_here() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![];
    sources(&here.join("../../shared/aws/src"), &mut files);
    let found: BTreeSet<String> =
        files.iter().flat_map(|path| eventual(&fs::read_to_string(path).unwrap())).collect();
    let found: Vec<&str> =
        found.iter().map(String::as_str).filter(|name| !ELSEWHERE.contains(name)).collect();
    assert_eq!(found, ["is_disabled", "recent_profiles", "recent_rows_of"]);
    let ports: String = ["connections", "conversations", "people"]
        .map(|name| fs::read_to_string(here.join(format!("src/ports/{name}.rs"))).unwrap())
        .concat();
    let readme = fs::read_to_string(here.join("README.md")).unwrap();
    for name in found {
        let port = ports.split(" fn ").find(|body| body.starts_with(name)).unwrap();
        let stale = ["is_stale", "recent_row(", "recent_profile("];
        assert!(stale.iter().any(|call| port.contains(call)), "{name} is never stale here");
        assert!(readme.contains(name), "{name} is not in the README");
    }
}
