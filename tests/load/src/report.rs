//! What a load found, as a table for people and as JSON for machines.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Result;
use crate::device::Checked;

/// Significant digits kept of a time.
const DIGITS: u8 = 3;
/// Problems printed; the rest is counted.
const SHOWN: usize = 20;

/// Times, in a histogram of nanoseconds.
#[derive(Debug)]
pub struct Times(Histogram<u64>);

impl Times {
    /// None yet.
    pub fn new() -> Result<Self> {
        Ok(Self(Histogram::new(DIGITS)?))
    }

    /// Adds one.
    pub fn add(&mut self, time: Duration) -> Result<()> {
        Ok(self.0.record(u64::try_from(time.as_nanos())?)?)
    }

    /// All of these.
    #[cfg(test)]
    fn of(times: impl IntoIterator<Item = Duration>) -> Result<Self> {
        let mut all = Self::new()?;
        times.into_iter().try_for_each(|time| all.add(time))?;
        Ok(all)
    }

    /// A row of the report, in ms.
    pub fn row(&self, figure: &str) -> Row {
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        let value = Figure::Spread {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: ms(self.0.max()),
        };
        Row { figure: figure.to_owned(), unit: "ms", value }
    }
}

/// One figure.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Figure {
    /// A single one.
    One {
        /// It.
        value: f64,
    },
    /// Many, by rank.
    Spread {
        /// How many.
        count: u64,
        /// Half of them are at most this.
        p50: f64,
        /// 90 of 100 are.
        p90: f64,
        /// 99 of 100 are.
        p99: f64,
        /// All are.
        max: f64,
    },
}

/// One line of a report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub figure: String,
    /// In what.
    pub unit: &'static str,
    /// How much.
    #[serde(flatten)]
    pub value: Figure,
}

impl Row {
    /// A single figure.
    pub fn one(figure: &str, unit: &'static str, value: f64) -> Self {
        Self { figure: figure.to_owned(), unit, value: Figure::One { value } }
    }

    /// The processor time that server and client took, as far as it is known.
    pub fn cpu((server, client): (Option<f64>, Option<f64>)) -> impl Iterator<Item = Self> {
        let row = |whose, share: Option<f64>| {
            share.map(|s| Self::one(&format!("processor time of the {whose}"), "% of a core", s))
        };
        [row("server", server), row("load tool", client)].into_iter().flatten()
    }
}

/// What one load found.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Which load.
    pub load: &'static str,
    /// How it was set.
    pub settings: String,
    /// What it took.
    pub rows: Vec<Row>,
    /// What was compared.
    pub checked: Checked,
    /// Every promise that was not kept; none if all is well.
    pub problems: Vec<String>,
}

/// What all loads found, and on what.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Cores of this machine, which server and load tool share.
    pub cores: usize,
    /// Its processor and operating system.
    pub machine: String,
    /// Which server it says it is.
    pub server: String,
    /// What a stored message outlives.
    pub storage: &'static str,
    /// In the order in which they ran.
    pub loads: Vec<Outcome>,
}

