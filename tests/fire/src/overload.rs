//! More at the same time than the server handles. Whoever is turned away is told when to come again, and when the load is
//! gone everyone is answered. Nothing that was acknowledged may be missing.

use std::time::Duration;

use clap::Args;
use petrel_test_client::Rest;
use petrel_test_client::rest::Answer;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::crowd::{Crowd, Plan};
use crate::kills::finish_people;
use crate::report::{Report, figures};
use crate::site::{Key, Site, state, stop};
use crate::{Result, check, progress};

/// Most time for each thing that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where a request over HTTP goes while the server is overloaded.
const PATH: &str = "/api/conversations";

/// How to overload.
#[derive(Args, Clone, Debug)]
pub struct OverloadArgs {
    /// What the server handles at the same time
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// People, each with a device
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(2..=50))]
    people: u16,
    /// Messages per second that they write, about
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Goes on until so many frames and requests have been turned away, and ...
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    refusals: u64,
    /// ... so many messages have been acknowledged
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
}

/// What the server says of itself.
struct Inside {
    refused: u64,
    under_way: u64,
    jobs: u64,
    dead: u64,
    waiting_bytes: u64,
}

impl Inside {
    async fn look(addr: &str) -> Result<Self> {
        let state = state(addr).await?;
        let number = |place: &str| {
            let number = state.pointer(place).and_then(Value::as_u64);
            number.ok_or_else(|| format!("no {place} in {state}"))
        };
        Ok(Self {
            refused: number("/invocations/refused")?,
            under_way: number("/invocations/under_way")?,
            jobs: number("/queues/fanout/messages")?,
            dead: number("/queues/fanout/dead")? + number("/queues/push/dead")?,
            waiting_bytes: number("/waiting_bytes")?,
        })
    }
}

/// Runs it.
pub async fn run(site: &Site, args: &OverloadArgs, seed: u64) -> Result<Report> {
    let OverloadArgs { concurrency, people, rate, refusals, messages } = *args;
    let began = Instant::now();
    let mut server = site.start_with(&["--concurrency", &concurrency.to_string()])?;
    let addr = server.listening().await?;
    let plan =
        Plan { people: people.into(), rate: rate.into(), most: 3, bytes: 100, stays: None, seed };
    let mut crowd = Crowd::gather(&plan, &addr, site.key()?).await?;
    let tally = crowd.tally.clone();

    // One more over HTTP, all the while.
    let mut caller = Caller::new(&addr, &site.key()?);
    let deadline = Instant::now() + PATIENCE;
    let loaded = loop {
        caller.call().await?;
        let inside = Inside::look(&addr).await?;
        let enough = inside.refused >= refusals && tally.acknowledged.get() >= messages;
        if enough && caller.refused > 0 || Instant::now() > deadline {
            break inside;
        }
    };
    let (took, then) = (began.elapsed(), tally.acknowledged.get());
    progress(&format!("{} were turned away; {then} messages are acknowledged", loaded.refused));
    let mut problems = std::mem::take(&mut caller.problems);
    if loaded.refused < refusals || then < messages || caller.refused == 0 {
        problems.push(format!(
            "in {PATIENCE:?} {} were turned away, {} of them over HTTP, and {then} messages acknowledged: this is no overload",
            loaded.refused, caller.refused
        ));
    }
    // Nobody is turned away without a word. The last ones may still be reading it.
    let told = || tally.busy.get() + caller.refused;
    let deadline = Instant::now() + PATIENCE;
    while told() < loaded.refused && Instant::now() < deadline {
        sleep_until(Instant::now() + Duration::from_millis(20)).await;
    }
    if told() < loaded.refused {
        problems.push(format!("{} were turned away, and {} told so", loaded.refused, told()));
    }

    let (books, late) = finish_people(&mut crowd).await?;
    problems.extend(late);
    // The load is gone: everyone who comes now is answered.
    let quiet = Inside::look(&addr).await?;
    let logs = crowd.read_logs(&addr).await?;
    let after = settled(&addr).await?;
    let left = [
        ("turned away after the load was gone", after.refused - quiet.refused),
        ("invocations under way", after.under_way),
        ("jobs", after.jobs),
        ("dead jobs", after.dead),
        ("bytes for readers", after.waiting_bytes),
    ];
    let left = left.into_iter().filter(|(_, number)| *number > 0);
    problems.extend(left.map(|(what, number)| format!("{what}: {number}")));
    stop(server).await?;
    let (checked, broken) = check::check(&logs, &books);
    problems.extend(broken);
    let mut figures = figures(&tally);
    let numbers: [(&str, Value); 5] = [
        ("turned_away_as_the_server_counts", after.refused.into()),
        ("told_so_over_http", caller.refused.into()),
        ("answered_over_http_meanwhile", caller.answered.into()),
        ("seconds_of_overload", ((took.as_secs_f64() * 10.0).round() / 10.0).into()),
        ("acknowledged_under_overload", then.into()),
    ];
    figures.extend(numbers.map(|(name, value)| (name.to_owned(), value)));
    Ok(Report {
        run: "overload",
        settings: format!(
            "{concurrency} at the same time, {people} people, about {rate} messages/s"
        ),
        seed,
        seconds: began.elapsed().as_secs_f64(),
        figures,
        checked,
        problems,
    })
}

/// Someone who asks over HTTP, again and again.
struct Caller {
    rest: Rest,
    token: String,
    answered: u64,
    refused: u64,
    problems: Vec<String>,
}

impl Caller {
    fn new(addr: &str, key: &Key) -> Self {
        let (rest, token) = (Rest::new(&format!("http://{addr}")), key.token("p0"));
        Self { rest, token, answered: 0, refused: 0, problems: vec![] }
    }

    async fn call(&mut self) -> Result<()> {
        let answer = self.rest.ask_as(&self.token, PATH).await?;
        match answer.status {
            200 => self.answered += 1,
            503 if says_until_when(&answer) => self.refused += 1,
            _ => self.problems.push(format!("GET {PATH} was answered with {answer:?}")),
        }
        Ok(())
    }
}

/// In the body and, for whoever reads none, in the header: in whole seconds, not earlier.
fn says_until_when(Answer { retry_after, body, .. }: &Answer) -> bool {
    let ms = body["retry_after_ms"].as_u64();
    body["code"] == "busy" && ms.is_some() && *retry_after == ms.map(|ms| ms.div_ceil(1_000))
}

/// Waits until the server has nothing to do, as far as it comes to that.
async fn settled(addr: &str) -> Result<Inside> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Inside { under_way, jobs, waiting_bytes, .. } = Inside::look(addr).await?;
        if under_way + jobs + waiting_bytes == 0 || Instant::now() > deadline {
            return Inside::look(addr).await;
        }
        sleep_until(Instant::now() + Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_says_until_when_in_the_body_and_in_the_header() {
        let answer = |retry_after, body| Answer { status: 503, retry_after, body };
        let body = || json!({"type": "error", "code": "busy", "retry_after_ms": 1_200});
        assert!(says_until_when(&answer(Some(2), body())));
        assert!(!says_until_when(&answer(Some(1), body())), "too early");
        assert!(!says_until_when(&answer(None, body())));
        assert!(!says_until_when(&answer(None, json!({"code": "busy"}))));
        assert!(!says_until_when(&answer(
            Some(2),
            json!({"code": "other", "retry_after_ms": 2000})
        )));
    }
}
