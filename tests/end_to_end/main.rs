//! Petrel as its clients meet it: the real binary in a process of its own, real sockets, real HTTP, a real kill.
//!
//! # Layout
//!
//! `server`, `rest`, `document` and `look` are the harness; more of it, shared with the load tool, is in `petrel_test_client`. Every other module is about one promise; its tests are sentences.
//! Nothing here knows the server's code; what it refuses is held beside `docs/openapi.json` in every test. Nothing sleeps: a test waits for a frame, or for a state, and only runs out of
//! patience when something is wrong.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use petrel_test_client::token as tokens;

mod document;
mod look;
mod rest;
mod server;

mod answers;
mod archiving;
mod contents;
mod damaged;
mod direct;
mod endpoint;
mod erasing;
mod examples;
mod features;
mod gateway;
mod groups;
mod invites;
mod killed;
mod limits;
mod media;
mod operators;
mod own;
mod people;
mod polling;
mod process;
mod pushes;
mod races;
mod reading;
mod refusals;
mod resending;
mod roles;
mod uploads;
mod watching;
mod webhooks;

#[path = "../security/mod.rs"]
mod security;
