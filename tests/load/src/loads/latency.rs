//! Messages at a steady rate, whatever the server does: each time counts from the moment at which its message was due,
//! not from when the tool got round to sending it. So a server that stalls pays for all that was due meanwhile.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use petrel_test_client::frames;
use petrel_test_client::process::CpuMeter;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{progress, words};
use crate::Result;
use crate::device::{Device, Received, compare};
use crate::ledger::Sent;
use crate::pairs::{Pair, all_at_once};
use crate::report::{Outcome, Row, Times};
use crate::target::Target;

/// Time between the setup and the first message.
const LEAD: Duration = Duration::from_millis(100);
/// How long a reader waits for what is missing after its writer is done.
const GRACE: Duration = Duration::from_secs(5);

/// How to load.
#[derive(Args, Clone, Debug)]
pub struct LatencyArgs {
    /// Messages per second, over all pairs
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub rate: u64,
    /// Pairs of people who take turns
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub pairs: u64,
    /// How long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=16_384))]
    pub bytes: u64,
}

/// What a writer notes.
struct Written {
    /// By message id, when it was due.
    due: HashMap<String, Instant>,
    sent: Sent,
    /// From due to `sent`.
    acknowledged: Vec<Duration>,
    /// From due to written, where the writer was free: what the tool itself adds to every time.
    own: Vec<Duration>,
}

/// Runs the load.
pub async fn run(target: &Target, args: &LatencyArgs) -> Result<Outcome> {
    let LatencyArgs { rate, pairs, seconds, bytes } = *args;
    let settings = format!("{rate}/s over {pairs} pairs, {bytes} bytes, {seconds} s");
    progress(&format!("latency: {pairs} pairs meet"));
    let words = words(usize::try_from(bytes)?);
    let people = Pair::meet(target, usize::try_from(pairs)?, &words).await?;

    progress(&format!("latency: {settings}"));
    let total = rate * seconds;
    let mut ticks = vec![];
    let mut running = vec![];
    for (turn, pair) in people.into_iter().enumerate() {
        let (tick, due) = mpsc::unbounded_channel();
        ticks.push(tick);
        // Turns 0, pairs, 2 pairs … of the total are this pair's.
        let expected = total.saturating_sub(turn as u64).div_ceil(pairs);
        running.push(talk(pair, due, usize::try_from(expected)?, words.clone()));
    }
    let cpu = CpuMeter::start(target.pid);
    let first = Instant::now() + LEAD;
    // A thread of its own: the runtime's timer only counts whole milliseconds.
    let pacing = thread::spawn(move || pace(first, rate, total, &ticks));
    let done = all_at_once(running).await;
    let shares = cpu.percent();
    pacing.join().map_err(|_| "the pacing thread panicked")?;

    let (mut delivered, mut acknowledged, mut own) = (Times::new()?, Times::new()?, Times::new()?);
    let (mut readers, mut sent) = (vec![], vec![]);
    for (written, arrivals, mut to) in done? {
        written.acknowledged.iter().try_for_each(|time| acknowledged.add(*time))?;
        written.own.iter().try_for_each(|time| own.add(*time))?;
        for (at, text) in arrivals {
            let frame: Value = serde_json::from_str(&text)?;
            let due = frame["message_id"].as_str().and_then(|id| written.due.get(id));
            // Only the first time that it came counts.
            let before = to.ledger.len();
            to.ledger.apply(&frame);
            if let (Some(due), true) = (due, to.ledger.len() > before) {
                delivered.add(at.saturating_duration_since(*due))?;
            }
        }
        readers.push(to);
        sent.push(written.sent);
    }
    let (checked, problems) = compare(readers.into_iter().zip(&sent)).await?;
    let mut rows = vec![
        delivered.row("from due until the peer has it"),
        acknowledged.row("from due until `sent`"),
        own.row("of that, late by the load tool itself"),
    ];
    rows.extend(Row::cpu(shares));
    Ok(Outcome { load: "latency", settings, rows, checked, problems })
}

/// Tells each writer in turn when its next message is due.
fn pace(first: Instant, rate: u64, total: u64, ticks: &[mpsc::UnboundedSender<Instant>]) {
    for (turn, tick) in (0..total).zip(ticks.iter().cycle()) {
        // From the first, so that no error adds up.
        let due = first + Duration::from_nanos(turn * 1_000_000_000 / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // A writer that failed listens no more; the failure is told elsewhere.
        let _ = tick.send(due);
    }
}

type Arrivals = Vec<(Instant, String)>;

/// Lets one of a pair write and the other read, each in a task of its own.
async fn talk(
    pair: Pair,
    due: mpsc::UnboundedReceiver<Instant>,
    expected: usize,
    words: Value,
) -> Result<(Written, Arrivals, Received)> {
    let Pair { conversation, from, seen, sent, to } = pair;
    let (done, over) = oneshot::channel();
    let reading = tokio::spawn(read(to, expected, over));
    let written = write(from, due, &conversation, seen, sent, &words).await;
    // Also after a failure, so that the reader ends.
    drop(done);
    let (arrivals, to) = reading.await??;
    Ok((written?, arrivals, to))
}

async fn write(
    mut from: Device,
    mut due: mpsc::UnboundedReceiver<Instant>,
    conversation: &str,
    mut seen: u64,
    sent: Sent,
    words: &Value,
) -> Result<Written> {
    let mut written = Written { due: HashMap::new(), sent, acknowledged: vec![], own: vec![] };
    let mut free = Instant::now();
    while let Some(due) = due.recv().await {
        let id = frames::new_id();
        let frame = frames::send(conversation, seen, &id, words.clone());
        if due >= free {
            written.own.push(due.elapsed());
        }
        written.due.insert(id, due);
        from.send(&frame).await?;
        // One at a time, as the protocol asks of clients; the next one's time runs meanwhile.
        let (at, answer) = from.wait_for("sent", |_| {}).await?;
        free = at;
        written.acknowledged.push(at.saturating_duration_since(due));
        seen = written.sent.enter(&answer)?;
    }
    Ok(written)
}

/// Notes when each frame comes, and reads none before the load is over.
async fn read(
    mut to: Received,
    expected: usize,
    over: oneshot::Receiver<()>,
) -> Result<(Arrivals, Received)> {
    let mut arrivals = Vec::with_capacity(expected);
    let patience = async {
        let _ = over.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::pin!(patience);
    while arrivals.len() < expected {
        tokio::select! {
            biased;
            arrived = to.device.next() => arrivals.push(arrived?),
            () = &mut patience => break,
        }
    }
    Ok((arrivals, to))
}
