#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod client;
mod cold;
mod core;
mod dice;
mod erasure;
mod faults;
mod frames;
mod gateway;
mod http;
mod invocation;
mod ledger;
mod many;
mod media;
mod mutants;
mod people;
mod phones;
mod ports;
mod queue;
mod rest;
mod retention;
mod rules;
mod run;
mod stale;
mod standing;
mod truth;

pub use faults::{Counts, Fault, Path};
pub use many::{Total, many};
pub use mutants::Mutant;
pub use run::{Options, Outcome, run};
