//! The invariants can fail: each broken variant is found within a bounded number of seeds, by seeds that the unbroken
//! product passes.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use petrel_simulation::{Mutant, Options, run};

/// Most seeds for one variant. The next best bound, a power of two, is above what the slowest one takes.
const SEEDS: u64 = 8_192;

/// The first seed that finds it, with the rule that it broke.
fn found(mutant: Mutant) -> Option<(u64, String)> {
    let options = Options { mutant: Some(mutant), ..Options::default() };
    (0..SEEDS).find_map(|seed| Some((seed, run(seed, &options).broken?)))
}

#[test]
fn every_mutant_is_found_and_only_they() {
    let mutants = Mutant::all();
    assert!(mutants.len() >= 15, "{} mutants", mutants.len());
    let mut missed = vec![];
    for mutant in mutants {
        let Some((seed, rule)) = found(mutant) else {
            missed.push(mutant.name());
            continue;
        };
        // The seed's dice fall otherwise without the mutant, so this is a run of its own; it must hold all the same.
        assert_eq!(run(seed, &Options::default()).broken, None, "seed {seed} without {mutant:?}");
        let short: String = rule.chars().take(110).collect();
        println!("{:<22}{seed:>6}  {short}", mutant.name());
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {}", missed.join(", "));
}
