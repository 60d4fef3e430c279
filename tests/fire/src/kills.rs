//! Kills the server at random moments while people write, and starts it again. In the end nothing may be missing.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::check::{self, Books};
use crate::crowd::{Crowd, Plan};
use crate::report::{Report, figures};
use crate::site::{Site, stop};
use crate::{Result, progress};

/// One kill of so many comes while the server starts.
const WHILE_STARTING: u32 = 6;
/// And then not later than this after it was started.
const STARTING: Duration = Duration::from_millis(200);
/// Most time for all that was written to be acknowledged and read.
const PATIENCE: Duration = Duration::from_secs(120);

/// How to kill.
#[derive(Args, Clone, Debug)]
pub struct KillsArgs {
    /// How often
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// People, each with a device
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(2..=50))]
    people: u16,
    /// Messages per second that they write, about
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Longest life of a server, from when it listens
    #[arg(long, default_value_t = 800, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    longest: u64,
    /// At the last kill, put back the database as it was at the first: the run must find what is lost, and end with 1
    #[arg(long)]
    sabotage: bool,
}

/// Runs it.
pub async fn run(site: &Site, args: &KillsArgs, seed: u64) -> Result<Report> {
    let KillsArgs { times, people, rate, longest, sabotage } = *args;
    let began = Instant::now();
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut server = site.start()?;
    let mut addr = server.listening().await?;
    let plan = Plan {
        people: people.into(),
        rate: rate.into(),
        most: 3,
        bytes: 60,
        stays: None,
        seed: dice.u64(..),
    };
    let mut crowd = Crowd::gather(&plan, &addr, site.key()?).await?;
    let copy = tempfile::tempdir()?;
    let (mut starting, mut under_way) = (0, 0);
    let mut copied_at = None;
    for time in 1..=times {
        let sabotaged = sabotage && time == times;
        let early = time > 1 && dice.u32(0..WHILE_STARTING) == 0 && !sabotaged;
        if early {
            sleep_until(Instant::now() + STARTING.mul_f64(dice.f64())).await;
            starting += 1;
        } else {
            if time > 1 {
                addr = server.listening().await?;
                crowd.move_to(Some(&addr));
            }
            let life = Duration::from_millis(longest).mul_f64(dice.f64());
            sleep_until(Instant::now() + life).await;
            if let (true, Some(copied)) = (sabotaged, copied_at) {
                // Without a message since the copy, nothing is lost by putting it back.
                let deadline = Instant::now() + PATIENCE;
                while crowd.tally.acknowledged.get() <= copied && Instant::now() < deadline {
                    sleep_until(Instant::now() + Duration::from_millis(20)).await;
                }
            }
            under_way += u32::from(crowd.tally.pending.get() > 0);
        }
        server.kill().await?;
        crowd.move_to(None);
        if sabotaged {
            site.put_back(copy.path())?;
        } else if sabotage && copied_at.is_none() {
            site.copy_to(copy.path())?;
            copied_at = Some(crowd.tally.acknowledged.get());
        }
        if time % 10 == 0 || time == times {
            let acknowledged = crowd.tally.acknowledged.get();
            progress(&format!("killed {time} times; {acknowledged} messages acknowledged"));
        }
        server = site.start()?;
    }
    addr = server.listening().await?;
    crowd.move_to(Some(&addr));
    let (books, late) = finish_people(&mut crowd).await?;
    let logs = crowd.read_logs(&addr).await?;
    stop(server).await?;
    let (checked, mut problems) = check::check(&logs, &books);
    problems.extend(late);
    if under_way == 0 {
        problems.push("no send was under way at any kill: nothing was tried".to_owned());
    }
    let mut figures = figures(&crowd.tally);
    let numbers = [
        ("conversations", crowd.conversations().into()),
        ("kills", times.into()),
        ("kills_while_starting", starting.into()),
        ("kills_with_sends_under_way", under_way.into()),
    ];
    figures.extend(numbers.map(|(name, value): (_, Value)| (name.to_owned(), value)));
    Ok(Report {
        run: "kills",
        settings: format!("{times} times, {people} people, about {rate} messages/s"),
        seed,
        seconds: began.elapsed().as_secs_f64(),
        figures,
        checked,
        problems,
    })
}

/// Lets everything come to an end on a server that lives, and returns what people have written down.
pub async fn finish_people(crowd: &mut Crowd) -> Result<(Vec<Books>, Option<String>)> {
    let (people, late) = crowd.settle(PATIENCE).await?;
    Ok((people.into_iter().map(Books::from).collect(), late))
}
