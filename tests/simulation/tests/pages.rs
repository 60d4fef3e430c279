//! The pages that say what is attacked name every fault, and nothing that is not there.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeSet;

use petrel_simulation::{Fault, Path};

const RELIABILITY: &str = include_str!("../../../docs/reliability.md");

/// What stands between backticks in these lines.
fn quoted(lines: &str) -> BTreeSet<&str> {
    lines.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The table of what attacks what.
fn attacks() -> &'static str {
    let from = RELIABILITY.find("## What attacks it").unwrap();
    let through = RELIABILITY[from..].find("\nLooked at with every step").unwrap();
    &RELIABILITY[from..from + through]
}

/// Whether a name is meant by these words: by itself, or by what it begins with.
fn is_named(name: &str, words: &BTreeSet<&str>) -> bool {
    let begins = |word: &&str| word.strip_suffix('*').is_some_and(|begin| name.starts_with(begin));
    words.contains(name) || words.iter().any(begins)
}

#[test]
fn every_fault_is_in_the_table_of_what_attacks_what() {
    let words = quoted(attacks());
    let missing: Vec<_> =
        Fault::ALL.iter().map(|f| f.name()).filter(|name| !is_named(name, &words)).collect();
    assert!(missing.is_empty(), "in no row: {}", missing.join(", "));
}

#[test]
fn the_table_names_no_fault_and_no_path_that_is_not_there() {
    let faults = Fault::ALL.iter().map(|f| f.name());
    let known: Vec<&str> = faults.chain(Path::ALL.iter().map(|p| p.name())).collect();
    let is_known = |word: &str| match word.strip_suffix('*') {
        Some(begin) => known.iter().any(|name| name.starts_with(begin)),
        None => known.contains(&word),
    };
    // After the word `simulation`, in the third column, up to what follows behind a semicolon.
    let mut looked = 0;
    for row in attacks().lines().filter(|row| row.starts_with("| ")) {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for part in cell.split("; ").filter(|part| part.starts_with("simulation ")) {
            for word in quoted(part) {
                assert!(is_known(word), "no fault and no path: {word}, in {row}");
                looked += 1;
            }
        }
    }
    assert!(looked > 40, "{looked}");
}

#[cfg(feature = "mutants")]
#[test]
fn the_pages_count_the_broken_variants_and_name_those_that_are_there() {
    use petrel_simulation::Mutant;

    let names: BTreeSet<String> = Mutant::all().iter().map(|m| m.name()).collect();
    let count = format!("proves for {} broken variants", names.len());
    assert!(RELIABILITY.contains(&count), "{count}");
    let page = include_str!("../README.md");
    let from = page.find("# What finds what").unwrap();
    let table = &page[from..from + page[from..].find("\nAll of them:").unwrap()];
    for row in table.lines().filter(|row| row.starts_with("| ")) {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let unknown: Vec<_> = quoted(cell).into_iter().filter(|w| !names.contains(*w)).collect();
        assert!(unknown.is_empty(), "no broken variant: {}", unknown.join(", "));
    }
}
