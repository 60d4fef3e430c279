//! Who is connected: one item per user with a map per device, so that one read finds every device.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::AsyncSleep;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConnectionId, DeviceId, UserId};
use petrel_core::ports::{Connection, Connections};

use crate::Dynamo;
use crate::item::{Item, item, malformed, n, number, s, text};
use crate::keys;

/// How many items one BatchGetItem takes.
const BATCH: usize = 100;
/// How often a batch is asked for, until what is still missing makes it fail.
const ATTEMPTS: u32 = 6;
/// The pause after the first attempt; it doubles with each.
const PAUSE: Duration = Duration::from_millis(20);

fn read(item: &Item, found: &mut Vec<Connection>) -> Result<()> {
    let user = UserId::parse(text(item, keys::USER_ID)?).map_err(Error::port)?;
    for (name, value) in item {
        let Some(device) = name.strip_prefix(keys::DEVICE) else { continue };
        let AttributeValue::M(map) = value else { return Err(malformed(name)) };
        found.push(Connection {
            user: user.clone(),
            device: DeviceId::parse(device).map_err(Error::port)?,
            id: ConnectionId::parse(text(map, keys::CONNECTION_ID)?).map_err(Error::port)?,
            connected_at: number(map, keys::CONNECTED_AT)?,
        });
    }
    Ok(())
}

impl Dynamo {
    /// Reads the items of these users, all of them or none.
    async fn batch(&self, users: &[&UserId], found: &mut Vec<Connection>) -> Result<()> {
        let keys = users.iter().map(|u| item([(keys::USER_ID, s(u.as_str()))])).collect();
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build()
            .map_err(Error::port)?;
        let mut wanted = HashMap::from([(self.tables.connections.clone(), wanted)]);
        for attempt in 0..ATTEMPTS {
            if attempt > 0
                && let Some(sleep) = self.client.config().sleep_impl()
            {
                sleep.sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
            }
            let answer = self
                .client
                .batch_get_item()
                .set_request_items(Some(wanted))
                .send()
                .await
                .map_err(Error::port)?;
            for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                read(&item, found)?;
            }
            wanted = answer.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(());
            }
        }
        Err(Error::port("connections are still unprocessed"))
    }
}

#[async_trait]
impl Connections for Dynamo {
    async fn register(&self, connection: &Connection) -> Result<()> {
        let value = item([
            (keys::CONNECTION_ID, s(connection.id.as_str())),
            (keys::CONNECTED_AT, n(connection.connected_at)),
        ]);
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.connections)
            .key(keys::USER_ID, s(connection.user.as_str()))
            .update_expression("SET #device = :socket")
            .condition_expression("attribute_not_exists(#device) OR #device.#at <= :at")
            .expression_attribute_names("#device", keys::device(&connection.device))
            .expression_attribute_names("#at", keys::CONNECTED_AT)
            .expression_attribute_values(":socket", AttributeValue::M(value))
            .expression_attribute_values(":at", n(connection.connected_at))
            .send()
            .await;
        match update {
            Ok(_) => Ok(()),
            // A later one stands there.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(Error::port(error)),
        }
    }

    async fn remove(&self, user: &UserId, device: &DeviceId, id: &ConnectionId) -> Result<()> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.connections)
            .key(keys::USER_ID, s(user.as_str()))
            .update_expression("REMOVE #device")
            .condition_expression("#device.#id = :id")
            .expression_attribute_names("#device", keys::device(device))
            .expression_attribute_names("#id", keys::CONNECTION_ID)
            .expression_attribute_values(":id", s(id.as_str()))
            .send()
            .await;
        match update {
            Ok(_) => Ok(()),
            // Another one stands there, or none.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(Error::port(error)),
        }
    }

    async fn of(&self, users: &[UserId]) -> Result<Vec<Connection>> {
        // DynamoDB refuses a batch that names a key twice.
        let users: Vec<&UserId> = users.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let mut found = vec![];
        for batch in users.chunks(BATCH) {
            self.batch(batch, &mut found).await?;
        }
        found.sort_by(|a, b| (&a.user, &a.device).cmp(&(&b.user, &b.device)));
        Ok(found)
    }
}
