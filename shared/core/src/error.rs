//! One error for the whole core: a kind (the stable code a client acts on), a message fit for strangers,
//! and a source that only the log sees.

use std::error::Error as StdError;
use std::fmt::Write as _;

/// Most characters of a parser's words in an answer.
const MAX_REASON: usize = 200;

/// What went wrong, in the client's terms. Stable: clients branch on [`ErrorKind::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request breaks the protocol.
    BadRequest,
    /// A group would pass 1000 members.
    TooManyMembers,
    /// The token is missing, forged or expired.
    Unauthenticated,
    /// Not a member, or no such conversation: a stranger cannot tell which.
    NotAMember,
    /// A member, but not allowed to do this.
    Forbidden,
    /// An operator has disabled this user.
    Disabled,
    /// What the request names is not there.
    NotFound,
    /// It is not there yet; the same again later.
    NotReady,
    /// The log cannot prove that the message is new; sync, then send again.
    SyncRequired,
    /// Over a size limit.
    TooLarge,
    /// Over a rate limit.
    RateLimited,
    /// Overloaded, or a dependency is; send the same again later.
    Busy,
    /// The action is not one of the protocol's.
    UnknownAction,
}

impl ErrorKind {
    /// The code on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::TooManyMembers => "too_many_members",
            Self::Unauthenticated => "unauthenticated",
            Self::NotAMember => "not_a_member",
            Self::Forbidden => "forbidden",
            Self::Disabled => "disabled",
            Self::NotFound => "not_found",
            Self::NotReady => "not_ready",
            Self::SyncRequired => "sync_required",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Busy => "busy",
            Self::UnknownAction => "unknown_action",
        }
    }

    /// The status over HTTP.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::BadRequest | Self::TooManyMembers | Self::UnknownAction => 400,
            Self::Unauthenticated => 401,
            Self::NotAMember | Self::Forbidden | Self::Disabled => 403,
            Self::NotFound => 404,
            Self::NotReady | Self::SyncRequired => 409,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Busy => 503,
        }
    }
}

/// A refusal or a failure. `message` is chosen for strangers; `source` never leaves the server.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", kind.code())]
pub struct Error {
    /// What went wrong.
    pub kind: ErrorKind,
    /// One sentence for the developer of a client.
    pub message: String,
    /// Milliseconds to wait before the next try, for `busy`, `rate_limited` and `not_ready`.
    pub retry_after_ms: Option<u64>,
    /// The cause, for the log.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry_after_ms = match kind {
            ErrorKind::Busy | ErrorKind::RateLimited | ErrorKind::NotReady => Some(1_000),
            _ => None,
        };
        Self { kind, message: message.into(), retry_after_ms, source: None }
    }

    /// `bad_request`.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    /// `bad_request` for what a parser refuses, in its words. They may quote what was sent: only so much of it goes back.
    pub fn unreadable(reason: impl std::fmt::Display) -> Self {
        let reason = reason.to_string();
        let shown: String = reason.chars().take(MAX_REASON).collect();
        Self::bad_request(if shown.len() < reason.len() { shown + "…" } else { shown })
    }

    /// `not_a_member`, the same words whether or not the conversation exists.
    pub fn not_a_member() -> Self {
        Self::new(ErrorKind::NotAMember, "you are not a member of this conversation")
    }

    /// `disabled`.
    pub fn disabled() -> Self {
        Self::new(ErrorKind::Disabled, "this user is disabled")
    }

    /// `sync_required`.
    pub fn sync_required(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::SyncRequired, message)
    }

    /// The error and every cause below it, for the log.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        text
    }

    /// `busy` because a port failed; whether its effect happened is unknown.
    pub fn port(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(ErrorKind::Busy, "the service is busy; send the same again")
        }
    }
}

/// Shorthand for the core's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;
