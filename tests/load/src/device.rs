//! One device of one person: a socket whose mistakes are errors, not panics.

use std::time::Instant;

use futures::stream::{self, StreamExt, TryStreamExt};
use petrel_test_client::client::PATIENCE;
use petrel_test_client::{Client, Incoming, Outgoing, frames};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::Result;
use crate::ledger::{Ledger, Sent};
use crate::target::Target;

/// Sockets that are opened, or asked something, at the same time.
const AT_ONCE: usize = 32;

/// A device with an open socket.
#[derive(Debug)]
pub struct Device {
    outgoing: Outgoing,
    incoming: Incoming,
}

impl Device {
    /// Opens a socket for this person.
    pub async fn connect(target: &Target, user: &str) -> Result<Self> {
        let login = target.login(user).await?;
        let opened = timeout(PATIENCE, Client::connect(&login)).await;
        let opened = opened.map_err(|_| format!("{user} waited for a socket"))?;
        let client = opened.map_err(|error| format!("{user} got no socket: {error}"))?;
        let (outgoing, incoming) = client.split();
        Ok(Self { outgoing, incoming })
    }

    /// Opens a socket for each of them, in this order.
    pub async fn connect_all(target: &Target, users: &[String]) -> Result<Vec<Self>> {
        // Collected first: the compiler does not follow a borrowing closure through a buffered stream.
        let opening: Vec<_> = users.iter().map(|user| Self::connect(target, user)).collect();
        stream::iter(opening).buffered(AT_ONCE).try_collect().await
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) -> Result<()> {
        Ok(self.outgoing.send(frame).await?)
    }

    /// The next frame, unread, and when it came.
    pub async fn next(&mut self) -> Result<(Instant, String)> {
        let text = self.incoming.next_text().await?;
        Ok((Instant::now(), text.as_str().to_owned()))
    }

    /// Waits for the frame of this type and gives every other to `other`. An error is a failure.
    pub async fn wait_for(
        &mut self,
        kind: &str,
        mut other: impl FnMut(&Value),
    ) -> Result<(Instant, Value)> {
        loop {
            let next = timeout(PATIENCE, self.next()).await;
            let (at, text) = next.map_err(|_| format!("waited for `{kind}` in vain"))??;
            let frame: Value = serde_json::from_str(&text)?;
            if frame["type"] == kind {
                return Ok((at, frame));
            }
            // A frame without a type is the gateway's own: it could not reach the function behind it.
            if frame["type"] == "error" || frame["type"].is_null() {
                return Err(format!("waited for `{kind}`; this came: {frame}").into());
            }
            other(&frame);
        }
    }

    /// Syncs until the ledger holds everything, and returns the head. It is 0 if there is no such conversation.
    pub async fn sync_through(&mut self, ledger: &mut Ledger) -> Result<u64> {
        loop {
            let before = ledger.last();
            let conversation = ledger.conversation().to_owned();
            self.send(&frames::sync(&json!({ &conversation: before }))).await?;
            let (_, synced) = self.wait_for("synced", |frame| ledger.apply(frame)).await?;
            let all = synced["conversations"].as_array().map_or(&[][..], Vec::as_slice);
            let Some(state) = all.iter().find(|c| c["id"] == conversation.as_str()) else {
                return Ok(0);
            };
            let numbers = (state["head"].as_u64(), state["sent_through"].as_u64());
            let (Some(head), Some(through)) = numbers else {
                return Err(format!("a conversation without its numbers: {synced}").into());
            };
            if through >= head {
                return Ok(head);
            }
            if ledger.last() == before {
                return Err(format!("a sync that gets no further than {before} of {head}").into());
            }
        }
    }
}

/// A device, what came to it, and what should have.
pub struct Received {
    /// The device.
    pub device: Device,
    /// What came.
    pub ledger: Ledger,
}

/// What was compared, over all devices of a load.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Checked {
    /// Messages that had to come, over all receivers.
    pub messages: u64,
    /// Entries that came more than once. Allowed: a client drops them.
    pub doubled: u64,
    /// Messages that no push brought, only a sync. Allowed, and slow.
    pub late: u64,
}

impl Checked {
    /// Adds what another found.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.doubled += other.doubled;
        self.late += other.late;
    }
}

/// Lets each device sync what no push has brought, then compares what came with what was sent.
pub async fn compare(
    received: impl IntoIterator<Item = (Received, &Sent)>,
) -> Result<(Checked, Vec<String>)> {
    let comparing: Vec<_> = received
        .into_iter()
        .map(|(Received { mut device, mut ledger }, sent)| async move {
            let pushed = ledger.len();
            device.sync_through(&mut ledger).await?;
            let checked = Checked {
                messages: sent.len() as u64,
                doubled: ledger.doubled,
                late: (ledger.len() - pushed) as u64,
            };
            Ok::<_, crate::Failure>((checked, ledger.compare(sent)))
        })
        .collect();
    let found: Vec<_> = stream::iter(comparing).buffer_unordered(AT_ONCE).try_collect().await?;
    let mut all = (Checked::default(), vec![]);
    for (checked, problems) in found {
        all.0.add(&checked);
        all.1.extend(problems);
    }
    Ok(all)
}
