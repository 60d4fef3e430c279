//! For tests only: every port in memory, and the contract suite. Not compiled into anything that ships.
#![expect(clippy::unwrap_used, reason = "a suite reports by panicking")]

pub mod contract;
mod media;
mod memory;
mod notes;
mod racing;
mod uploads;

pub use media::MemoryMedia;
pub use memory::Memory;
pub use notes::Notes;
pub use racing::{Meanwhile, Racing};
pub use uploads::{an_upload, uploads};
