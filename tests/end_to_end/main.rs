//! Petrel as its clients meet it: the real binary in a process of its own, real sockets, real HTTP, a real kill.
//!
//! # Layout
//!
//! `server`, `rest` and `tokens` are the harness. Every other module is about one promise; its tests are sentences.
//! Nothing here knows the server's code. Nothing sleeps: a test waits for a frame, or for a state, and only runs out of
//! patience when something is wrong.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod rest;
mod server;
mod tokens;

mod direct;
mod groups;
mod pushes;
