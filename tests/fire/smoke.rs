//! Every run once, with small numbers, against the real binary: that the tool works, that it finds a loss, and that nothing
//! is lost or doubled on the way.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::process::ExitCode;

use serde_json::Value;

/// Runs `petrel-fire` with these words and returns how it ended and what it printed.
fn fire(words: &str) -> (ExitCode, Value) {
    let args = ["petrel-fire", "--json", "--server", env!("CARGO_BIN_EXE_petrel")];
    let args = args.into_iter().chain(words.split(' ')).map(Into::into);
    let mut out = vec![];
    let code = petrel_fire::run(args, &mut out);
    (code, serde_json::from_slice(&out).unwrap_or_default())
}

#[test]
fn killed_five_times_it_loses_nothing_and_a_database_that_is_put_back_is_found() {
    let (code, report) = fire("kills --times 5 --people 12 --rate 100 --seed 5");
    assert_eq!(code, ExitCode::SUCCESS, "{report}");
    assert_eq!(report["figures"]["kills"], 5, "{report}");
    let written = &report["figures"]["messages_written"];
    assert_eq!(report["checked"]["acknowledged"], *written, "{report}");
    assert!(written.as_u64().unwrap() > 0, "{report}");

    let (code, report) = fire("kills --times 5 --people 12 --rate 100 --seed 5 --sabotage");
    assert_eq!(code, ExitCode::FAILURE, "{report}");
    let problems = report["problems"].to_string();
    assert!(
        problems.contains("was acknowledged at") && problems.contains("is not there"),
        "{report}"
    );
}

#[test]
fn a_short_soak_leaves_nothing_open() {
    let (code, report) = fire("soak --seconds 20 --people 12 --rate 30 --stays 4 --samples 10");
    assert_eq!(code, ExitCode::SUCCESS, "{report}");
    let figures = &report["figures"];
    assert_eq!(figures["samples"].as_array().unwrap().len(), 10, "{report}");
    assert_eq!(figures["connection_rows_after"], 0, "{report}");
    // Everyone left and came back.
    assert!(figures["sockets_opened"].as_u64().unwrap() > 12, "{report}");
    // How much else was done depends on the machine; that it was answered as documented does not.
    assert!(figures["acts"].as_object().unwrap().len() > 1, "{report}");
}

#[test]
fn beyond_its_capacity_it_says_busy_and_until_when_and_answers_everyone_afterwards() {
    let words = "overload --concurrency 1 --people 12 --rate 400 --refusals 100 --messages 100";
    let (code, report) = fire(words);
    assert_eq!(code, ExitCode::SUCCESS, "{report}");
    let figure = |name: &str| report["figures"][name].as_u64().unwrap();
    assert!(figure("turned_away_as_the_server_counts") >= 100, "{report}");
    assert!(figure("told_so_over_http") > 0 && figure("answers_busy") > 0, "{report}");
    assert_eq!(report["checked"]["acknowledged"], figure("messages_written"), "{report}");
}

#[test]
fn a_run_that_cannot_be_carried_out_is_no_success() {
    let args = ["petrel-fire", "kills", "--server", "no/such/petrel"].map(Into::into);
    assert_eq!(petrel_fire::run(args, &mut vec![]), ExitCode::FAILURE);
    assert_eq!(fire("kills --times 0").0, ExitCode::from(2));
}
