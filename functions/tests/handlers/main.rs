//! The handlers over every port in memory, with the events that AWS sends.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod api;
mod api_refuses;
mod archive;
mod attacks;
mod authorizer;
mod connect;
mod events;
mod media;
mod queue;
mod route;
