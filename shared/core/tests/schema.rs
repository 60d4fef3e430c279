//! The schema in `docs` is the one of the code.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use petrel_core::wire::schema::schema;
use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.schema.json");

#[test]
fn the_document_is_up_to_date() {
    let generated = schema();
    if std::env::var_os("PETREL_UPDATE").is_some() {
        let text = serde_json::to_string_pretty(&generated).unwrap() + "\n";
        std::fs::write(FILE, text).unwrap();
    }
    let written: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    let hint = "the protocol changed: PETREL_UPDATE=1 cargo test -p petrel-core --test schema";
    assert_eq!(written, generated, "{hint}");
}
