//! Who is connected and who can be woken: one item per user with an attribute per device, so that one read finds every
//! device.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConnectionId, DeviceId, EndpointId, UserId};
use petrel_core::ports::{
    Account, Connection, Connections, Devices, Endpoint, Registered, Sockets,
};

use crate::Dynamo;
use crate::calls::{CHECK_FAILED, LIMIT, is_conflict, unless, within};
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

/// A user's sockets and what stands beside them.
fn read_sockets(item: &Item) -> Result<Sockets> {
    let mut found = Devices::default();
    read(item, &mut found)?;
    found.connections.sort_by(|a, b| a.device.cmp(&b.device));
    if item.contains_key(keys::DISABLED_AT) {
        found.connections.clear();
    }
    let set = |name| item.contains_key(name).then(|| number(item, name)).transpose();
    let fields = || {
        Ok(Sockets {
            connections: found.connections,
            last_seen: set(keys::LAST_SEEN)?,
            watched_until: set(keys::WATCHED_UNTIL)?.unwrap_or_default(),
            away: item.contains_key(keys::AWAY),
        })
    };
    fields().map_err(|error| at(item, &[keys::USER_ID], &error))
}

/// The sockets as an update has left them.
fn updated(attributes: Option<Item>) -> Result<Sockets> {
    read_sockets(&attributes.ok_or_else(|| malformed("Attributes"))?)
}

/// What a registration has left, of a user whose sockets stood so before it; nothing, if it was the first.
fn registered(connection: &Connection, old: Option<Item>) -> Result<Registered> {
    let mut sockets = old.as_ref().map(read_sockets).transpose()?.unwrap_or_default();
    let here = |c: &Connection| c.device == connection.device;
    let displaced = sockets.connections.extract_if(.., |c| here(c)).find(|c| c.id != connection.id);
    sockets.connections.push(connection.clone());
    sockets.connections.sort_by(|a, b| a.device.cmp(&b.device));
    Ok(Registered { sockets, displaced })
}

