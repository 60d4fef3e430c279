//! A device comes back and syncs what was sent while it was away.

use std::time::Instant;

use clap::Args;
use petrel_test_client::frames;

use super::{progress, words};
use crate::Result;
use crate::device::{Checked, Device};
use crate::ledger::{Ledger, Sent};
use crate::report::{Outcome, Times};
use crate::target::Target;

/// Most messages in one `send`.
const BATCH: u64 = 10;

/// How to load.
#[derive(Args, Clone, Debug)]
pub struct CatchupArgs {
    /// Messages that wait, in one conversation
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub messages: u64,
    /// How often the device comes back, each time with nothing in its store
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub rounds: u64,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=3_000))]
    pub bytes: u64,
}

/// Runs the load.
pub async fn run(target: &Target, args: &CatchupArgs) -> Result<Outcome> {
    let CatchupArgs { messages, rounds, bytes } = *args;
    let settings = format!("{messages} messages, {bytes} bytes, {rounds} times");
    let (writer, away) = (target.user("w", 0), target.user("r", 0));
    let conversation = frames::direct(&writer, &away);
    let words = words(usize::try_from(bytes)?);
    progress(&format!("catchup: {messages} messages for someone who is away"));
    let mut from = Device::connect(target, &writer).await?;
    let (mut sent, mut seen) = (Sent::default(), 0);
    while seen < messages {
        let count = BATCH.min(messages - seen);
        let batch: Vec<_> = (0..count).map(|_| (frames::new_id(), words.clone())).collect();
        from.send(&frames::send_several(&conversation, seen, &batch)).await?;
        let (_, answer) = from.wait_for("sent", |_| {}).await?;
        seen = sent.enter(&answer)?;
    }

    progress(&format!("catchup: {settings}"));
    let (mut opened, mut all) = (Times::new()?, Times::new()?);
    let (mut checked, mut problems) = (Checked::default(), vec![]);
    for _ in 0..rounds {
        let mut ledger = Ledger::new(&conversation, 0);
        let began = Instant::now();
        let mut device = Device::connect(target, &away).await?;
        opened.add(began.elapsed())?;
        device.sync_through(&mut ledger).await?;
        all.add(began.elapsed())?;
        let (messages, doubled) = (sent.len() as u64, ledger.doubled);
        checked.add(&Checked { messages, doubled, late: 0 });
        problems.extend(ledger.compare(&sent));
    }
    let rows = vec![
        all.row("from connecting until everything is there"),
        opened.row("of that, until the socket is open"),
    ];
    Ok(Outcome { load: "catchup", settings, rows, checked, problems })
}
