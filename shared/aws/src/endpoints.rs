//! Whose a push endpoint is: an attribute of its user's item, and a note under its own name that says where. Both change in
//! one transaction, so that a phone which changes hands never stays with two owners, wherever a process dies.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{DeviceId, EndpointId, UserId};
use petrel_core::ports::Endpoint;

use crate::Dynamo;
use crate::calls::{REASON_CHECK, REASON_CONFLICT, reasons};
use crate::item::{Item, at, item, s, text};
use crate::keys;

/// How often a transaction is tried that another write came before.
const ATTEMPTS: u32 = 5;

fn note_key(id: &EndpointId) -> Item {
    item([(keys::USER_ID, s(keys::owner(id)))])
}

fn read_note(note: &Item, id: &EndpointId) -> Result<Endpoint> {
    let read = || {
        Ok(Endpoint {
            user: UserId::parse(text(note, keys::OWNER)?).map_err(Error::port)?,
            device: DeviceId::parse(text(note, keys::OWNER_DEVICE)?).map_err(Error::port)?,
            id: id.clone(),
        })
    };
    // Its key names a phone.
    read().map_err(|error| at(note, &[], &error))
}

impl Dynamo {
    /// The device that has this endpoint, as far as is noted.
    async fn owner(&self, id: &EndpointId) -> Result<Option<Endpoint>> {
        let note = self.get(&self.tables.connections, note_key(id)).await?;
        note.map(|note| read_note(&note, id)).transpose()
    }

    /// Where these users take pushes, those too who are disabled: what they have is theirs until someone takes it.
    async fn endpoints_of(&self, users: &[UserId]) -> Result<Vec<Endpoint>> {
        let users: BTreeSet<&UserId> = users.iter().collect();
        let keys = users.into_iter().map(|u| item([(keys::USER_ID, s(u.as_str()))])).collect();
        let mut found = vec![];
        for item in self.batch_get(&self.tables.connections, keys).await? {
            let user = UserId::parse(text(&item, keys::USER_ID)?).map_err(Error::port)?;
            for name in item.keys() {
                let Some(device) = name.strip_prefix(keys::ENDPOINT) else { continue };
                found.push(Endpoint {
                    user: user.clone(),
                    device: DeviceId::parse(device).map_err(Error::port)?,
                    id: EndpointId::parse(text(&item, name)?).map_err(Error::port)?,
                });
            }
        }
        Ok(found)
    }

    /// Gives the endpoint to this device, and takes it from the one before; what this device had until then.
    pub(crate) async fn take_endpoint(&self, endpoint: &Endpoint) -> Result<Option<Endpoint>> {
        for attempt in 0..ATTEMPTS {
            self.back_off(attempt).await;
            let before = self.owner(&endpoint.id).await?;
            let mut users = vec![endpoint.user.clone()];
            users.extend(before.iter().map(|b| b.user.clone()));
            let stands = self.endpoints_of(&users).await?;
            let own = |e: &&Endpoint| e.user == endpoint.user && e.device == endpoint.device;
            let replaced = stands.iter().find(own);
            if before.as_ref() == Some(endpoint) && replaced == Some(endpoint) {
                return Ok(None);
            }
            // The endpoint that this device had until now is nobody's; its note goes, if it names this device.
            let replaced = replaced.filter(|e| e.id != endpoint.id);
            let noted = match replaced {
                Some(replaced) => self.owner(&replaced.id).await?.as_ref() == Some(replaced),
                None => false,
            };
            let mut actions = vec![self.noting(endpoint, before.as_ref())?];
            // A note whose device has something else is older than these transactions, and takes nothing from it.
            let loser = before.as_ref().filter(|b| *b != endpoint && stands.contains(b));
            // A transaction names an item once: two devices of one user change in one action.
            let same = loser.filter(|b| b.user == endpoint.user);
            actions.push(self.setting(endpoint, replaced, same)?);
            if let Some(loser) = loser.filter(|b| b.user != endpoint.user) {
                actions.push(self.losing(loser)?);
            }
            if let Some(replaced) = replaced.filter(|_| noted) {
                actions.push(self.forgetting(replaced)?);
            }
            if self.transact(actions).await?.is_none() {
                return Ok(replaced.cloned());
            }
        }
        Err(Error::port("an endpoint is changing hands"))
    }

