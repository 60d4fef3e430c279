//! Mixed load for a long time: messages to groups and neighbours, acks, syncs, sockets that come and go, and a few people
//! who do all the rest that clients do. Memory must stay level, and nothing may be open afterwards that was not before.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::crowd::{Crowd, Plan};
use crate::kills::finish_people;
use crate::others::Others;
use crate::report::{Report, Spread, figures};
use crate::samples::{Sample, sample, slope};
use crate::site::{Site, state, stop};
use crate::{Result, check, progress};

/// Most time for the last sockets to be gone after everyone has left.
const GONE: Duration = Duration::from_secs(60);
/// What memory may grow by after the first third, when everyone has come and every buffer has been used: this much of it, ...
const GROWTH: f64 = 1.25;
/// ... and so many MiB, for short runs.
const SLACK_MIB: f64 = 16.0;

/// How fast it may grow after the first third of a run that is long enough for a slope to say something, MiB per hour: what
/// is kept per message would show, and what has not settled by then (SQLite's cache, the allocator) does not matter.
const SLOPE_MIB_PER_HOUR: f64 = 30.0;
/// That long, s.
const LONG: u32 = 600;
/// Long enough for every kind of act, s.
const ALL_ACTS: u32 = 60;

/// How to soak.
#[derive(Args, Clone, Debug)]
pub struct SoakArgs {
    /// How long
    #[arg(long, default_value_t = 1_800, value_parser = clap::value_parser!(u32).range(10..=86_400))]
    seconds: u32,
    /// People, each with a device
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(2..=50))]
    people: u16,
    /// Messages per second that they write, about
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Everyone leaves and comes back after about so long
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    stays: u64,
    /// People beside them who do the rest that clients do (groups, invites, files, edits, presence ...), one act a second
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(0..=20))]
    others: u8,
    /// Looks at what the server takes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(6..=10_000))]
    samples: u32,
}

/// Runs it.
pub async fn run(site: &Site, args: &SoakArgs, seed: u64) -> Result<Report> {
    let SoakArgs { seconds, people, rate, stays, others, samples: looks } = *args;
    // Soon, so that none is still to come when everyone has left.
    let mut server = site.start_with(&["--push-delay", "1"])?;
    let addr = server.listening().await?;
    let plan = Plan {
        people: people.into(),
        rate: rate.into(),
        most: 3,
        bytes: 100,
        stays: Some(Duration::from_secs(stays)),
        seed,
    };
    let before = sample(server.pid(), &addr, 0.0, 0).await?;
    let mut crowd = Crowd::gather(&plan, &addr, site.key()?).await?;
    let beside = Others::gather(others.into(), &addr, &site.key()?, seed);
    let began = Instant::now();
    let step = Duration::from_secs(seconds.into()) / looks;
    let (mut sent, mut delivered) = (Spread::new()?, Spread::new()?);
    let mut samples = vec![];
    for look in 1..=looks {
        sleep_until(began + step * look).await;
        let times = crowd.tally.take_times();
        sent.add(&times.sent)?;
        delivered.add(&times.delivered)?;
        let acknowledged = crowd.tally.acknowledged.get();
        let at = began.elapsed().as_secs_f64();
        let taken = sample(server.pid(), &addr, at, acknowledged).await?;
        if look % (looks / 6) == 0 {
            let Sample { at_s, rss_mib, sockets, .. } = &taken;
            progress(&format!(
                "{at_s:.0} s: {acknowledged} messages acknowledged, {rss_mib} MiB, {sockets} sockets"
            ));
        }
        samples.push(taken);
    }
    let beside = beside.finish().await;
    let (books, late) = finish_people(&mut crowd).await?;
    let logs = crowd.read_logs(&addr).await?;
    gone(&addr).await?;
    let after = settled(&before, async || {
        let at = began.elapsed().as_secs_f64();
        sample(server.pid(), &addr, at, crowd.tally.acknowledged.get()).await
    });
    let after = after.await?;
    stop(server).await?;
    let rows = site.connection_rows().await?;

    let (checked, mut problems) = check::check(&logs, &books);
    problems.extend(late);
    if others > 0 && seconds >= ALL_ACTS {
        problems.extend(beside.left_out());
    }
    problems.extend(beside.problems);
    problems.extend(left_behind(&before, &after, rows));
    let late = &samples[samples.len() / 3..];
    let (first, last) = (late.first().map_or(0.0, |s| s.rss_mib), after.rss_mib);
    if last > first * GROWTH + SLACK_MIB {
        problems.push(format!("memory grew from {first} to {last} MiB after the first third"));
    }
    problems.extend(too_steep(seconds, slope(late)));
    let mut figures = figures(&crowd.tally);
    let highest = samples.iter().map(|s| s.rss_mib).fold(0.0, f64::max);
    let numbers = [
        ("conversations", json!(crowd.conversations())),
        ("acts", json!(beside.acts)),
        ("acts_told_to_wait", json!(beside.told_to_wait)),
        ("files_read_back_in_the_end", json!(beside.files)),
        ("until_sent", sent.figure()),
        ("until_delivered_by_push", delivered.figure()),
        ("rss_mib_before", json!(before.rss_mib)),
        ("rss_mib_after_a_third", json!(first)),
        ("rss_mib_highest", json!(highest)),
        ("rss_mib_after", json!(last)),
        ("rss_slope_mib_per_hour_after_a_third", json!((slope(late) * 10.0).round() / 10.0)),
        ("open_files_before_and_after", json!(format!("{} and {}", before.files, after.files))),
        ("sockets_before_and_after", json!(format!("{} and {}", before.sockets, after.sockets))),
        ("connection_rows_after", json!(rows)),
        ("samples", json!(samples)),
    ];
    figures.extend(numbers.map(|(name, value)| (name.to_owned(), value)));
    Ok(Report {
        run: "soak",
        settings: format!(
            "{seconds} s, {people} people who leave after about {stays} s and come back, about {rate} messages/s, and {others} who do the rest"
        ),
        seed,
        seconds: began.elapsed().as_secs_f64(),
        figures,
        checked,
        problems,
    })
}

