//! Every load once, with tiny numbers, against the real binary: that the tool works, and that nothing is lost or doubled
//! on the way. No figure is looked at.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::process::ExitCode;

use serde_json::Value;

/// Runs `petrel-load` with these words and returns how it ended and what it printed.
fn load(words: &str) -> (ExitCode, String) {
    let args = ["petrel-load", "--server", env!("CARGO_BIN_EXE_petrel")];
    let args = args.into_iter().chain(words.split(' ')).map(Into::into);
    let mut out = vec![];
    let code = petrel_load::run(args, &mut out);
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn every_load_runs_and_finds_each_message_once_and_in_its_place() {
    // 40 members, so that delivery goes through the queue; 250 messages, so that one sync is not enough.
    let all = "all --json --seconds 1 --members 40 --messages 250 --connections 20";
    let (code, report) = load(all);
    assert_eq!(code, ExitCode::SUCCESS, "{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    let loads = report["loads"].as_array().unwrap();
    let names: Vec<_> = loads.iter().map(|l| l["load"].as_str().unwrap()).collect();
    let everywhere = ["latency", "throughput", "throughput", "fanout", "catchup"];
    assert_eq!(names[..5], everywhere);
    assert_eq!(&names[5..], if cfg!(target_os = "linux") { &["idle"][..] } else { &[] });
    for load in loads {
        assert_eq!(load["problems"], Value::Array(vec![]), "{load}");
        assert_eq!(load["checked"]["late"], 0, "{load}");
    }
    // Each pair's first message, then 200 a second for one second.
    assert_eq!(loads[0]["checked"]["messages"], 20 + 200);
    assert_eq!(loads[3]["checked"]["messages"], 39 * 50);
    assert_eq!(loads[4]["checked"]["messages"], 250 * 20);
    assert!(report["storage"].as_str().unwrap().starts_with("on "), "{report}");
}

#[test]
fn a_load_that_cannot_be_carried_out_is_no_success() {
    // Nobody listens there.
    let elsewhere = "latency --url ws://127.0.0.1:1/ws --token-command echo";
    let args = ["petrel-load"].into_iter().chain(elsewhere.split(' ')).map(Into::into);
    assert_eq!(petrel_load::run(args, &mut vec![]), ExitCode::FAILURE);
    let (code, report) = load("latency --seconds 0");
    assert_eq!((code, report.as_str()), (ExitCode::from(2), ""));
}
