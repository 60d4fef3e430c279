//! The rules, one module a capability. A service sees ports and values; never a table, an event or a frame's JSON.

mod ack;
mod connect;
mod conversations;
mod deliver;
mod history;
mod members;
mod send;
mod sync;
mod typing;

use std::sync::Arc;

pub use ack::{Ack, Receipt};
pub use conversations::{MAX_MEMBERS, NewGroup};
pub use history::{MAX_PAGE, Page, Range};
pub use send::{MAX_BATCH, Outcome, Outgoing, SendRequest, SendResult, Sent};
pub use sync::{Conversation, DEFAULT_LIMIT, SyncRequest, Synced};

use crate::ids::{ConnectionId, UserId};
use crate::ports::{Connections, Conversations, Gateway, Jobs, Log, World};

/// The whole product: the ports, and on them the services as methods.
#[derive(Clone)]
pub struct App {
    /// The log of every conversation.
    pub log: Arc<dyn Log>,
    /// Members and watermarks.
    pub conversations: Arc<dyn Conversations>,
    /// Who is connected.
    pub connections: Arc<dyn Connections>,
    /// The way back to the devices.
    pub gateway: Arc<dyn Gateway>,
    /// The queues.
    pub jobs: Arc<dyn Jobs>,
    /// Time and ids.
    pub world: Arc<dyn World>,
}

/// Who asks: an authenticated user and, if it came over a socket, the connection.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The socket it came over; `None` over HTTP.
    pub connection: Option<ConnectionId>,
}
