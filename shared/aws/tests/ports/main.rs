//! The ports beside DynamoDB, through the unmodified clients: what is asked, and what each answer means. Tokens, and
//! the fetch of keys, over real sockets on this machine.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod clients;
mod gateway;
mod pushes;
mod queues;
mod stub;
mod token;
