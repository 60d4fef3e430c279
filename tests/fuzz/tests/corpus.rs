//! Every seed, and the same mutated without a look at coverage: what `cargo test` has time for. `tests/fuzz/run` does more.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use petrel_fuzz::{Target, seeds};

/// What an input allocates is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn folder(target: Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name())
}

fn corpus(target: Target) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder(target)).into_iter().flatten();
    let file =
        |f: fs::DirEntry| (f.file_name().into_string().unwrap(), fs::read(f.path()).unwrap());
    files.map(|f| file(f.unwrap())).collect()
}

/// Writes the seeds down, when it is asked to: examples have changed. What was found once (`found-…`) stays beside them.
#[test]
fn every_target_has_a_corpus() {
    for target in Target::ALL {
        if std::env::var_os("PETREL_UPDATE").is_some() {
            let _there = fs::create_dir_all(folder(target));
            for old in corpus(target).keys().filter(|name| name.starts_with("seed-")) {
                fs::remove_file(folder(target).join(old)).unwrap();
            }
            for (seed, n) in seeds(target).into_iter().zip(0..) {
                fs::write(folder(target).join(format!("seed-{n:02}")), seed).unwrap();
            }
        }
        let seeds: Vec<Vec<u8>> = seeds(target).into_iter().map(String::into_bytes).collect();
        assert!(seeds.len() > 3, "{} has no corpus", target.name());
        let written = corpus(target).into_iter().filter(|(name, _)| name.starts_with("seed-"));
        let mut written: Vec<Vec<u8>> = written.map(|(_, seed)| seed).collect();
        let mut expected = seeds;
        written.sort();
        expected.sort();
        let name = target.name();
        assert!(
            written == expected,
            "the corpus of {name} is of yesterday: PETREL_UPDATE=1 cargo test -p petrel-fuzz"
        );
    }
}

fn survives(target: Target) {
    const MUTATIONS: usize = 40;
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Also the seeds of examples that came since.
    let made = seeds(target).into_iter().map(String::into_bytes);
    let mut corpus: Vec<Vec<u8>> = corpus(target).into_values().chain(made).collect();
    corpus.sort();
    corpus.dedup();
    let mut dice = fastrand::Rng::with_seed(1);
    for seed in &corpus {
        target.run(seed, false);
        for _ in 0..MUTATIONS {
            let mut input = seed.clone();
            for _ in 0..=dice.usize(..4) {
                mutate(&mut input, &corpus, &mut dice);
            }
            target.run(&input, false);
        }
    }
}

/// One small change: a byte, a piece that is gone or doubled, a piece of another seed, or a word that means something.
fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut fastrand::Rng) {
    const WORDS: [&str; 12] = [
        "null",
        "-1",
        "18446744073709551616",
        "1e999",
        "\"\"",
        "{}",
        "[]",
        "\\u0000",
        "\\ud800",
        "\u{202e}",
        "true",
        "..",
    ];
    let at = dice.usize(..=input.len());
    let end = (at + dice.usize(..=16)).min(input.len());
    match dice.u8(..5) {
        0 if at < input.len() => input[at] = dice.u8(..),
        1 => drop(input.drain(at..end)),
        2 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece.repeat(dice.usize(1..50)));
        }
        3 => {
            let other = dice.choice(corpus).unwrap();
            let from = dice.usize(..=other.len());
            input.splice(at..end, other[from..].iter().copied());
        }
        _ => drop(input.splice(at..end, dice.choice(WORDS).unwrap().bytes())),
    }
}

#[test]
fn frames_survive() {
    survives(Target::Frames);
}

#[test]
fn requests_survive() {
    survives(Target::Requests);
}

#[test]
fn events_survive() {
    survives(Target::Events);
}

#[test]
fn tokens_survive() {
    survives(Target::Tokens);
}

#[test]
fn items_survive() {
    survives(Target::Items);
}

#[test]
fn ids_survive() {
    survives(Target::Ids);
}

#[test]
fn archive_survives() {
    survives(Target::Archive);
}

#[test]
fn presigned_survives() {
    survives(Target::Presigned);
}

/// Without this, a target that looks at nothing would survive everything.
#[test]
fn the_corpus_does_not_reach_the_planted_panic_and_another_letter_does() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for seed in corpus(Target::Frames).into_values() {
        Target::Frames.run(&seed, true);
    }
    let elsewhere = br#"a{"action":"sinc","cursors":{}}"#;
    let found = std::panic::catch_unwind(|| Target::Frames.run(elsewhere, true));
    assert!(found.is_err());
}
