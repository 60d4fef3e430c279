#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod cli;
mod device;
mod ledger;
mod loads;
mod pairs;
mod process;
mod report;
mod rest;
mod server;
mod target;
mod tokens;

pub use cli::run;

/// Why a load could not be carried out, or was not answered as it must be.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;
