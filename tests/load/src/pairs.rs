//! Pairs of people who are online and have begun to talk, each in a direct conversation of their own.

use std::future::Future;
use std::iter::repeat_n;

use petrel_test_client::frames;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::Result;
use crate::device::{Checked, Device, Received, compare};
use crate::ledger::{Ledger, Sent};
use crate::target::Target;

/// Two people.
pub struct Pair {
    /// Their conversation.
    pub conversation: String,
    /// Who writes.
    pub from: Device,
    /// The highest seq that the writer holds.
    pub seen: u64,
    /// What the writer was told.
    pub sent: Sent,
    /// Who reads, and what came.
    pub to: Received,
}

impl Pair {
    /// Brings this many pairs together. Each has a first message behind it: that one opens the conversation, which is
    /// more work than the next.
    pub async fn meet(target: &Target, count: usize, words: &Value) -> Result<Vec<Self>> {
        let name = |n| [target.user("a", n), target.user("b", n)];
        let users: Vec<[String; 2]> = (0..count).map(name).collect();
        let mut devices = Device::connect_all(target, &users.concat()).await?.into_iter();
        let mut pairs = vec![];
        for [a, b] in users {
            let (Some(from), Some(device)) = (devices.next(), devices.next()) else { break };
            let conversation = frames::direct(&a, &b);
            let to = Received { device, ledger: Ledger::new(&conversation, 0) };
            let mut pair = Self { conversation, from, seen: 0, sent: Sent::default(), to };
            pair.exchange(words, 1).await?;
            pairs.push(pair);
        }
        Ok(pairs)
    }

    /// Sends `count` messages in one `send`, and waits until they are stored and have come to the other.
    pub async fn exchange(&mut self, words: &Value, count: usize) -> Result<()> {
        let messages: Vec<_> =
            repeat_n(words, count).map(|w| (frames::new_id(), w.clone())).collect();
        let frame = match &messages[..] {
            [(id, content)] => frames::send(&self.conversation, self.seen, id, content.clone()),
            several => frames::send_several(&self.conversation, self.seen, several),
        };
        self.from.send(&frame).await?;
        let (_, answer) = self.from.wait_for("sent", |_| {}).await?;
        self.seen = self.sent.enter(&answer)?;
        let Received { device, ledger } = &mut self.to;
        while ledger.last() < self.seen {
            let (_, message) = device.wait_for("message", |_| {}).await?;
            ledger.apply(&message);
        }
        Ok(())
    }

    /// Compares what each reader has with what its writer was told.
    pub async fn compare(pairs: Vec<Self>) -> Result<(Checked, Vec<String>)> {
        let (to, sent): (Vec<_>, Vec<_>) = pairs.into_iter().map(|p| (p.to, p.sent)).unzip();
        compare(to.into_iter().zip(&sent)).await
    }
}

/// Runs them all at the same time; the first failure is the result.
pub async fn all_at_once<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    let mut running: JoinSet<_> = tasks.into_iter().collect();
    let mut done = vec![];
    while let Some(ended) = running.join_next().await {
        done.push(ended??);
    }
    Ok(done)
}
