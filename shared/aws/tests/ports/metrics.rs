//! The line that an invocation leaves: what CloudWatch takes from it, and what it costs.

use petrel_aws::{Emf, Invocation};
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::metrics::{Count, Metrics, Timing};
use serde_json::{Value, json};

const INVOCATION: Invocation<'static> =
    Invocation { request_id: "r", trace_id: None, connection: None };

fn emf(variables: &[(&str, &str)]) -> Option<Emf> {
    let env = |name: &str| {
        variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    };
    Emf::read(&env).unwrap()
}

fn petrel() -> Emf {
    emf(&[("PETREL_METRICS_NAMESPACE", "Petrel/p")]).unwrap()
}

fn written(emf: &Emf, invocation: Invocation<'_>) -> String {
    let mut out = vec![];
    emf.write(invocation, &mut out);
    String::from_utf8(out).unwrap()
}

fn line(emf: &Emf) -> Value {
    serde_json::from_str(&written(emf, INVOCATION)).unwrap()
}

fn conversation(id: &str) -> ConversationId {
    ConversationId::parse(id).unwrap()
}

#[test]
fn every_measure_is_published_under_its_name_with_its_unit() {
    let emf = petrel();
    for what in Count::ALL {
        emf.count(*what, 2);
    }
    for what in Timing::ALL {
        emf.time(*what, 7);
    }
    let line = line(&emf);
    let names = |unit| {
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        let of_unit = metrics.iter().filter(|m| m["Unit"] == unit);
        of_unit.map(|m| m["Name"].as_str().unwrap()).collect::<Vec<_>>()
    };
    let counts = "Messages Duplicates Conflicts Deliveries Gone PutBack FanOutInline PushJobs PushJobsLost Pushes \
        PushFailures PushesSkipped Webhooks WebhookFailures WebhookJobsLost Reports Opened Closed Syncs Acks Busy Refused Failures";
    assert_eq!(names("Count").join(" "), counts);
    assert_eq!(names("Milliseconds").join(" "), "DeliveryLatency FanOutAge PushAge WebhookAge");
    assert!(names("Count").iter().all(|name| line[*name] == 2), "{line}");
    assert!(names("Milliseconds").iter().all(|name| line[*name] == 7), "{line}");
}

#[test]
fn a_line_holds_what_happened_since_the_last_and_without_that_there_is_none() {
    let emf = petrel();
    assert_eq!(written(&emf, INVOCATION), "");
    // What it was about alone is not worth a line.
    emf.about(&conversation("d:ana:bo"), None);
    emf.count(Count::Gone, 0);
    assert_eq!(written(&emf, INVOCATION), "");
    emf.count(Count::Messages, 1);
    emf.count(Count::Messages, 2);
    let first = line(&emf);
    assert_eq!((&first["Messages"], first.get("conversation")), (&json!(3), None));
    assert_eq!(written(&emf, INVOCATION), "");
}

#[test]
fn one_entry_has_fields_of_its_own_and_several_are_listed() {
    let emf = petrel();
    let about = |named: &[(&str, Option<u64>)]| {
        for (id, seq) in named {
            emf.about(&conversation(id), seq.map(Seq::new));
        }
        emf.count(Count::Messages, 1);
        let line = line(&emf);
        json!([line["conversation"], line["seq"], line["entries"]])
    };
    assert_eq!(about(&[]), json!([null, null, null]));
    assert_eq!(about(&[("d:a:b", None)]), json!(["d:a:b", null, null]));
    let same = [("d:a:b", None), ("d:a:b", Some(1)), ("d:a:b", Some(1)), ("d:a:b", None)];
    assert_eq!(about(&same), json!(["d:a:b", 1, null]));
    let several = [("d:a:b", Some(1)), ("d:a:b", Some(2)), ("d:a:c", None)];
    assert_eq!(about(&several), json!([null, null, "d:a:b#1 d:a:b#2 d:a:c"]));
}

#[test]
fn a_metric_has_at_most_a_hundred_values() {
    let emf = petrel();
    for ms in 0..150 {
        emf.time(Timing::DeliveryLatency, ms);
    }
    let line = line(&emf);
    let values = line["DeliveryLatency"]["Values"].as_array().unwrap();
    assert_eq!((values.len(), &values[99]), (100, &json!(99)));
    assert_eq!(line["DeliveryLatency"]["Counts"], json!(vec![1; 100]));
}

#[test]
fn the_level_is_the_least_that_lambda_passes_on() {
    let of = |variables: &[(&str, &str)]| {
        let mut env = vec![("PETREL_METRICS_NAMESPACE", "Petrel/p")];
        env.extend_from_slice(variables);
        let emf = emf(&env).unwrap();
        emf.count(Count::Messages, 1);
        let line = line(&emf);
        (line["level"].as_str().unwrap().to_owned(), line.get("timestamp").is_some())
    };
    assert_eq!(of(&[]), ("INFO".into(), false));
    for level in ["TRACE", "DEBUG", "INFO", "petrel=debug", ""] {
        assert_eq!(of(&[("AWS_LAMBDA_LOG_LEVEL", level)]), ("INFO".into(), false), "{level}");
    }
    for level in ["WARN", "ERROR", "FATAL"] {
        assert_eq!(of(&[("AWS_LAMBDA_LOG_LEVEL", level)]), (level.into(), true));
        assert_eq!(of(&[("RUST_LOG", level)]), (level.into(), true));
    }
    let both = [("RUST_LOG", "ERROR"), ("AWS_LAMBDA_LOG_LEVEL", "WARN")];
    assert_eq!(of(&both), ("WARN".into(), true));
}

#[test]
fn no_namespace_no_metrics() {
    assert!(emf(&[]).is_none());
    assert!(emf(&[("PETREL_METRICS_NAMESPACE", "")]).is_none());
}

/// Prints what docs/costs.md says of the log, and holds it to that.
#[test]
fn what_a_send_writes_is_what_the_docs_say() {
    let emf = emf(&[("PETREL_METRICS_NAMESPACE", "Petrel/petrel")]).unwrap();
    let (a, b) = ("11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa");
    emf.about(&conversation(&format!("d:{a}:{b}")), Some(Seq::new(1234)));
    emf.count(Count::Messages, 1);
    emf.count(Count::Deliveries, 1);
    emf.time(Timing::DeliveryLatency, 24);
    let line = written(
        &emf,
        Invocation { request_id: a, trace_id: None, connection: Some("L0SM9cOFvHcCIhw=") },
    );
    println!("{line}{} bytes", line.len());
    let costs = include_str!("../../../../docs/costs.md");
    let a_million = (line.len() + 26) as f64 * 1e6;
    let dollars = format!("${:.2} a million", a_million / 1e9 * 0.50);
    for words in [format!("{} bytes", line.len()), dollars] {
        assert!(costs.contains(&words), "docs/costs.md does not say {words}");
    }
}
