//! The queries of the HTTP requests.

use serde::Deserialize;

use crate::ids::{ConversationId, Seq, UserId};

/// `GET /api/conversations`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListQuery {
    /// From the last answer.
    pub page: Option<ConversationId>,
}

/// `GET /api/blocks`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlocksQuery {
    /// From the last answer.
    pub page: Option<UserId>,
}

/// `GET /api/conversations/{id}/messages`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessagesQuery {
    /// The entries below this seq …
    pub before: Option<Seq>,
    /// … or above this one.
    pub after: Option<Seq>,
    /// 1 to 100; 50 if not said.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
    pub limit: Option<usize>,
}

/// `GET /api/conversations/{id}/receipts`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReceiptsQuery {
    /// Of which entry.
    pub seq: Seq,
    /// From the last answer.
    pub page: Option<UserId>,
}