/// Memory that does not stay level, in a run that is long enough.
fn too_steep(seconds: u32, slope: f64) -> Option<String> {
    (seconds >= LONG && slope > SLOPE_MIB_PER_HOUR)
        .then(|| format!("memory grows by {slope:.0} MiB an hour after the first third"))
}

/// What is still there although nobody is.
fn left_behind(before: &Sample, after: &Sample, rows: usize) -> Vec<String> {
    let table = [
        ("open files", before.files as u64, after.files as u64),
        ("sockets", before.sockets as u64, after.sockets as u64),
        ("jobs", before.jobs, after.jobs),
        ("dead jobs", before.dead_jobs, after.dead_jobs),
        ("bytes for readers", before.waiting_bytes, after.waiting_bytes),
        ("invocations", before.under_way, after.under_way),
        ("connection rows", 0, rows as u64),
    ];
    let left = table.into_iter().filter(|(_, before, after)| after > before);
    left.map(|(what, before, after)| format!("{what}: {before} before, {after} left")).collect()
}

/// The last look: again and again until nothing is left behind, for the sockets by which the looks before it came may still
/// be closing. What has not gone by the deadline does not go.
async fn settled(before: &Sample, look: impl AsyncFn() -> Result<Sample>) -> Result<Sample> {
    let deadline = Instant::now() + GONE;
    loop {
        let after = look().await?;
        if left_behind(before, &after, 0).is_empty() || Instant::now() > deadline {
            return Ok(after);
        }
        sleep_until(Instant::now() + Duration::from_millis(50)).await;
    }
}

/// Waits until the server has let everyone go and has nothing to do.
async fn gone(addr: &str) -> Result<()> {
    let deadline = Instant::now() + GONE;
    loop {
        let state = state(addr).await?;
        let nobody = state["connections"] == 0 && state["queues"]["fanout"]["messages"] == 0;
        if nobody {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("everyone has left, and this is still there: {state}").into());
        }
        sleep_until(Instant::now() + Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_all_the_while_is_found_in_a_long_run() {
        assert_eq!(too_steep(LONG, SLOPE_MIB_PER_HOUR), None);
        let says = "memory grows by 31 MiB an hour after the first third".to_owned();
        assert_eq!(too_steep(LONG, SLOPE_MIB_PER_HOUR + 1.0), Some(says));
        assert_eq!(too_steep(LONG - 1, 10.0 * SLOPE_MIB_PER_HOUR), None, "too short to tell");
    }

    #[test]
    fn whatever_is_left_is_named() {
        let before = Sample {
            at_s: 0.0,
            rss_mib: 50.0,
            files: 10,
            sockets: 2,
            connections: 0,
            jobs: 0,
            dead_jobs: 0,
            waiting_bytes: 0,
            under_way: 0,
            acknowledged: 0,
        };
        assert_eq!(left_behind(&before, &before, 0), [""; 0]);
        let after = Sample { files: 12, sockets: 3, jobs: 1, ..before.clone() };
        let left = left_behind(&before, &after, 4);
        let expected = ["open files: 10 before, 12 left", "sockets: 2 before, 3 left"];
        assert_eq!(left[..2], expected);
        assert_eq!(left[2..], ["jobs: 0 before, 1 left", "connection rows: 0 before, 4 left"]);
    }
}
