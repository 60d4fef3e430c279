//! What a run found, as a list for people and as JSON for machines.

use std::time::Duration;

use hdrhistogram::Histogram;
use petrel_test_client::person::Tally;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Result;
use crate::check::Checked;

/// Problems printed; the rest is counted.
const SHOWN: usize = 20;

/// What a run found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Which.
    pub run: &'static str,
    /// How it was set.
    pub settings: String,
    /// Repeats the plan.
    pub seed: u64,
    /// How long it took, s.
    pub seconds: f64,
    /// By name, in the order of the names.
    pub figures: Map<String, Value>,
    /// What was compared in the end.
    pub checked: Checked,
    /// Every promise that was not kept.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// As Markdown.
    pub fn text(&self) -> String {
        let Self { run, settings, seed, seconds, figures, checked, problems } = self;
        let mut text = format!("{run}: {settings}; seed {seed}; took {seconds:.0} s\n\n");
        for (name, value) in figures {
            text += &format!("- {}: {}\n", name.replace('_', " "), brief(value));
        }
        let Checked { conversations, entries, acknowledged, held } = checked;
        if problems.is_empty() {
            return text
                + &format!(
                    "\nAll {acknowledged} acknowledged messages stand once and in their place, {entries} entries of \
                     {conversations} conversations have no hole, and every member's device holds all of them \
                     ({held} entries on devices).\n"
                );
        }
        text += &format!("\nNOT GOOD: {} promises were not kept\n", problems.len());
        problems.iter().take(SHOWN).for_each(|p| text += &format!("- {p}\n"));
        if problems.len() > SHOWN {
            text += &format!("- and {} more\n", problems.len() - SHOWN);
        }
        text
    }
}

/// A list of samples would bury the rest.
fn brief(value: &Value) -> String {
    match value {
        Value::Array(all) => format!("{} samples (--json prints them)", all.len()),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name} {}", brief(value));
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What people have done together, as figures.
pub fn figures(tally: &Tally) -> Map<String, Value> {
    let all = [
        ("messages_written", &tally.composed),
        ("messages_acknowledged", &tally.acknowledged),
        ("acknowledged_as_duplicates", &tally.duplicates),
        ("sends_repeated", &tally.resent),
        ("entries_delivered", &tally.delivered),
        ("entries_that_came_again", &tally.doubled),
        ("answers_busy", &tally.busy),
        ("proofs_by_reading", &tally.recovered),
        ("sockets_opened", &tally.connects),
    ];
    all.into_iter().map(|(name, count)| (name.to_owned(), count.get().into())).collect()
}

/// Times, by rank.
#[derive(Debug)]
pub struct Spread(Histogram<u64>);

impl Spread {
    /// None yet.
    pub fn new() -> Result<Self> {
        Ok(Self(Histogram::new(3)?))
    }

    /// Adds these.
    pub fn add(&mut self, times: &[Duration]) -> Result<()> {
        for time in times {
            self.0.record(u64::try_from(time.as_micros())?)?;
        }
        Ok(())
    }

    /// The figures, in ms.
    pub fn figure(&self) -> Value {
        let ms = |micros: u64| micros as f64 / 1_000.0;
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        json!({"count": self.0.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": ms(self.0.max())})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problems: usize) -> Report {
        Report {
            run: "kills",
            settings: "3 times".to_owned(),
            seed: 7,
            seconds: 1.5,
            figures: Map::from_iter([
                ("kills".to_owned(), json!(3)),
                ("rss".to_owned(), json!([1, 2])),
            ]),
            checked: Checked { conversations: 1, entries: 2, acknowledged: 3, held: 4 },
            problems: (0..problems).map(|n| format!("problem {n}")).collect(),
        }
    }

    #[test]
    fn a_good_run_says_what_was_compared_and_a_bad_one_what_is_wrong() {
        let good = report(0).text();
        assert!(good.contains("seed 7") && good.contains("- kills: 3\n"), "{good}");
        assert!(good.contains("All 3 acknowledged messages stand once"), "{good}");
        let bad = report(30).text();
        assert!(
            bad.contains("NOT GOOD: 30") && bad.contains("- problem 19\n- and 10 more\n"),
            "{bad}"
        );
        assert!(report(0).is_good() && !report(1).is_good());
    }

    #[test]
    fn times_are_ranked() {
        let mut spread = Spread::new().unwrap();
        spread.add(&(1..=100).map(Duration::from_millis).collect::<Vec<_>>()).unwrap();
        let figure = spread.figure();
        assert_eq!(figure["count"], 100);
        assert!((figure["p50_ms"].as_f64().unwrap() - 50.0).abs() < 0.1, "{figure}");
    }
}
