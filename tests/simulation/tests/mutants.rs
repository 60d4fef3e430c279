//! The invariants can fail: each broken variant is found, by a seed that the unbroken product passes. `pins.txt` names a
//! seed that finds each, so that CI need not search; where that one finds it no more, as after a change of what seeds mean, the
//! others are searched in turn. `PIN=1` writes the file anew.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use petrel_simulation::{Mutant, Options, run};

/// Most seeds for one variant. The next best bound, a power of two, is above what the slowest one takes.
const SEEDS: u64 = 65_536;
/// Variants that are looked for at the same time.
const THREADS: usize = 2;
/// A line for each variant: its name, and a seed.
const PINS: &str = include_str!("pins.txt");

/// What came of looking for one variant.
struct Found {
    name: String,
    /// The seed and the rule that it broke.
    by: Option<(u64, String)>,
    /// What the same seed breaks without the variant: nothing.
    without: Option<String>,
}

fn find(mutant: Mutant, pin: Option<u64>) -> Found {
    let options = Options { mutant: Some(mutant), ..Options::default() };
    let by =
        pin.into_iter().chain(0..SEEDS).find_map(|seed| Some((seed, run(seed, &options).broken?)));
    // The seed's dice fall otherwise without the mutant, so this is a run of its own; it must hold all the same.
    let without = by.as_ref().and_then(|(seed, _)| run(*seed, &Options::default()).broken);
    Found { name: mutant.name(), by, without }
}

fn find_all(pins: &BTreeMap<String, u64>) -> Vec<Found> {
    let mutants = Mutant::all();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = find(*mutant, pins.get(&mutant.name()).copied());
                    found.lock().unwrap().push(one);
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

#[test]
fn every_mutant_is_found_and_only_they() {
    let pins = PINS.lines().filter_map(|line| line.split_once(' '));
    let pins: BTreeMap<String, u64> =
        pins.map(|(name, seed)| (name.to_owned(), seed.parse().unwrap())).collect();
    let anew = std::env::var_os("PIN").is_some();
    let found = find_all(&if anew { BTreeMap::new() } else { pins.clone() });
    let (mut missed, mut moved, mut lines) = (vec![], vec![], String::new());
    for Found { name, by, .. } in &found {
        let Some((seed, rule)) = by else {
            missed.push(name.as_str());
            continue;
        };
        let short: String = rule.chars().take(110).collect();
        println!("{name:<22}{seed:>6}  {short}");
        lines += &format!("{name} {seed}\n");
        if pins.get(name) != Some(seed) {
            moved.push(name.as_str());
        }
    }
    println!(
        "{} mutants, {} found elsewhere than pinned: {}",
        found.len(),
        moved.len(),
        moved.join(", ")
    );
    if anew {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pins.txt");
        std::fs::write(path, lines).unwrap();
    }
    for Found { name, without, .. } in &found {
        assert_eq!(*without, None, "without {name}");
    }
    assert!(found.len() >= 110, "{} mutants", found.len());
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {}", missed.join(", "));
}
