//! The services one by one: what each promises, and what each refuses, with the exact code.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod archiving;
mod beyond;
mod changing;
mod counting;
mod delivering;
mod erasing;
mod groups;
mod limits;
mod media;
mod noting;
mod own;
mod people;
mod presence;
mod pushing;
mod reading;
mod roles;
mod sending;
mod world;
