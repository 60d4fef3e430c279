//! The product holds its promise under every fault, for a fixed set of seeds.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use petrel_simulation::{Options, run};

/// The same seed is the same run, to the last word of the trace.
#[test]
fn a_seed_replays() {
    let options = Options { traced: true, ..Options::default() };
    for seed in 0..5 {
        assert_eq!(run(seed, &options), run(seed, &options), "seed {seed}");
    }
}

#[test]
fn the_promise_holds() {
    for seed in 0..60 {
        let outcome = run(seed, &Options::default());
        assert_eq!(outcome.broken, None, "cargo run -p petrel-simulation -- --seed {seed}");
    }
}
