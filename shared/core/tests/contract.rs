//! The in-memory ports keep the contracts that the rules stand on.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;

use futures::executor::block_on;
use petrel_core::testing::{Memory, MemoryMedia, contract, uploads};

#[test]
fn log() {
    block_on(contract::log(&Memory::default()));
}

#[test]
fn conversations() {
    let memory = Arc::new(Memory::default());
    block_on(contract::conversations(&*memory, &*memory));
}

#[test]
fn people() {
    let memory = Memory::default();
    block_on(contract::people(&memory, &memory));
}

#[test]
fn connections() {
    block_on(contract::connections(&Memory::default()));
}

#[test]
fn media() {
    block_on(uploads(&MemoryMedia::default()));
}
