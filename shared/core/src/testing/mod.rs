//! For tests only: every port in memory, and the contract suite. Not compiled into anything that ships.
#![expect(clippy::unwrap_used, reason = "a suite reports by panicking")]

pub mod contract;
mod memory;
mod notes;

pub use memory::Memory;
pub use notes::Notes;
