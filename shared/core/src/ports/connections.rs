//! Who is connected, and who can be woken.

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::{ConnectionId, DeviceId, EndpointId, UserId};

/// A socket that a device of a user holds open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whose.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// The gateway's name for it.
    pub id: ConnectionId,
    /// When it was opened, ms since 1970.
    pub connected_at: u64,
}

/// The sockets of one user, and who wants to hear of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Those that are registered, by device; none of a user who is disabled.
    pub connections: Vec<Connection>,
    /// When one was removed last, ms since 1970; `None` if never.
    pub last_seen: Option<u64>,
    /// Until when someone may watch, ms since 1970; 0 if never.
    pub watched_until: u64,
    /// Whether the watchers were told last that the user is offline.
    pub away: bool,
}

/// What a registration has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// What the user has now.
    pub sockets: Sockets,
    /// The other socket whose place it took. It may be open still, and nothing knows of it any more.
    pub displaced: Option<Connection>,
}

/// A device that can be woken by a mobile push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whose.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// The push service's name for it.
    pub id: EndpointId,
}

/// What some users can be reached by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Open sockets, by user and device.
    pub connections: Vec<Connection>,
    /// Devices that take pushes, by user and device.
    pub endpoints: Vec<Endpoint>,
}

/// Who is connected, and who can be woken.
#[async_trait]
pub trait Connections: Send + Sync {
    /// Registers a device's socket, unless a later `connected_at` stands there, and returns what the user has then and whose
    /// place it took, in the same step; `None` if a later one stands there. Must register nothing and fail with `disabled`
    /// while the user is.
    async fn register(&self, connection: &Connection) -> Result<Option<Registered>>;

    /// Removes the device's socket if its connection id is this one, notes `now` (ms since 1970) as `last_seen`, and returns
    /// what is left; `None` if it is another one.
    async fn remove(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
        now: u64,
    ) -> Result<Option<Sockets>>;

    /// The sockets of these users (at most 100), of those who ever had one or were watched. Must be strongly consistent.
    async fn sockets(&self, users: &[UserId]) -> Result<Vec<(UserId, Sockets)>>;

    /// Marks a user as watched until then (ms since 1970), unless a later time stands there, and returns what stands.
    async fn watched(&self, user: &UserId, until: u64) -> Result<Sockets>;

    /// Notes what the watchers of a user were told, and returns what stands.
    async fn set_away(&self, user: &UserId, away: bool) -> Result<Sockets>;

    /// Everything that these users (at most 100) can be reached by. Must be strongly consistent, and must fail
    /// rather than leave a user out; but nothing of a user who is disabled: whatever stands there still, they are sent
    /// nothing.
    async fn of(&self, users: &[UserId]) -> Result<Devices>;

    /// Sets where the device takes pushes, and takes the endpoint away from the device that had it before, whoever's
    /// that was: a phone changes hands, and the next owner must not see the last one's messages. It outlives the
    /// device's sockets. May be repeated after a failure. Returns what the device had at that moment, if it was another
    /// endpoint: nobody has that one now.
    async fn set_endpoint(&self, endpoint: &Endpoint) -> Result<Option<Endpoint>>;

    /// Removes the device's endpoint if it is this one.
    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()>;

    /// Disables the user from this time on (ms since 1970; an earlier one that stands there stays), or enables him, and
    /// returns what stands there at that moment: whatever is registered later has met the mark.
    async fn set_disabled(&self, user: &UserId, since: Option<u64>) -> Result<Account>;

    /// All that is known of a user, disabled or not. Must be strongly consistent.
    async fn account(&self, user: &UserId) -> Result<Account>;

    /// Whether the user is disabled. May be a moment old.
    async fn is_disabled(&self, user: &UserId) -> Result<bool>;
}

/// A user as an operator sees him.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Since when he is disabled, ms since 1970.
    pub disabled_at: Option<u64>,
    /// When a socket of his was removed last, ms since 1970; `None` if never.
    pub last_seen: Option<u64>,
    /// What he can be reached by.
    pub devices: Devices,
}
