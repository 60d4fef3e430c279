//! Petrel as an attacker meets it: the real binary over real sockets and hand-written HTTP.
//!
//! # Layout
//!
//! `routes` is the one table of every way in; `access` tries each row with whoever must not pass. `tokens`, `requests`,
//! `frames`, `origins` and `input` try to come in beside it, `logs` looks for what must not be written down, and `document` holds
//! `docs/security.md` to the tests that it names. What differs on AWS is attacked in `functions/tests` (the real functions,
//! with the same table) and in `shared/aws/tests/ports/forged.rs` (an issuer's keys).

mod access;
mod document;
mod frames;
mod input;
mod logs;
mod origins;
mod raw;
mod requests;
pub mod routes;
mod tokens;
