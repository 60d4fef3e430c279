#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod client;
pub mod frames;
mod log;
pub mod person;
pub mod process;
pub mod replica;
pub mod rest;
pub mod server;
pub mod token;

pub use client::{Client, Error, Incoming, Login, Outgoing};
pub use log::Log;
pub use person::Person;
pub use replica::Replica;
pub use rest::Rest;
pub use token::Token;
/// For frames that no well-behaved client sends.
pub use tokio_tungstenite::tungstenite;

/// Why something that is no test's own business could not be done.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
