//! Who can be reached, and by what.

use crate::truth::{Write, Wrote};
use async_trait::async_trait;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConnectionId, DeviceId, UserId};
use petrel_core::ports::{
    Account, Connection, Connections, Devices, Endpoint, Registered, Sockets,
};

use super::Ports;

#[async_trait]
impl Connections for Ports {
    async fn register(&self, connection: &Connection) -> Result<Option<Registered>> {
        let what = format!("connections.register {}", connection.id);
        match self.write(&what, Write::Register(connection.clone())).await? {
            Wrote::Account(_) => Err(Error::disabled()),
            Wrote::Registered(sockets, displaced) => Ok(Some(Registered { sockets, displaced })),
            _ => Ok(None),
        }
    }

    async fn remove(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
        now: u64,
    ) -> Result<Option<Sockets>> {
        let what = format!("connections.remove {id}");
        let write = Write::Remove(user.clone(), device.clone(), id.clone(), now);
        Ok(self.write(&what, write).await?.sockets())
    }

    async fn sockets(&self, users: &[UserId]) -> Result<Vec<(UserId, Sockets)>> {
        self.read("connections.sockets", |core| {
            users.iter().map(|u| (u.clone(), core.truth.sockets(u))).collect()
        })
        .await
    }

    async fn watched(&self, user: &UserId, until: u64) -> Result<Sockets> {
        let what = format!("connections.watched {user}");
        let wrote = self.write(&what, Write::Watched(user.clone(), until)).await?;
        Ok(wrote.sockets().unwrap_or_default())
    }

    async fn set_away(&self, user: &UserId, away: bool) -> Result<Sockets> {
        let what = format!("connections.set_away {user} {away}");
        let wrote = self.write(&what, Write::SetAway(user.clone(), away)).await?;
        Ok(wrote.sockets().unwrap_or_default())
    }

    async fn of(&self, users: &[UserId]) -> Result<Devices> {
        self.read("connections.of", |core| {
            let early = core.notes.get(&self.invocation).and_then(|n| n.early.clone());
            let mut devices = early.as_deref().unwrap_or(&core.truth).devices(users);
            core.read_phones(self.invocation, users, &mut devices.endpoints);
            devices
        })
        .await
    }

    async fn set_endpoint(&self, endpoint: &Endpoint) -> Result<Option<Endpoint>> {
        let Endpoint { user, device, id } = endpoint;
        let what = format!("connections.set_endpoint {user} {device} {id}");
        match self.write(&what, Write::SetEndpoint(endpoint.clone())).await? {
            Wrote::Replaced(replaced) => Ok(Some(replaced)),
            _ => Ok(None),
        }
    }

    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        let write = Write::RemoveEndpoint(endpoint.clone());
        let Endpoint { user, device, id } = endpoint;
        self.write(&format!("connections.remove_endpoint {user} {device} {id}"), write)
            .await
            .map(drop)
    }

    async fn set_disabled(&self, user: &UserId, since: Option<u64>) -> Result<Account> {
        let what = format!("connections.set_disabled {user}: {since:?}");
        match self.write(&what, Write::SetDisabled(user.clone(), since)).await? {
            Wrote::Account(account) => {
                let endpoints = &account.devices.endpoints;
                self.hub.lock().has_read_phones(self.invocation, endpoints);
                Ok(account)
            }
            _ => Err(Error::port("no account")),
        }
    }

    async fn account(&self, user: &UserId) -> Result<Account> {
        self.read("connections.account", |core| {
            let account = core.truth.account(user);
            core.has_read_phones(self.invocation, &account.devices.endpoints);
            account
        })
        .await
    }

    async fn is_disabled(&self, user: &UserId) -> Result<bool> {
        self.read("connections.is_disabled", |core| {
            // It may be a moment old.
            match core.truth.disabled_since.get(user).copied() {
                Some(since) => !core.is_stale(since),
                None => false,
            }
        })
        .await
    }
}
