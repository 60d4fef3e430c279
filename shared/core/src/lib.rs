#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod dispatch;
pub mod error;
pub mod events;
pub mod group;
pub mod ids;
pub mod limits;
pub mod media;
pub mod message;
pub mod metrics;
pub mod mutants;
pub mod people;
pub mod ports;
pub mod services;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
pub use services::{App, Caller};
