//! Looking at JSON: the part that a test is about.

use serde_json::{Map, Value};

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
