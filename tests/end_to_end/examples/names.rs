//! What a story calls things that another run would call otherwise: ids that the server mints, and times.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The time of an entry at seq 0 in a story, ms.
const DAWN: u64 = 1_790_000_000_000;
const WEEK: u64 = 7 * 86_400_000;

/// Real and written names of one telling.
pub struct Names {
    written: BTreeMap<String, String>,
    real: BTreeMap<String, String>,
    /// What was sent: it is what it is.
    said: BTreeSet<String>,
    addr: String,
}

impl Names {
    /// Nothing has been named yet by the server at `addr`.
    pub fn new(addr: &str) -> Self {
        let (written, real) = (BTreeMap::new(), BTreeMap::new());
        Self { written, real, said: BTreeSet::new(), addr: addr.to_owned() }
    }

    /// What is written, as this server calls it.
    pub fn real(&mut self, written: &str) -> String {
        let mut text = written.to_owned();
        for token in tokens(written) {
            match self.real.get(&token) {
                Some(real) => text = text.replace(&token, real),
                None => {
                    self.said.insert(token);
                }
            }
        }
        text
    }

    /// The URL that an answer named and that is written so.
    pub fn url(&self, written: &str) -> String {
        self.real.get(written).unwrap_or_else(|| panic!("no answer named {written}")).clone()
    }

    /// The same of every string in it.
    pub fn real_in(&mut self, written: &Value) -> Value {
        each(written, &mut |text| self.real(text))
    }

    /// What this server said, as it is written.
    pub fn written(&mut self, real: &Value) -> Value {
        let mut named = each(real, &mut |real| {
            let mut text = unsigned(&real.replace(&self.addr, "127.0.0.1:8080"));
            for token in tokens(&text) {
                let name = self.name(&token);
                text = text.replace(&token, &name);
            }
            if text.starts_with("http") {
                text = undated(&text);
                self.real.insert(text.clone(), real.to_owned());
            }
            text
        });
        times(&mut named);
        named
    }

    fn name(&mut self, real: &str) -> String {
        if self.said.contains(real) {
            return real.to_owned();
        }
        if let Some(written) = self.written.get(real) {
            return written.clone();
        }
        let number = self.written.len() + 1;
        let written = match real.len() {
            36 => format!("0192f3c4-0000-7000-9000-{number:012x}"),
            length => format!("{number:0length$x}"),
        };
        self.real.insert(written.clone(), real.to_owned());
        self.written.insert(real.to_owned(), written.clone());
        written
    }
}

/// The uuids and the long hexadecimal numbers in a text.
fn tokens(text: &str) -> Vec<String> {
    let runs = text.split(|c: char| !matches!(c, '0'..='9' | 'a'..='f' | '-'));
    let uuid = |run: &&str| run.len() == 36 && run.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let number = |run: &&str| run.len() >= 32 && !run.contains('-');
    runs.filter(|run| uuid(run) || number(run)).map(str::to_owned).collect()
}

/// Without the signature of a URL, which is another in each second.
fn unsigned(text: &str) -> String {
    const SIGNATURE: &str = "X-Amz-Signature=";
    let Some((before, after)) = text.split_once(SIGNATURE) else { return text.to_owned() };
    let rest = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    format!("{before}{SIGNATURE}SIGNATURE{rest}")
}

/// With the dawn instead of the dates in it, as signatures have them: `20260921T133320Z`, and the day alone.
fn undated(text: &str) -> String {
    let mut all = text.to_owned();
    for (at, _) in text.match_indices("20") {
        let after = |length: usize| text.get(at..at + length).unwrap_or_default();
        let before = text[..at].chars().next_back().is_some_and(|c| c.is_ascii_digit());
        if before || !after(8).chars().all(|c| c.is_ascii_digit()) || after(8).len() < 8 {
            continue;
        }
        let moment = after(16);
        if moment.len() == 16 && moment[8..].starts_with('T') && moment.ends_with('Z') {
            all.replace_range(at..at + 16, "20260921T133320Z");
        } else if !after(9).ends_with(|c: char| c.is_ascii_digit()) {
            all.replace_range(at..at + 8, "20260921");
        }
    }
    all
}

fn each(value: &Value, change: &mut impl FnMut(&str) -> String) -> Value {
    match value {
        Value::String(text) => change(text).into(),
        Value::Array(all) => all.iter().map(|one| each(one, change)).collect(),
        Value::Object(fields) => {
            let mut changed = serde_json::Map::new();
            for (name, field) in fields {
                changed.insert(change(name), each(field, change));
            }
            changed.into()
        }
        other => other.clone(),
    }
}

/// Gives every time a written one: of an entry by its place, of an end a week later, of all else the dawn.
fn times(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(times),
        Value::Object(fields) => {
            let seq = fields.get("seq").and_then(Value::as_u64).unwrap_or(0);
            for (name, field) in fields.iter_mut() {
                // What is no time of our century is no time.
                if field
                    .as_u64()
                    .is_some_and(|ms| (1_600_000_000_000..4_100_000_000_000).contains(&ms))
                {
                    *field = match name.as_str() {
                        "sent_at" => json!(DAWN + 1_000 * seq),
                        "expires_at" => json!(DAWN + WEEK),
                        _ => json!(DAWN),
                    };
                } else if name == "revision" {
                    *field = Value::Null;
                } else {
                    times(field);
                }
            }
        }
        _ => {}
    }
}
