//! Who can be reached, and by what.

use crate::error::{Error, Result};
use crate::ids::{ConnectionId, DeviceId, UserId};
use crate::ports::{Account, Connection, Connections, Devices, Endpoint, Registered, Sockets};
use async_trait::async_trait;
use std::collections::BTreeSet;

use super::Memory;

#[async_trait]
impl Connections for Memory {
    async fn register(&self, connection: &Connection) -> Result<Option<Registered>> {
        let mut state = self.state();
        if state.disabled_users.contains_key(&connection.user) {
            return Err(Error::disabled());
        }
        let key = (connection.user.clone(), connection.device.clone());
        let newer =
            state.connections.get(&key).is_some_and(|c| c.connected_at > connection.connected_at);
        if newer {
            return Ok(None);
        }
        let stood = state.connections.insert(key, connection.clone());
        state.seen.entry(connection.user.clone()).or_default();
        let displaced = stood.filter(|c| c.id != connection.id);
        Ok(Some(Registered { sockets: state.sockets(&connection.user), displaced }))
    }

    async fn remove(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
        now: u64,
    ) -> Result<Option<Sockets>> {
        let mut state = self.state();
        let key = (user.clone(), device.clone());
        if state.connections.get(&key).is_none_or(|c| c.id != *id) {
            return Ok(None);
        }
        state.connections.remove(&key);
        state.seen.entry(user.clone()).or_default().last_seen = Some(now);
        Ok(Some(state.sockets(user)))
    }

    async fn sockets(&self, users: &[UserId]) -> Result<Vec<(UserId, Sockets)>> {
        let state = self.state();
        let users: BTreeSet<&UserId> = users.iter().collect();
        let known = users.into_iter().filter(|u| state.seen.contains_key(*u));
        Ok(known.map(|u| (u.clone(), state.sockets(u))).collect())
    }

    async fn watched(&self, user: &UserId, until: u64) -> Result<Sockets> {
        let mut state = self.state();
        let seen = state.seen.entry(user.clone()).or_default();
        seen.watched_until = seen.watched_until.max(until);
        Ok(state.sockets(user))
    }

    async fn set_away(&self, user: &UserId, away: bool) -> Result<Sockets> {
        let mut state = self.state();
        state.seen.entry(user.clone()).or_default().away = away;
        Ok(state.sockets(user))
    }

    async fn of(&self, users: &[UserId]) -> Result<Devices> {
        let state = self.state();
        let enabled = users.iter().filter(|u| !state.disabled_users.contains_key(*u));
        let enabled: Vec<UserId> = enabled.cloned().collect();
        Ok(state.devices(&enabled))
    }

    async fn set_endpoint(&self, endpoint: &Endpoint) -> Result<Option<Endpoint>> {
        let key = (endpoint.user.clone(), endpoint.device.clone());
        self.state().endpoints.retain(|_, e| e.id != endpoint.id);
        Ok(self.state().endpoints.insert(key, endpoint.clone()))
    }

    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        self.state().endpoints.retain(|_, e| e != endpoint);
        Ok(())
    }

    async fn set_disabled(&self, user: &UserId, since: Option<u64>) -> Result<Account> {
        let mut state = self.state();
        match since {
            Some(since) => {
                state.disabled_users.entry(user.clone()).or_insert(since);
            }
            None => {
                state.disabled_users.remove(user);
            }
        }
        Ok(state.account(user))
    }

    async fn account(&self, user: &UserId) -> Result<Account> {
        Ok(self.state().account(user))
    }

    async fn is_disabled(&self, user: &UserId) -> Result<bool> {
        Ok(self.state().disabled_users.contains_key(user))
    }
}
