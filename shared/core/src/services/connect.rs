//! A device's socket comes and goes. Registering comes before the first sync reads any head, so that a message is in
//! that sync or finds the socket.

use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConnectionId, DeviceId, UserId};
use crate::limits::Use;
use crate::metrics::Count;
use crate::ports::{Connection, Posted, Registered};

/// Most sockets of one user. One more takes the place of the oldest other, which is closed.
pub const MAX_DEVICES: usize = 10;
/// The gateway ends a socket after 2 hours; with some room for clocks, ms.
pub(super) const MAX_AGE_MS: u64 = 125 * 60_000;

impl App {
    /// Registers a device's socket. A `$connect` that comes late does not take a newer one's place, and is refused: a socket
    /// that nothing knows of gets nothing, and nobody can close it.
    ///
    /// # Errors
    /// `rate_limited`, `disabled`, `busy`.
    pub async fn connect(&self, connection: &Connection) -> Result<()> {
        self.spend(&connection.user, Use::Sockets, 1)?;
        if !self.register(connection).await? {
            let words = "a newer socket of this device is open; connect again";
            return Err(Error::new(ErrorKind::Busy, words));
        }
        self.metrics.count(Count::Opened, 1);
        Ok(())
    }

    /// Returns whether the socket is registered now: not if a newer one of its device is. Whose place it takes is closed.
    async fn register(&self, connection: &Connection) -> Result<bool> {
        let Some(registered) = self.connections.register(connection).await? else {
            return Ok(false);
        };
        let Registered { sockets, displaced } = registered;
        self.changed(&connection.user, &sockets).await;
        let mut others = sockets.connections;
        others.retain(|c| c.id != connection.id);
        others.sort_by_key(|c| c.connected_at);
        let over = (others.len() + 1).saturating_sub(MAX_DEVICES);
        let now = self.world.now_ms();
        // No socket lives so long: its `$disconnect` was lost.
        let dead = |c: &Connection| c.connected_at < now.saturating_sub(MAX_AGE_MS);
        let old = others.iter().filter(|c| dead(c)).count();
        // Left for the next connect if it fails: this socket is registered, and that is what was asked.
        let gone = others.iter().take(over.max(old));
        let removals = gone.map(async |c| {
            let removed = self.connections.remove(&c.user, &c.device, &c.id, now).await;
            removed.ok().flatten().map(|_| c)
        });
        let removed = futures::future::join_all(removals).await;
        let open = removed.into_iter().flatten().chain(&displaced).filter(|c| !dead(c));
        // A courtesy: should one stay open, its next sync finds that it is not the device's any more.
        futures::future::join_all(open.map(|c| self.gateway.close(&c.id))).await;
        Ok(true)
    }

    /// Registers the caller's socket again if its row was lost: removed after a 410 that was no truth, or pushed out. One
    /// whose device has a newer one is closed.
    pub(super) async fn still_connected(&self, caller: &Caller) -> Result<()> {
        let Some(socket) = &caller.socket else { return Ok(()) };
        let devices = self.connections.of(std::slice::from_ref(&caller.user)).await?;
        if devices.connections.iter().any(|c| c.id == socket.id) {
            return Ok(());
        }
        if !self.register(socket).await? {
            let _: Posted = self.gateway.close(&socket.id).await;
        }
        Ok(())
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
