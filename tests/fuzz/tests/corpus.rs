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

/// What was found once (`found-…`) stays beside the seeds, which are written anew when the documents' examples change.
#[test]
fn the_seeds_are_up_to_date() {
    for target in Target::ALL {
        let made: BTreeMap<String, Vec<u8>> = (seeds(target).into_iter().zip(0..))
            .map(|(seed, n)| (format!("seed-{n:02}"), seed.into_bytes()))
            .collect();
        if std::env::var_os("PETREL_UPDATE").is_some() {
            let _none = fs::create_dir_all(folder(target));
            for old in corpus(target).keys().filter(|name| name.starts_with("seed-")) {
                fs::remove_file(folder(target).join(old)).unwrap();
            }
            for (name, seed) in &made {
                fs::write(folder(target).join(name), seed).unwrap();
            }
        }
        let mut written = corpus(target);
        written.retain(|name, _| name.starts_with("seed-"));
        let hint = "PETREL_UPDATE=1 cargo test -p petrel-fuzz --test corpus";
        assert!(written == made, "{}: {hint}", target.name());
    }
}

fn survives(target: Target) {
    const MUTATIONS: usize = 40;
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let corpus: Vec<Vec<u8>> = corpus(target).into_values().collect();
    assert!(corpus.len() > 3, "{} has no corpus", target.name());
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

/// Without this, a target that looks at nothing would survive everything.
#[test]
fn the_corpus_does_not_reach_the_planted_panic_and_another_digit_does() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for seed in corpus(Target::Frames).into_values() {
        Target::Frames.run(&seed, true);
    }
    let elsewhere = br#"a{"action":"send","conversation_id":"d:ana:bo","seen":2,"message_id":"0192f3c4-0000-7000-8000-000000000001","content":{"type":"edit","target":9,"text":"hi"}}"#;
    let found = std::panic::catch_unwind(|| Target::Frames.run(elsewhere, true));
    assert!(found.is_err());
}
