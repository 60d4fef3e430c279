//! A device's socket comes and goes. Registering comes before the first sync reads any head, so that a message is in
//! that sync or finds the socket.

use super::App;
use crate::error::Result;
use crate::ids::{ConnectionId, DeviceId, UserId};
use crate::ports::Connection;

impl App {
    /// Registers a device's socket. A `$connect` that comes late does not take a newer one's place.
    ///
    /// # Errors
    /// `busy`.
    pub async fn connect(&self, connection: &Connection) -> Result<()> {
        self.connections.register(connection).await
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
