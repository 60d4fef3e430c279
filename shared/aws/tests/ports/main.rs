//! The ports through the unmodified clients: what is asked, what each answer means, and what a lost one does. Tokens, and
//! the fetch of keys, over real sockets on this machine.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod clients;
mod dynamo;
mod forged;
mod gateway;
mod lost;
mod malformed;
mod metrics;
mod pushes;
mod queues;
mod roots;
mod s3;
mod server;
mod stub;
mod token;
mod warm;
