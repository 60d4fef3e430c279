//! Looking: at the part of a JSON value that a test is about, and again until something is so.

use std::time::Duration;

use petrel_test_client::client::PATIENCE;
use serde_json::{Map, Value};
use tokio::time::{interval, timeout};

/// These fields, and no other.
pub fn pick(of: &Value, fields: &[&str]) -> Value {
    let picked = fields.iter().map(|&field| (field.to_owned(), of[field].clone()));
    picked.collect::<Map<_, _>>().into()
}

/// What stands at this place (`/seq`, `/content/text`) in each element of a list.
pub fn each(list: &Value, place: &str) -> Value {
    let elements = list.as_array().map_or(&[][..], Vec::as_slice);
    elements.iter().map(|e| e.pointer(place).cloned().unwrap_or_default()).collect()
}

/// Looks again and again until it is so.
pub async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let looking = async {
        let mut again = interval(Duration::from_millis(20));
        while !so().await {
            again.tick().await;
        }
    };
    assert!(timeout(PATIENCE, looking).await.is_ok(), "waited until {what}");
}
