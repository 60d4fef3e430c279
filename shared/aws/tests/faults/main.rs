//! Faults on the way to AWS and back, below the unmodified clients, with the attempts and times of the functions: delays,
//! 5xx, throttling, cut connections, lost and late effects, malformed answers. On a clock of their own.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod calls;
mod injector;
mod ops;
mod world;
