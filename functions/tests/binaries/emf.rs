//! The rules of CloudWatch's embedded metric format, as its specification and JSON schema give them, as checks; and the
//! metrics that dashboard and alarms are built on.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Every metric and its unit.
pub const METRICS: [(&str, &str); 22] = [
    ("Messages", "Count"),
    ("Duplicates", "Count"),
    ("Conflicts", "Count"),
    ("Deliveries", "Count"),
    ("Gone", "Count"),
    ("PutBack", "Count"),
    ("FanOutInline", "Count"),
    ("PushJobs", "Count"),
    ("PushJobsLost", "Count"),
    ("Pushes", "Count"),
    ("PushFailures", "Count"),
    ("PushesSkipped", "Count"),
    ("Opened", "Count"),
    ("Closed", "Count"),
    ("Syncs", "Count"),
    ("Acks", "Count"),
    ("Busy", "Count"),
    ("Refused", "Count"),
    ("Failures", "Count"),
    ("DeliveryLatency", "Milliseconds"),
    ("FanOutAge", "Milliseconds"),
    ("PushAge", "Milliseconds"),
];

/// Most metrics of a directive, and most values of a metric.
const MOST: usize = 100;

/// The counts and the number of times in a line, which must obey the format.
pub fn metrics(line: &Value) -> BTreeMap<String, Value> {
    let aws = &line["_aws"];
    let timestamp = aws["Timestamp"].as_u64().unwrap();
    // Milliseconds, not seconds.
    assert!((1_700_000_000_000..10_000_000_000_000).contains(&timestamp), "{line}");
    let directives = aws["CloudWatchMetrics"].as_array().unwrap();
    assert_eq!(directives.len(), 1, "{line}");
    let directive = &directives[0];
    assert_eq!(directive["Namespace"], "Petrel/test");
    // One set of no dimensions; no set at all would publish nothing.
    assert_eq!(directive["Dimensions"], json!([[]]));
    let definitions = directive["Metrics"].as_array().unwrap();
    assert!((1..=MOST).contains(&definitions.len()), "{line}");
    let mut found = BTreeMap::new();
    for definition in definitions {
        let name = definition["Name"].as_str().unwrap();
        let unit = definition["Unit"].as_str().unwrap();
        assert!(METRICS.contains(&(name, unit)), "{name} in {unit}");
        let value = &line[name];
        assert!(is_value(value), "{name}: {value}");
        assert_ne!(*value, json!(0), "{name} is 0");
        assert!(found.insert(name.to_owned(), value.clone()).is_none(), "{name} twice");
    }
    found
}

/// A number, or numbers with how often each was observed.
fn is_value(value: &Value) -> bool {
    let numbers = |name: &str| {
        let numbers = value[name].as_array().filter(|a| a.iter().all(Value::is_number));
        numbers.map(Vec::len)
    };
    let counted = numbers("Values").filter(|n| (1..=MOST).contains(n));
    value.is_number() || (counted.is_some() && counted == numbers("Counts"))
}