    /// Takes the endpoint from this device if it is there, and the note with it.
    pub(crate) async fn drop_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        for attempt in 0..ATTEMPTS {
            self.back_off(attempt).await;
            let mut actions = vec![self.losing(endpoint)?];
            if self.owner(&endpoint.id).await?.as_ref() == Some(endpoint) {
                actions.push(self.forgetting(endpoint)?);
            }
            match self.transact(actions).await? {
                None => return Ok(()),
                // It is not there, or another's by now.
                Some(refused) if refused.first().is_some_and(|r| r == REASON_CHECK) => {
                    return Ok(());
                }
                Some(_) => {}
            }
        }
        Err(Error::port("an endpoint is changing hands"))
    }

    /// Writes the actions, or returns the reason of each why nothing was written.
    async fn transact(&self, actions: Vec<TransactWriteItem>) -> Result<Option<Vec<String>>> {
        let written =
            self.client.transact_write_items().set_transact_items(Some(actions)).send().await;
        match written {
            Ok(_) => Ok(None),
            Err(error) => {
                let lost = error.as_service_error().map(reasons).filter(|reasons| {
                    reasons.iter().any(|r| r == REASON_CHECK || r == REASON_CONFLICT)
                });
                lost.map_or_else(|| Err(Error::port(error)), |reasons| Ok(Some(reasons)))
            }
        }
    }

    /// Notes whose it is, if the note still says what was read.
    fn noting(&self, endpoint: &Endpoint, before: Option<&Endpoint>) -> Result<TransactWriteItem> {
        let mut note = note_key(&endpoint.id);
        note.extend(item([
            (keys::OWNER, s(endpoint.user.as_str())),
            (keys::OWNER_DEVICE, s(endpoint.device.as_str())),
        ]));
        let put = Put::builder().table_name(&self.tables.connections).set_item(Some(note));
        let put = match before {
            None => put
                .condition_expression("attribute_not_exists(#owner)")
                .expression_attribute_names("#owner", keys::OWNER),
            Some(before) => put
                .condition_expression("#owner = :owner AND #device = :device")
                .expression_attribute_names("#owner", keys::OWNER)
                .expression_attribute_names("#device", keys::OWNER_DEVICE)
                .expression_attribute_values(":owner", s(before.user.as_str()))
                .expression_attribute_values(":device", s(before.device.as_str())),
        };
        let put = put.build().map_err(Error::port)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Sets it on its device, where `replaced` stands, and takes it from another device of the same user.
    fn setting(
        &self,
        endpoint: &Endpoint,
        replaced: Option<&Endpoint>,
        loser: Option<&Endpoint>,
    ) -> Result<TransactWriteItem> {
        let mut update = Update::builder()
            .table_name(&self.tables.connections)
            .key(keys::USER_ID, s(endpoint.user.as_str()))
            .expression_attribute_names("#device", keys::endpoint(&endpoint.device))
            .expression_attribute_values(":id", s(endpoint.id.as_str()));
        let own = match replaced {
            None => "(attribute_not_exists(#device) OR #device = :id)",
            Some(replaced) => {
                let replaced = s(replaced.id.as_str());
                update = update.expression_attribute_values(":replaced", replaced);
                "#device = :replaced"
            }
        };
        let update = match loser {
            None => update.update_expression("SET #device = :id").condition_expression(own),
            Some(loser) => update
                .update_expression("SET #device = :id REMOVE #loser")
                .condition_expression(format!("{own} AND #loser = :id"))
                .expression_attribute_names("#loser", keys::endpoint(&loser.device)),
        };
        let update = update.build().map_err(Error::port)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Takes it from a device that has it.
    fn losing(&self, loser: &Endpoint) -> Result<TransactWriteItem> {
        let update = Update::builder()
            .table_name(&self.tables.connections)
            .key(keys::USER_ID, s(loser.user.as_str()))
            .update_expression("REMOVE #device")
            .condition_expression("#device = :id")
            .expression_attribute_names("#device", keys::endpoint(&loser.device))
            .expression_attribute_values(":id", s(loser.id.as_str()))
            .build()
            .map_err(Error::port)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Removes the note of an endpoint that nobody has any more.
    fn forgetting(&self, endpoint: &Endpoint) -> Result<TransactWriteItem> {
        let delete = Delete::builder()
            .table_name(&self.tables.connections)
            .set_key(Some(note_key(&endpoint.id)))
            .condition_expression("#owner = :owner AND #device = :device")
            .expression_attribute_names("#owner", keys::OWNER)
            .expression_attribute_names("#device", keys::OWNER_DEVICE)
            .expression_attribute_values(":owner", s(endpoint.user.as_str()))
            .expression_attribute_values(":device", s(endpoint.device.as_str()))
            .build()
            .map_err(Error::port)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}
