//! What each function cannot work without. It is checked at the start, so that a deployment that forgot something fails
//! before its first event; what is not listed has a meaning when it is absent.

use petrel_aws::settings::{
    ARCHIVE_BUCKET, CONNECTIONS_TABLE, CONVERSATIONS_TABLE, FANOUT_QUEUE_URL, MEDIA_BUCKET,
    MESSAGES_TABLE, MODERATION_TOPIC_ARN, PUSH_QUEUE_URL, TOKEN_AUDIENCE, TOKEN_ISSUER,
    WEBHOOK_QUEUE_URL, WEBHOOK_SECRETS, WEBHOOK_URL, WEBSOCKET_ENDPOINT,
};

/// Names of variables.
pub type Needs = &'static [&'static str];

/// The authorizer. Without an audience it would let in whoever has a token of the issuer, for whatever.
pub const AUTHORIZER: Needs = &[TOKEN_ISSUER, TOKEN_AUDIENCE];
/// `$connect` and `$disconnect`.
pub const CONNECT: Needs = &[CONNECTIONS_TABLE, FANOUT_QUEUE_URL, WEBSOCKET_ENDPOINT];
/// The route `send`.
pub const SEND: Needs = &[
    MESSAGES_TABLE,
    CONVERSATIONS_TABLE,
    CONNECTIONS_TABLE,
    ARCHIVE_BUCKET,
    FANOUT_QUEUE_URL,
    PUSH_QUEUE_URL,
    WEBSOCKET_ENDPOINT,
];
/// The route `ack`.
pub const ACK: Needs =
    &[MESSAGES_TABLE, CONVERSATIONS_TABLE, CONNECTIONS_TABLE, ARCHIVE_BUCKET, WEBSOCKET_ENDPOINT];
/// The routes `sync` and `history`.
pub const SYNC: Needs = &[
    MESSAGES_TABLE,
    CONVERSATIONS_TABLE,
    CONNECTIONS_TABLE,
    ARCHIVE_BUCKET,
    FANOUT_QUEUE_URL,
    WEBSOCKET_ENDPOINT,
];
/// The routes `typing`, `presence` and `$default`.
pub const SIGNAL: Needs = &[CONVERSATIONS_TABLE, CONNECTIONS_TABLE, WEBSOCKET_ENDPOINT];
/// The fan-out queue.
pub const FANOUT: Needs =
    &[CONVERSATIONS_TABLE, CONNECTIONS_TABLE, FANOUT_QUEUE_URL, PUSH_QUEUE_URL, WEBSOCKET_ENDPOINT];
/// The push queue.
pub const PUSH: Needs =
    &[MESSAGES_TABLE, CONVERSATIONS_TABLE, CONNECTIONS_TABLE, ARCHIVE_BUCKET, PUSH_QUEUE_URL];
/// The webhook queue. Without a secret nobody could tell its events from forged ones.
pub const WEBHOOK: Needs = &[WEBHOOK_QUEUE_URL, WEBHOOK_URL, WEBHOOK_SECRETS];
/// The media bucket, its scanner, and uploads that ran out.
pub const MEDIA: Needs = &[CONVERSATIONS_TABLE, MEDIA_BUCKET];
/// The HTTP API.
pub const API: Needs = &[
    MESSAGES_TABLE,
    CONVERSATIONS_TABLE,
    CONNECTIONS_TABLE,
    ARCHIVE_BUCKET,
    FANOUT_QUEUE_URL,
    PUSH_QUEUE_URL,
    MEDIA_BUCKET,
    WEBSOCKET_ENDPOINT,
    MODERATION_TOPIC_ARN,
];
/// The stream of timers.
pub const ARCHIVE: Needs = &[MESSAGES_TABLE, CONVERSATIONS_TABLE, ARCHIVE_BUCKET];
