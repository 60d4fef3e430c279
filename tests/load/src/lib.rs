#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod cli;
mod device;
mod ledger;
mod loads;
mod pairs;
mod report;
mod server;
mod target;
mod tokens;

pub use cli::run;

/// Why a load could not be carried out, or was not answered as it must be.
type Failure = petrel_test_client::Failure;
type Result<T, E = Failure> = std::result::Result<T, E>;
