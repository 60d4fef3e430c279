//! Items: how values go in and come out.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use petrel_core::error::{Error, Result};

/// An item, or a map in one.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A string.
pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number.
pub(crate) fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// An item of these attributes.
pub(crate) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Reads a string.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(malformed(name)),
    }
}

/// Reads a number.
pub(crate) fn number(item: &Item, name: &str) -> Result<u64> {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse().map_err(|_| malformed(name)),
        _ => Err(malformed(name)),
    }
}

/// Reads a flag; absent is `false`.
pub(crate) fn flag(item: &Item, name: &str) -> Result<bool> {
    match item.get(name) {
        None => Ok(false),
        Some(AttributeValue::Bool(flag)) => Ok(*flag),
        Some(_) => Err(malformed(name)),
    }
}

/// Reads a number; absent is 0.
pub(crate) fn count(item: &Item, name: &str) -> Result<u64> {
    if item.contains_key(name) { number(item, name) } else { Ok(0) }
}

/// A stored item is not what this crate writes.
pub(crate) fn malformed(name: &str) -> Error {
    Error::port(format!("malformed item: {name}"))
}

/// The error, with the key of the item that it is about: whoever reads the log must find it.
pub(crate) fn at(item: &Item, keys: &[&str], error: &Error) -> Error {
    let value = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text) | AttributeValue::N(text)) => format!("{name}={text}"),
        _ => format!("no {name}"),
    };
    let key: Vec<_> = keys.iter().map(|name| value(name)).collect();
    Error::port(format!("{} ({})", error.with_causes(), key.join(", ")))
}
