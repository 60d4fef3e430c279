//! The rules, one module a capability. A service sees ports and values; never a table, an event or a frame's JSON.

mod ack;
mod archive;
mod blocks;
mod changes;
mod cold;
mod connect;
mod deliver;
mod erasure;
mod groups;
mod history;
mod invites;
mod limits;
mod media;
mod members;
mod notes;
mod operators;
mod own;
mod presence;
mod profiles;
mod push;
mod receipts;
mod reports;
mod rules;
mod send;
mod sync;
mod tail;
mod targets;
mod typing;
mod webhooks;

use std::sync::Arc;

pub use ack::{Ack, Receipt};
pub use archive::{Archived, Keeping};
pub use blocks::{BlockPage, MAX_BLOCKS};
pub use connect::MAX_DEVICES;
pub use erasure::{Erased, ErasurePage, Place};
pub use groups::{Group, MAX_MEMBERS, NewGroup};
pub use history::{MAX_PAGE, Page, Range};
pub use invites::{NewInvite, Preview};
pub use media::{Download, NewUpload, Ticket, Verdict};
pub use own::{MAX_COUNTED, MAX_MUTED_UNTIL, OwnChange, Unread};
pub use presence::{AWAY_AFTER_S, MAX_WATCHERS, Presence, WATCH_MS};
pub use receipts::{Reader, Receipts};
pub use rules::Intent;
pub use send::{MAX_BATCH, Outcome, Outgoing, SendRequest, SendResult, Sent};
pub use sync::{Conversation, DEFAULT_LIMIT, SyncRequest, Synced};

use crate::ids::{ConnectionId, UserId};
use crate::limits::{Limits, Usage};
use crate::metrics::Metrics;
use crate::ports::{
    Archive, Cold, Connection, Connections, Conversations, Files, Gateway, Jobs, Log, Moderation,
    Notifier, People, Uploads, Webhook, World,
};

/// The whole product: the ports, and on them the services as methods.
#[derive(Clone)]
pub struct App {
    /// The log of every conversation.
    pub log: Arc<dyn Log>,
    /// What is known of its old end.
    pub cold: Arc<dyn Cold>,
    /// Where that lies.
    pub archive: Arc<dyn Archive>,
    /// Members and watermarks.
    pub conversations: Arc<dyn Conversations>,
    /// Profiles and blocks.
    pub people: Arc<dyn People>,
    /// Who is connected.
    pub connections: Arc<dyn Connections>,
    /// The way back to the devices.
    pub gateway: Arc<dyn Gateway>,
    /// The queues.
    pub jobs: Arc<dyn Jobs>,
    /// The way to the phones.
    pub notifier: Arc<dyn Notifier>,
    /// The way to the operator's receiver.
    pub webhook: Arc<dyn Webhook>,
    /// The way to those who look at reports.
    pub moderation: Arc<dyn Moderation>,
    /// What is known of uploads.
    pub uploads: Arc<dyn Uploads>,
    /// Their bytes.
    pub files: Arc<dyn Files>,
    /// Time and ids.
    pub world: Arc<dyn World>,
    /// What the operator sees.
    pub metrics: Arc<dyn Metrics>,
    /// What users did of late.
    pub usage: Arc<Usage>,
    /// What an operator may choose.
    pub settings: Settings,
}

/// Most days for which messages can be kept: ten years.
pub const MAX_DAYS: u32 = 3_650;

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seconds after which a phone whose socket took a message gets a push too, unless the message was acknowledged by
    /// then: a half-open socket takes what its device never sees. 1 to 900.
    pub push_delay_s: u32,
    /// How long what lies where.
    pub keeping: Keeping,
    /// Whether pushes carry how much the user has not read: one read for each of his conversations, each time.
    pub push_badge: bool,
    /// Whether pushes carry the first words of the message.
    pub push_preview: bool,
    /// Seconds after which a message can be edited no more. 0: it always can.
    pub edit_window_s: u32,
    /// Most days for which a conversation may have its messages kept by a rule of its own.
    pub max_retention_days: u32,
    /// How much may be done in a while.
    pub limits: Limits,
    /// What a token's `scope` must hold for the requests of operators.
    pub operator_scope: String,
    /// Whether events are told to a receiver.
    pub webhook: bool,
    /// Largest picture that may be uploaded, bytes.
    pub max_photo_bytes: u64,
    /// Largest of all other files, bytes.
    pub max_file_bytes: u64,
    /// Whether a scanner has to speak before an upload can be read.
    pub scan: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            push_delay_s: 30,
            keeping: Keeping::default(),
            push_badge: true,
            push_preview: true,
            edit_window_s: 900,
            max_retention_days: MAX_DAYS,
            limits: Limits::default(),
            operator_scope: "petrel/admin".to_owned(),
            webhook: false,
            max_photo_bytes: 25_000_000,
            max_file_bytes: 100_000_000,
            scan: false,
        }
    }
}

/// Who asks: an authenticated user and, if it came over a socket, that.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The socket it came over; `None` over HTTP.
    pub socket: Option<Connection>,
}

impl Caller {
    /// A caller over HTTP.
    pub fn http(user: UserId) -> Self {
        Self { user, socket: None }
    }

    /// A caller over a socket.
    pub fn over(socket: Connection) -> Self {
        Self { user: socket.user.clone(), socket: Some(socket) }
    }

    /// The server itself, at an operator's word.
    pub(crate) fn server() -> Self {
        Self::http(UserId::system())
    }

    /// Whether it is [`Self::server`].
    pub(crate) fn is_server(&self) -> bool {
        self.user.is_system()
    }

    /// The id of the socket it came over.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.socket.as_ref().map(|s| s.id.clone())
    }
}