impl Report {
    /// Whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.loads.iter().all(|load| load.problems.is_empty())
    }

    /// A Markdown table, aligned for a terminal, and what was checked.
    pub fn table(&self) -> String {
        let mut cells =
            vec![["load", "figure", "unit", "p50", "p90", "p99", "max"].map(String::from)];
        for load in &self.loads {
            let mut name = format!("{}: {}", load.load, load.settings);
            for row in &load.rows {
                let number = |n: f64| round(n);
                let [p50, p90, p99, max] = match row.value {
                    Figure::One { value } => {
                        [number(value), String::new(), String::new(), String::new()]
                    }
                    Figure::Spread { p50, p90, p99, max, .. } => [p50, p90, p99, max].map(number),
                };
                let name = std::mem::take(&mut name);
                cells.push([name, row.figure.clone(), row.unit.to_owned(), p50, p90, p99, max]);
            }
        }
        let width = |i: usize| cells.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let widths: [usize; 7] = std::array::from_fn(width);
        let line = |row: &[String; 7]| {
            let cells = row.iter().zip(widths).enumerate().map(|(i, (cell, width))| match i {
                0..3 => format!(" {cell:<width$} "),
                _ => format!(" {cell:>width$} "),
            });
            format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
        };
        let mut text = format!(
            "{} cores ({}), shared by server and load tool; {}, {}\n\n",
            self.cores, self.machine, self.server, self.storage
        );
        text += &line(&cells[0]);
        text += &line(&std::array::from_fn(|i| match i {
            0..3 => "-".repeat(widths[i]),
            _ => format!("{}:", "-".repeat(widths[i].saturating_sub(1))),
        }));
        cells[1..].iter().for_each(|row| text += &line(row));
        text + "\n" + &self.verdict()
    }

    fn verdict(&self) -> String {
        let mut all = Checked::default();
        self.loads.iter().for_each(|load| all.add(&load.checked));
        let Checked { messages, doubled, late } = all;
        let problems: Vec<String> = self
            .loads
            .iter()
            .flat_map(|l| l.problems.iter().map(|p| format!("{}: {p}\n", l.load)))
            .collect();
        if problems.is_empty() {
            return format!(
                "All {messages} messages came, each once and in its place ({doubled} entries came again and were \
                 dropped, {late} came by sync only).\n"
            );
        }
        let rest = problems.len().saturating_sub(SHOWN);
        let rest = if rest > 0 { format!("and {rest} more\n") } else { String::new() };
        let shown = problems.iter().take(SHOWN).cloned().collect::<String>();
        format!("NOT GOOD, over {messages} messages that had to come:\n{shown}{rest}")
    }
}

/// Three significant digits, and no more than there are.
fn round(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problems: &[&str]) -> Report {
        let times = Times::of((1..=100).map(Duration::from_millis)).unwrap();
        let outcome = Outcome {
            load: "latency",
            settings: "1/s".to_owned(),
            rows: vec![times.row("until it came"), Row::one("rate", "1/s", 1234.5)],
            checked: Checked { messages: 7, doubled: 2, late: 1 },
            problems: problems.iter().map(|&p| p.to_owned()).collect(),
        };
        Report {
            cores: 2,
            machine: "x".to_owned(),
            server: "petrel 1".to_owned(),
            storage: "on disk",
            loads: vec![outcome],
        }
    }

    #[test]
    fn the_table_is_aligned_and_says_what_was_checked() {
        let expected = "\
2 cores (x), shared by server and load tool; petrel 1, on disk

| load         | figure        | unit |  p50 |  p90 |  p99 | max |
| ------------ | ------------- | ---- | ---: | ---: | ---: | --: |
| latency: 1/s | until it came | ms   | 50.0 | 90.0 | 99.0 | 100 |
|              | rate          | 1/s  | 1234 |      |      |     |

All 7 messages came, each once and in its place (2 entries came again and were dropped, 1 came by sync only).
";
        assert_eq!(report(&[]).table(), expected);
        assert!(report(&[]).is_good());
    }

    #[test]
    fn problems_are_shown_and_what_is_too_much_is_counted() {
        let table = report(&["m1 never came"; 25]).table();
        assert!(table.contains("NOT GOOD"), "{table}");
        assert_eq!(table.matches("latency: m1 never came\n").count(), SHOWN);
        assert!(table.ends_with("and 5 more\n"), "{table}");
        assert!(!report(&["m1 never came"]).is_good());
    }

    #[test]
    fn machines_get_every_figure_with_its_unit() {
        let json = serde_json::to_value(report(&[])).unwrap();
        let row = &json["loads"][0]["rows"][0];
        assert_eq!((&row["unit"], &row["count"]), (&"ms".into(), &100.into()));
        assert!((row["p99"].as_f64().unwrap() - 99.0).abs() < 0.1, "{row}");
        assert_eq!(json["loads"][0]["rows"][1]["value"], 1234.5);
    }
}
