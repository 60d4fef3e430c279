//! Faults on the way to AWS and back, below the unmodified clients, with the attempts and times of the functions: delays,
//! 5xx, throttling, cut connections, lost and late effects, malformed answers. On a clock of their own.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod answers;
mod calls;
mod complete;
mod contracts;
mod fault;
mod injector;
mod ops;
mod stage;
mod times;
mod world;
