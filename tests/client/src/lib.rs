#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod client;
pub mod frames;
pub mod replica;

pub use client::{Client, Error, Incoming, Login, Outgoing};
pub use replica::Replica;
/// For frames that no well-behaved client sends.
pub use tokio_tungstenite::tungstenite;
