//! The tables, with the keys that template.yaml gives them.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TableDescription,
};

use super::SetupError;
use crate::keys::{self, Tables};

/// Most time until a new table can be used. AWS takes seconds, an emulator none.
const ACTIVE: Duration = Duration::from_secs(60);

type Key = Vec<(&'static str, ScalarAttributeType)>;

/// Creates the tables that are not there yet and waits until all can be used.
///
/// # Errors
/// If one cannot be created, or is there with another key; `url` is named in them.
pub async fn create_tables(client: &Client, tables: &Tables, url: &str) -> Result<(), SetupError> {
    use ScalarAttributeType::{N, S};
    let schemas: [(&String, Key); 3] = [
        (&tables.messages, vec![(keys::CONVERSATION_ID, S), (keys::SEQ, N)]),
        (&tables.conversations, vec![(keys::PK, S), (keys::SK, S)]),
        (&tables.connections, vec![(keys::USER_ID, S)]),
    ];
    for (table, key) in schemas {
        create(client, table, &key, url).await?;
    }
    Ok(())
}

async fn create(client: &Client, table: &str, key: &Key, url: &str) -> Result<(), SetupError> {
    let what = format!("the table {table}");
    let failed = |reason: &str| SetupError::failed(&what, reason);
    let mut create =
        client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for ((name, kind), place) in key.iter().zip([KeyType::Hash, KeyType::Range]) {
        let definition = AttributeDefinition::builder()
            .attribute_name(*name)
            .attribute_type(kind.clone())
            .build()
            .map_err(|e| failed(&e.to_string()))?;
        let element = KeySchemaElement::builder()
            .attribute_name(*name)
            .key_type(place)
            .build()
            .map_err(|e| failed(&e.to_string()))?;
        create = create.attribute_definitions(definition).key_schema(element);
    }
    match create.send().await {
        Ok(_) => {}
        Err(error) if error.code() == Some("ResourceInUseException") => {}
        Err(error) => return Err(SetupError::of(url, &what, &error)),
    }
    let active = client.wait_until_table_exists().table_name(table).wait(ACTIVE).await;
    let active = active.map_err(|error| failed(&super::causes(&error)))?;
    let described = active.as_result().map_err(|error| failed(&error.to_string()))?;
    let found = described.table.as_ref().map(key_of).unwrap_or_default();
    let expected = words(key.iter().map(|(name, kind)| (*name, kind.as_str())));
    if found != expected {
        return Err(SetupError::OtherKey { table: table.to_owned(), found, expected });
    }
    Ok(())
}

/// The key that a table has.
fn key_of(table: &TableDescription) -> String {
    let kind = |name: &str| {
        let definition = table.attribute_definitions().iter().find(|d| d.attribute_name == name);
        definition.map_or("?", |d| d.attribute_type.as_str())
    };
    let mut elements: Vec<_> = table.key_schema().iter().collect();
    elements.sort_by_key(|element| element.key_type != KeyType::Hash);
    words(elements.into_iter().map(|e| (e.attribute_name.as_str(), kind(&e.attribute_name))))
}

fn words<'a>(key: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    key.map(|(name, kind)| format!("{name} ({kind})")).collect::<Vec<_>>().join(", ")
}
