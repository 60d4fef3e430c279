//! A device's socket comes and goes. Registering comes before the first sync reads any head, so that a message is in
//! that sync or finds the socket.

use super::{App, Caller};
use crate::error::Result;
use crate::ids::{ConnectionId, DeviceId, UserId};
use crate::limits::Use;
use crate::metrics::Count;
use crate::ports::Connection;

/// Most sockets of one user. One more takes the place of the oldest other.
pub const MAX_DEVICES: usize = 10;
/// The gateway ends a socket after 2 hours; with some room for clocks, ms.
pub(super) const MAX_AGE_MS: u64 = 125 * 60_000;

impl App {
    /// Registers a device's socket. A `$connect` that comes late does not take a newer one's place.
    ///
    /// # Errors
    /// `rate_limited`, `busy`.
    pub async fn connect(&self, connection: &Connection) -> Result<()> {
        self.spend(&connection.user, Use::Sockets, 1)?;
        self.register(connection).await?;
        self.metrics.count(Count::Opened, 1);
        Ok(())
    }

    async fn register(&self, connection: &Connection) -> Result<()> {
        let Some(sockets) = self.connections.register(connection).await? else { return Ok(()) };
        self.changed(&connection.user, &sockets).await;
        let mut others = sockets.connections;
        others.retain(|c| c.id != connection.id);
        others.sort_by_key(|c| c.connected_at);
        let over = (others.len() + 1).saturating_sub(MAX_DEVICES);
        // No socket lives so long: its `$disconnect` was lost.
        let dead = self.world.now_ms().saturating_sub(MAX_AGE_MS);
        let old = others.iter().filter(|c| c.connected_at < dead).count();
        // Left for the next connect if it fails: this socket is registered, and that is what was asked.
        let gone = others.iter().take(over.max(old));
        let now = self.world.now_ms();
        let removals = gone.map(|c| self.connections.remove(&c.user, &c.device, &c.id, now));
        futures::future::join_all(removals).await;
        Ok(())
    }

    /// Registers the caller's socket again if its row was lost: removed after a 410 that was no truth, or pushed out.
    pub(super) async fn still_connected(&self, caller: &Caller) -> Result<()> {
        let Some(socket) = &caller.socket else { return Ok(()) };
        let devices = self.connections.of(std::slice::from_ref(&caller.user)).await?;
        if devices.connections.iter().any(|c| c.id == socket.id) {
            return Ok(());
        }
        self.register(socket).await
    }

    /// Removes exactly this socket; a newer one of the same device stays.
    ///
    /// # Errors
    /// `busy`.
    pub async fn disconnect(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
    ) -> Result<()> {
        self.forget(user, device, id).await?;
        self.metrics.count(Count::Closed, 1);
        Ok(())
    }
}
