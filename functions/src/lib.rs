#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod admin;
pub mod api;
pub mod authorizer;
pub mod connect;
mod event;
mod init;
pub mod media;
pub mod needs;
pub mod queue;
pub mod route;
pub mod runtime;
mod telemetry;
