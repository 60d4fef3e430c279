//! Thousands of seeds hold the promise, and no dial is dead: every fault struck and every path was taken.

use std::time::Instant;

use petrel_simulation::{Options, many};

const SEEDS: u64 = 2_500;

#[test]
fn the_promise_holds_under_every_fault() {
    let begun = Instant::now();
    let total = many(0, SEEDS, 2, &Options::default(), &|_| {});
    println!("{}in {:.0} s", total.counts, begun.elapsed().as_secs_f64());
    assert_eq!(total.broken, [], "see it with `--seed`");
    assert_eq!(total.counts.seeds, SEEDS);
    assert_eq!(total.counts.missing(), Vec::<&str>::new(), "never happened");
}
