//! One message to a group, all of whose members are online.

use std::time::{Duration, Instant};

use clap::Args;
use petrel_test_client::frames;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{progress, words};
use crate::Result;
use crate::device::{Device, Received, compare};
use crate::ledger::{Ledger, Sent};
use crate::report::{Outcome, Times};
use crate::target::Target;

/// Most time for a message to reach everyone. What comes later counts as lost by push.
const GRACE: Duration = Duration::from_secs(30);

/// How to load.
#[derive(Args, Clone, Debug)]
pub struct FanoutArgs {
    /// Members of the group, with the sender. Above 32 others, delivery goes through the queue
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(2..=1_000))]
    pub members: u64,
    /// Messages, each sent when all have the one before
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub messages: u64,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=16_384))]
    pub bytes: u64,
}

/// A frame that came to a member, by number; 0 is the sender.
type Arrival = (usize, Instant, String);

/// Runs the load.
pub async fn run(target: &Target, args: &FanoutArgs) -> Result<Outcome> {
    let FanoutArgs { members, messages, bytes } = *args;
    let settings = format!("{members} members, {messages} messages, {bytes} bytes");
    let users: Vec<_> = (0..usize::try_from(members)?).map(|n| target.user("m", n)).collect();
    progress(&format!("fanout: {members} found a group and open their sockets"));
    let (creator, others) = users.split_first().ok_or("a group without members")?;
    let token = target.token(creator).await?;
    let group = target.rest.found(&token, "load", others).await?;
    let mut devices = Device::connect_all(target, &users).await?.into_iter();
    let mut sender = devices.next().ok_or("a group without members")?;
    let mut before = Ledger::new(&group, 0);
    let mut seen = sender.sync_through(&mut before).await?;

    progress(&format!("fanout: {settings}"));
    let receivers = devices.len();
    let ledger = || Ledger::new(&group, seen);
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(());
    let mut listening = JoinSet::new();
    for (number, device) in devices.enumerate() {
        let to = Received { device, ledger: ledger() };
        listening.spawn(listen(number + 1, to, arrived.clone(), stopped.clone()));
    }
    let mut sent = Sent::default();
    let (mut answered, mut first, mut median, mut last) =
        (Times::new()?, Times::new()?, Times::new()?, Times::new()?);
    let words = words(usize::try_from(bytes)?);
    let mut kept = vec![];
    for _ in 0..messages {
        let id = frames::new_id();
        let frame = frames::send(&group, seen, &id, words.clone());
        let began = Instant::now();
        sender.send(&frame).await?;
        let coming = gather(&id, receivers, &mut arrivals, &mut kept);
        let (answer, came) = tokio::join!(sender.wait_for("sent", |_| {}), coming);
        let (at, answer) = answer?;
        answered.add(at - began)?;
        seen = sent.enter(&answer)?;
        let since = |at: Option<&Instant>| at.map(|at| at.saturating_duration_since(began));
        for (times, at) in [
            (&mut first, came.first()),
            (&mut median, came.get(came.len() / 2)),
            (&mut last, came.last()),
        ] {
            since(at).into_iter().try_for_each(|time| times.add(time))?;
        }
    }
    drop(stop);
    let mut readers = vec![];
    while let Some(ended) = listening.join_next().await {
        readers.push(ended??);
    }
    readers.sort_by_key(|(number, _)| *number);
    while let Ok(arrival) = arrivals.try_recv() {
        kept.push(arrival);
    }
    for (number, _, text) in &kept {
        if let Some((_, reader)) = readers.get_mut(number - 1) {
            reader.ledger.apply(&serde_json::from_str(text)?);
        }
    }
    let (checked, problems) = compare(readers.into_iter().map(|(_, r)| (r, &sent))).await?;
    let rows = vec![
        first.row("until the first member has it"),
        median.row("until half of the members have it"),
        last.row("until the last member has it"),
        answered.row("until `sent`"),
    ];
    Ok(Outcome { load: "fanout", settings, rows, checked, problems })
}

/// Notes when each frame comes to a member, until it is told to stop.
async fn listen(
    number: usize,
    mut to: Received,
    arrived: mpsc::UnboundedSender<Arrival>,
    mut stop: watch::Receiver<()>,
) -> Result<(usize, Received)> {
    loop {
        tokio::select! {
            biased;
            frame = to.device.next() => {
                let (at, text) = frame?;
                arrived.send((number, at, text))?;
            }
            // The other end was dropped.
            _ = stop.changed() => return Ok((number, to)),
        }
    }
}

/// Waits until every receiver has the message, and returns when each had, in order. Frames are kept as they are:
/// reading them all would hold up those that are still to come.
async fn gather(
    id: &str,
    receivers: usize,
    arrivals: &mut mpsc::UnboundedReceiver<Arrival>,
    kept: &mut Vec<Arrival>,
) -> Vec<Instant> {
    let mut came = vec![None; receivers + 1];
    let mut missing = receivers;
    let everyone = async {
        while missing > 0
            && let Some(arrival) = arrivals.recv().await
        {
            let (number, at, text) = &arrival;
            if text.contains(id) && came[*number].is_none() {
                came[*number] = Some(*at);
                missing -= 1;
            }
            kept.push(arrival);
        }
    };
    // Who misses it gets it by sync afterwards, and is counted.
    let _ = timeout(GRACE, everyone).await;
    let mut came: Vec<Instant> = came.into_iter().flatten().collect();
    came.sort();
    came
}
