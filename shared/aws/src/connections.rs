//! Who is connected and who can be woken: one item per user with an attribute per device, so that one read finds every
//! device.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConnectionId, DeviceId, EndpointId, UserId};
use petrel_core::ports::{Connection, Connections, Devices, Endpoint};

use crate::Dynamo;
use crate::calls::{CHECK_FAILED, is_conflict, unless};
use crate::item::{Item, at, item, malformed, n, number, s, text};
use crate::keys;

/// How often an update is tried that a transaction came before.
const ATTEMPTS: u32 = 5;

fn read(item: &Item, found: &mut Devices) -> Result<()> {
    read_fields(item, found).map_err(|error| at(item, &[keys::USER_ID], &error))
}

fn read_fields(item: &Item, found: &mut Devices) -> Result<()> {
    let user = UserId::parse(text(item, keys::USER_ID)?).map_err(Error::port)?;
    for (name, value) in item {
        if let Some(device) = name.strip_prefix(keys::DEVICE) {
            let AttributeValue::M(map) = value else { return Err(malformed(name)) };
            found.connections.push(Connection {
                user: user.clone(),
                device: DeviceId::parse(device).map_err(Error::port)?,
                id: ConnectionId::parse(text(map, keys::CONNECTION_ID)?).map_err(Error::port)?,
                connected_at: number(map, keys::CONNECTED_AT)?,
            });
        } else if let Some(device) = name.strip_prefix(keys::ENDPOINT) {
            found.endpoints.push(Endpoint {
                user: user.clone(),
                device: DeviceId::parse(device).map_err(Error::port)?,
                id: EndpointId::parse(text(item, name)?).map_err(Error::port)?,
            });
        }
    }
    Ok(())
}

impl Dynamo {
    /// An update of a user's item.
    fn update(&self, user: &UserId, expression: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.tables.connections)
            .key(keys::USER_ID, s(user.as_str()))
            .update_expression(expression)
    }
}

#[async_trait]
impl Connections for Dynamo {
    async fn register(&self, connection: &Connection) -> Result<Vec<Connection>> {
        let value = item([
            (keys::CONNECTION_ID, s(connection.id.as_str())),
            (keys::CONNECTED_AT, n(connection.connected_at)),
        ]);
        // The socket and an endpoint of the user may come at the same time, which is a transaction on the same item.
        for attempt in 0..ATTEMPTS {
            self.back_off(attempt).await;
            let update = self
                .update(&connection.user, "SET #device = :socket")
                .condition_expression("attribute_not_exists(#device) OR #device.#at <= :at")
                .expression_attribute_names("#device", keys::device(&connection.device))
                .expression_attribute_names("#at", keys::CONNECTED_AT)
                .expression_attribute_values(":socket", AttributeValue::M(value.clone()))
                .expression_attribute_values(":at", n(connection.connected_at))
                .return_values(ReturnValue::AllNew)
                .send()
                .await;
            if is_conflict(&update) {
                continue;
            }
            let Some(done) = unless(update, &[CHECK_FAILED])? else { return Ok(vec![]) };
            let mut found = Devices::default();
            read(&done.attributes.ok_or_else(|| malformed("Attributes"))?, &mut found)?;
            found.connections.sort_by(|a, b| a.device.cmp(&b.device));
            return Ok(found.connections);
        }
        Err(Error::port("the user's item is changing"))
    }

    async fn remove(&self, user: &UserId, device: &DeviceId, id: &ConnectionId) -> Result<()> {
        for attempt in 0..ATTEMPTS {
            self.back_off(attempt).await;
            let update = self
                .update(user, "REMOVE #device")
                .condition_expression("#device.#id = :id")
                .expression_attribute_names("#device", keys::device(device))
                .expression_attribute_names("#id", keys::CONNECTION_ID)
                .expression_attribute_values(":id", s(id.as_str()))
                .send()
                .await;
            if !is_conflict(&update) {
                return unless(update, &[CHECK_FAILED]).map(drop);
            }
        }
        Err(Error::port("the user's item is changing"))
    }

    async fn of(&self, users: &[UserId]) -> Result<Devices> {
        // DynamoDB refuses a batch that names a key twice.
        let users: BTreeSet<&UserId> = users.iter().collect();
        let keys = users.into_iter().map(|u| item([(keys::USER_ID, s(u.as_str()))])).collect();
        let mut found = Devices::default();
        for item in self.batch_get(&self.tables.connections, keys).await? {
            read(&item, &mut found)?;
        }
        found.connections.sort_by(|a, b| (&a.user, &a.device).cmp(&(&b.user, &b.device)));
        found.endpoints.sort_by(|a, b| (&a.user, &a.device).cmp(&(&b.user, &b.device)));
        Ok(found)
    }

    async fn set_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        self.take_endpoint(endpoint).await
    }

    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        self.drop_endpoint(endpoint).await
    }
}
