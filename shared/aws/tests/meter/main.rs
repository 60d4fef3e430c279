//! The meter: what each operation asks of AWS and what AWS charges for it, measured where the SDK's unmodified clients
//! meet the embedded database, and held against the tables of docs/costs.md. A change that costs more, or less, fails
//! here until the document says so.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod operations;
mod prices;
mod rules;
mod wire;
mod world;

use operations::{Bills, measure};
use wire::Bill;

const DOCUMENT: &str = include_str!("../../../../docs/costs.md");

/// The rows of the table below this heading, without the two of its head.
fn documented(heading: &str) -> Vec<String> {
    let (_, section) = DOCUMENT.split_once(heading).unwrap();
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    lines.take_while(|line| line.starts_with('|')).skip(2).map(str::to_owned).collect()
}

fn row(name: &str, bill: &Bill) -> String {
    let call = |(api, times): (&String, &u64)| match times {
        1 => api.clone(),
        _ => format!("{times} {api}"),
    };
    let calls: Vec<_> = bill.calls.iter().map(call).collect();
    let calls = if calls.is_empty() { "none".to_owned() } else { calls.join(", ") };
    let number = bill.called();
    format!("| {name} | {number} | {calls} | {} | {} |", bill.writes, bill.reads)
}

fn rows(bills: &Bills) -> Vec<String> {
    bills.rows().map(|(name, bill)| row(name, bill)).collect()
}

/// What the design allows: write units, read units, calls. A forwarded ack may look up the connections and post besides.
const BUDGETS: [(&str, f64, f64, u64); 13] = [
    ("send 1:1, both online", 1.0, 4.0, 5),
    ("send to a group of 1000, all online", 1.0, 30.0, 4),
    ("send to a group of 1000 with ids of 64 characters", 1.0, 30.0, 4),
    ("fan out to 100, none online", 0.0, 100.0, 1),
    ("fan out to 100, all online (the sender among them)", 0.0, 100.0, 1 + 99),
    ("ack 1:1, nothing new", 1.0, 3.0, 3),
    ("ack 1:1, author offline", 1.0, 3.0, 3 + 1),
    ("ack 1:1, both at once, author online", 1.0, 3.0, 3 + 2),
    ("ack 1:1, 57 delivered and 7 read, author online", 1.0, 3.0, 3 + 2),
    ("ack in a group of 32, author online", 1.0, 3.0, 3 + 2),
    ("ack in a group of 1000, author online", 1.0, 3.0, 3 + 2),
    ("connect", 1.0, 0.0, 1),
    ("disconnect", 1.0, 0.0, 1),
];

fn budgets(bills: &Bills) -> Vec<String> {
    let row = |&(name, writes, reads, calls): &(&str, f64, f64, u64)| {
        let bill = bills.of(name);
        let held = bill.writes <= writes && bill.reads <= reads && bill.called() <= calls;
        let held = if held { "yes" } else { "**no**" };
        let (w, r, c) = (bill.writes, bill.reads, bill.called());
        format!("| {name} | {w} of {writes} | {r} of {reads} | {c} of {calls} | {held} |")
    };
    BUDGETS.iter().map(row).collect()
}

#[track_caller]
fn compare(heading: &str, measured: &[String]) {
    let documented = documented(heading);
    let table = measured.join("\n");
    println!("{heading}\n{table}\n");
    for (measured, documented) in measured.iter().zip(&documented) {
        assert_eq!(measured, documented, "\nif it is meant so, the table is now:\n{table}\n");
    }
    assert_eq!(measured.len(), documented.len(), "\nthe table is now:\n{table}\n");
}

#[tokio::test]
async fn costs_are_as_documented() {
    let bills = measure().await;
    compare("## Measured", &rows(&bills));
    compare("## Budgets", &budgets(&bills));
    compare("## In dollars", &prices::rows(&bills));
}
