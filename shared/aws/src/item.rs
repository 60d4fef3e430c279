//! Items: how values go in and come out, and how a query is read to its end.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
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
        Some(AttributeValue::N(digits)) => digits.parse().map_err(Error::port),
        _ => Err(malformed(name)),
    }
}

/// A stored item is not what this crate writes.
pub(crate) fn malformed(name: &str) -> Error {
    Error::port(format!("malformed item: {name}"))
}

/// Reads a query page by page, up to `limit` items.
pub(crate) async fn read_all(query: QueryFluentBuilder, limit: usize) -> Result<Vec<Item>> {
    let mut found = vec![];
    if limit == 0 {
        return Ok(found);
    }
    let query = if limit == usize::MAX {
        query
    } else {
        query.limit(i32::try_from(limit).unwrap_or(i32::MAX))
    };
    let mut items = query.consistent_read(true).into_paginator().items().send();
    while found.len() < limit {
        match items.next().await {
            Some(item) => found.push(item.map_err(Error::port)?),
            None => break,
        }
    }
    Ok(found)
}
