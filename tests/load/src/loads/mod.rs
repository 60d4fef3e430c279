//! The loads. Each brings its people together, measures, and then compares what came with what was acknowledged.

pub mod catchup;
pub mod fanout;
pub mod idle;
pub mod latency;
pub mod throughput;

use petrel_test_client::frames;
use serde_json::Value;

/// A text of this many bytes.
fn words(bytes: usize) -> Value {
    frames::text(&"petrel ".chars().cycle().take(bytes).collect::<String>())
}

/// Says on stderr what goes on. Nobody may read it, and that is no reason to stop.
pub fn progress(words: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "petrel-load: {words}");
}
