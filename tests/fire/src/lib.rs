#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod check;
mod cli;
mod crowd;
mod full;
mod kills;
mod others;
mod overload;
mod report;
mod samples;
mod site;
mod soak;

pub use cli::run;

use petrel_test_client::Failure;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// Says on stderr what goes on. Nobody may read it, and that is no reason to stop.
fn progress(words: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "petrel-fire: {words}");
}