/// Whether a registration was refused because the user is disabled.
fn is_disabled_by(done: &Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> bool {
    let Err(SdkError::ServiceError(refused)) = done else { return false };
    let UpdateItemError::ConditionalCheckFailedException(refused) = refused.err() else {
        return false;
    };
    refused.item().is_some_and(|item| item.contains_key(keys::DISABLED_AT))
}

fn read_account(item: Option<&Item>) -> Result<Account> {
    let Some(item) = item else { return Ok(Account::default()) };
    let mut account = Account::default();
    read(item, &mut account.devices)?;
    account.devices.connections.sort_by(|a, b| a.device.cmp(&b.device));
    account.devices.endpoints.sort_by(|a, b| a.device.cmp(&b.device));
    let set = |name| item.contains_key(name).then(|| number(item, name)).transpose();
    account.disabled_at = set(keys::DISABLED_AT)?;
    account.last_seen = set(keys::LAST_SEEN)?;
    Ok(account)
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

    /// Puts the connection in its device's place, unless a newer one stands there.
    async fn take_place(&self, connection: &Connection) -> Result<Option<Registered>> {
        let value = item([
            (keys::CONNECTION_ID, s(connection.id.as_str())),
            (keys::CONNECTED_AT, n(connection.connected_at)),
        ]);
        // The socket and an endpoint of the user may come at the same time, which is a transaction on the same item.
        for attempt in 0..ATTEMPTS {
            self.back_off(attempt).await;
            let update = self
                .update(&connection.user, "SET #device = :socket")
                .condition_expression(
                    "attribute_not_exists(#off) AND (attribute_not_exists(#device) OR #device.#at <= :at)",
                )
                .expression_attribute_names("#off", keys::DISABLED_AT)
                .expression_attribute_names("#device", keys::device(&connection.device))
                .expression_attribute_names("#at", keys::CONNECTED_AT)
                .expression_attribute_values(":socket", AttributeValue::M(value.clone()))
                .expression_attribute_values(":at", n(connection.connected_at))
                // What it took the place of is told by nothing else; what stands now follows from it.
                .return_values(ReturnValue::AllOld)
                // What stood in the way comes with the refusal: a read could find something else.
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await;
            if is_conflict(&update) {
                continue;
            }
            if is_disabled_by(&update) {
                return Err(Error::disabled());
            }
            let done = unless(update, &[CHECK_FAILED])?;
            return done.map(|done| registered(connection, done.attributes)).transpose();
        }
        Err(Error::port("the user's item is changing"))
    }
}

#[async_trait]
impl Connections for Dynamo {
    async fn register(&self, connection: &Connection) -> Result<Option<Registered>> {
        within(LIMIT, self.take_place(connection)).await
    }

    async fn remove(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
        now: u64,
    ) -> Result<Option<Sockets>> {
        within(LIMIT, async {
            for attempt in 0..ATTEMPTS {
                self.back_off(attempt).await;
                let update = self
                    .update(user, "REMOVE #device SET #seen = :now")
                    .expression_attribute_names("#seen", keys::LAST_SEEN)
                    .expression_attribute_values(":now", n(now))
                    .return_values(ReturnValue::AllNew)
                    .condition_expression("#device.#id = :id")
                    .expression_attribute_names("#device", keys::device(device))
                    .expression_attribute_names("#id", keys::CONNECTION_ID)
                    .expression_attribute_values(":id", s(id.as_str()))
                    .send()
                    .await;
                if !is_conflict(&update) {
                    let done = unless(update, &[CHECK_FAILED])?;
                    return done.map(|done| updated(done.attributes)).transpose();
                }
            }
            Err(Error::port("the user's item is changing"))
        })
        .await
    }

    async fn sockets(&self, users: &[UserId]) -> Result<Vec<(UserId, Sockets)>> {
        let users: BTreeSet<&UserId> = users.iter().collect();
        let keys = users.into_iter().map(|u| item([(keys::USER_ID, s(u.as_str()))])).collect();
        let items = self.batch_get(&self.tables.connections, keys).await?;
        let sockets = |item: &Item| {
            let user = UserId::parse(text(item, keys::USER_ID)?).map_err(Error::port)?;
            Ok((user, read_sockets(item)?))
        };
        items.iter().map(sockets).collect()
    }

    async fn watched(&self, user: &UserId, until: u64) -> Result<Sockets> {
        within(LIMIT, async {
            let update = self
                .update(user, "SET #watched = :until")
                .condition_expression("attribute_not_exists(#watched) OR #watched < :until")
                .expression_attribute_names("#watched", keys::WATCHED_UNTIL)
                .expression_attribute_values(":until", n(until))
                .return_values(ReturnValue::AllNew)
                .send()
                .await;
            if let Some(done) = unless(update, &[CHECK_FAILED])? {
                return updated(done.attributes);
            }
            // A later time stands there.
            let found = self.sockets(std::slice::from_ref(user)).await?.pop();
            Ok(found.map(|(_, sockets)| sockets).unwrap_or_default())
        })
        .await
    }

    async fn set_away(&self, user: &UserId, away: bool) -> Result<Sockets> {
        let update = if away {
            let update = self.update(user, "SET #away = :true");
            update.expression_attribute_values(":true", AttributeValue::Bool(true))
        } else {
            self.update(user, "REMOVE #away")
        };
        let done = update
            .expression_attribute_names("#away", keys::AWAY)
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(Error::port)?;
        // What only takes away, where nothing stands, leaves nothing, and no attributes come back.
        match done.attributes {
            None if !away => Ok(Sockets::default()),
            attributes => updated(attributes),
        }
    }

    async fn of(&self, users: &[UserId]) -> Result<Devices> {
        // DynamoDB refuses a batch that names a key twice.
        let users: BTreeSet<&UserId> = users.iter().collect();
        let keys = users.into_iter().map(|u| item([(keys::USER_ID, s(u.as_str()))])).collect();
        let mut found = Devices::default();
        for item in self.batch_get(&self.tables.connections, keys).await? {
            if item.contains_key(keys::DISABLED_AT) {
                continue;
            }
            read(&item, &mut found)?;
        }
        found.connections.sort_by(|a, b| (&a.user, &a.device).cmp(&(&b.user, &b.device)));
        found.endpoints.sort_by(|a, b| (&a.user, &a.device).cmp(&(&b.user, &b.device)));
        Ok(found)
    }

    async fn set_endpoint(&self, endpoint: &Endpoint) -> Result<Option<Endpoint>> {
        within(LIMIT, self.take_endpoint(endpoint)).await
    }

    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        within(LIMIT, self.drop_endpoint(endpoint)).await
    }

    async fn set_disabled(&self, user: &UserId, since: Option<u64>) -> Result<Account> {
        let update = match since {
            Some(since) => self
                .update(user, "SET #off = if_not_exists(#off, :since)")
                .expression_attribute_values(":since", n(since)),
            None => self.update(user, "REMOVE #off"),
        };
        let update = update
            .expression_attribute_names("#off", keys::DISABLED_AT)
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(Error::port)?;
        // As above: nothing stands of who was never here.
        if since.is_some() && update.attributes.is_none() {
            return Err(malformed("Attributes"));
        }
        read_account(update.attributes.as_ref())
    }

    async fn account(&self, user: &UserId) -> Result<Account> {
        let key = item([(keys::USER_ID, s(user.as_str()))]);
        read_account(self.get(&self.tables.connections, key).await?.as_ref())
    }

    async fn is_disabled(&self, user: &UserId) -> Result<bool> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.connections)
            .key(keys::USER_ID, s(user.as_str()))
            .projection_expression("#off")
            .expression_attribute_names("#off", keys::DISABLED_AT)
            .send()
            .await
            .map_err(Error::port)?;
        Ok(found.item.is_some_and(|item| item.contains_key(keys::DISABLED_AT)))
    }
}
