//! As many messages as go through: each pair sends, waits until all of it is stored and has come, and sends again.

use std::time::{Duration, Instant};

use clap::Args;
use petrel_test_client::process::CpuMeter;

use super::{progress, words};
use crate::Result;
use crate::pairs::{Pair, all_at_once};
use crate::report::{Outcome, Row, Times};
use crate::target::Target;

/// How to load.
#[derive(Args, Clone, Debug)]
pub struct ThroughputArgs {
    /// Pairs of people who all write at the same time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub pairs: u64,
    /// Messages that each writer has under way: those of one `send`, as the protocol asks of clients
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10))]
    pub window: u64,
    /// How long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=3_000))]
    pub bytes: u64,
}

/// Runs the load.
pub async fn run(target: &Target, args: &ThroughputArgs) -> Result<Outcome> {
    let ThroughputArgs { pairs, window, seconds, bytes } = *args;
    let settings = format!("{pairs} pairs, window {window}, {bytes} bytes, {seconds} s");
    progress(&format!("throughput: {pairs} pairs meet"));
    let words = words(usize::try_from(bytes)?);
    let people = Pair::meet(target, usize::try_from(pairs)?, &words).await?;

    progress(&format!("throughput: {settings}"));
    let cpu = CpuMeter::start(target.pid);
    let length = Duration::from_secs(seconds);
    let end = Instant::now() + length;
    let count = usize::try_from(window)?;
    let running = people.into_iter().map(|mut pair| {
        let words = words.clone();
        async move {
            let (mut rounds, mut in_time) = (vec![], 0);
            while Instant::now() < end {
                let began = Instant::now();
                pair.exchange(&words, count).await?;
                rounds.push(began.elapsed());
                if Instant::now() <= end {
                    in_time += window;
                }
            }
            Ok((pair, rounds, in_time))
        }
    });
    let done = all_at_once(running).await?;
    let shares = cpu.percent();

    let mut times = Times::new()?;
    let mut messages = 0;
    let mut people = vec![];
    for (pair, rounds, in_time) in done {
        rounds.into_iter().try_for_each(|time| times.add(time))?;
        messages += in_time;
        people.push(pair);
    }
    let (checked, problems) = Pair::compare(people).await?;
    let rate = messages as f64 / length.as_secs_f64();
    let mut rows = vec![
        Row::one("stored and delivered", "messages/s", rate),
        times.row("from a `send` until `sent` and all of it came"),
    ];
    rows.extend(Row::cpu(shares));
    Ok(Outcome { load: "throughput", settings, rows, checked, problems })
}
