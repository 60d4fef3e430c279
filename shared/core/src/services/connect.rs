//! A device's socket comes and goes. Registering comes before the first sync reads any head, so that a message is in
//! that sync or finds the socket.

use super::{App, Caller};
use crate::error::Result;
use crate::ids::{ConnectionId, DeviceId, UserId};
use crate::ports::Connection;

/// Most sockets of one user. One more takes the place of the oldest.
pub const MAX_DEVICES: usize = 10;

impl App {
    /// Registers a device's socket. A `$connect` that comes late does not take a newer one's place.
    ///
    /// # Errors
    /// `busy`.
    pub async fn connect(&self, connection: &Connection) -> Result<()> {
        let mut all = self.connections.register(connection).await?;
        if all.len() > MAX_DEVICES {
            all.sort_by_key(|c| c.connected_at);
            for oldest in &all[..all.len() - MAX_DEVICES] {
                self.disconnect(&oldest.user, &oldest.device, &oldest.id).await?;
            }
        }
        Ok(())
    }

    /// Registers the caller's socket again if its row was lost: removed after a 410 that was no truth, or pushed out.
    pub(super) async fn still_connected(&self, caller: &Caller) -> Result<()> {
        let Some(socket) = &caller.socket else { return Ok(()) };
        let devices = self.connections.of(std::slice::from_ref(&caller.user)).await?;
        if devices.connections.iter().any(|c| c.id == socket.id) {
            return Ok(());
        }
        self.connect(socket).await
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
        self.connections.remove(user, device, id).await
    }
}
