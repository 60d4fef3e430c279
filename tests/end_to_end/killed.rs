//! The server is killed while people write. Nothing that was acknowledged is lost, nothing stands twice, and what was
//! under way is sent again until it stands.

use std::cell::Cell;
use std::collections::BTreeSet;

use futures::future::join_all;
use petrel_test_client::{Client, Error, Login, Replica, frames};
use serde_json::Value;
use tokio::sync::Notify;

use crate::look::each;
use crate::server::Server;

/// How many acknowledgements people have got before the server dies, each time.
const DEATHS: [usize; 5] = [1, 40, 7, 80, 25];

/// Counts acknowledgements.
#[derive(Default)]
struct Tally {
    count: Cell<usize>,
    more: Notify,
}

impl Tally {
    fn add(&self) {
        self.count.set(self.count.get() + 1);
        self.more.notify_one();
    }

    async fn reach(&self, count: usize) {
        while self.count.get() < count {
            self.more.notified().await;
        }
    }
}

/// Someone who writes, now one message a frame and now three, one frame at a time.
struct Writer {
    user: String,
    device: Replica,
    /// Sent, and not acknowledged yet.
    pending: Option<Value>,
    composed: Vec<String>,
    /// Id and seq, as `sent` said.
    acknowledged: Vec<(String, u64)>,
}

impl Writer {
    fn new(user: &str) -> Self {
        let (composed, acknowledged) = (vec![], vec![]);
        let user = user.to_owned();
        Self { user, device: Replica::new(), pending: None, composed, acknowledged }
    }

    /// What is to be sent next: what is pending, exactly as it was sent before, or something new.
    fn frame(&mut self, group: &str) -> Value {
        if let Some(pending) = &self.pending {
            return pending.clone();
        }
        let ids: Vec<_> = (0..1 + self.composed.len() % 3).map(|_| frames::new_id()).collect();
        self.composed.extend(ids.iter().cloned());
        let messages: Vec<_> =
            ids.into_iter().map(|id| (id, frames::text("still there?"))).collect();
        let seen = self.device.last(group);
        self.pending.insert(frames::send_several(group, seen, &messages)).clone()
    }

    /// Sends the next frame. Whether it is acknowledged, or the server was busy.
    async fn send(&mut self, client: &mut Client, group: &str) -> Result<bool, Error> {
        let frame = self.frame(group);
        client.try_send(&frame).await?;
        let first = &frame["messages"][0]["message_id"];
        let answer = loop {
            let frame = client.next().await?;
            self.device.apply(&frame);
            let id = frame["results"].get(0).unwrap_or(&frame)["message_id"].clone();
            if id == *first && frame["type"] != "message" {
                break frame;
            }
        };
        let stored = |r: &&Value| r["seq"].is_u64();
        let results = answer["results"].as_array().map_or(&[][..], Vec::as_slice);
        for result in results.iter().filter(stored) {
            let id = result["message_id"].as_str().unwrap().to_owned();
            self.acknowledged.push((id, result["seq"].as_u64().unwrap()));
        }
        let all = results.len() == frame["messages"].as_array().unwrap().len();
        let all = all && results.iter().all(|r| stored(&r));
        if all {
            self.pending = None;
        } else {
            assert_eq!(refusal(&answer), "busy", "{frame} was answered with {answer}");
        }
        Ok(all)
    }

    /// Connects, catches up, and writes until the server is gone.
    async fn write(&mut self, login: Login, group: &str, tally: &Tally) {
        let Ok(mut client) = Client::connect(&login).await else { return };
        if client.try_send(&self.device.sync()).await.is_err() {
            return;
        }
        while let Ok(acknowledged) = self.send(&mut client, group).await {
            if acknowledged {
                tally.add();
            }
        }
    }
}

/// The code of an error, or of the one result that is one.
fn refusal(answer: &Value) -> Value {
    let last = answer["results"].as_array().and_then(|r| r.last());
    last.map_or(&answer["code"], |r| &r["error"]["code"]).clone()
}

/// Reads on, from where the device stands to the head.
async fn catch_up(server: &Server, user: &str, group: &str, device: &mut Replica) {
    let mut client = server.connect(user).await;
    loop {
        let (batches, synced) = client.sync(&device.cursors()).await;
        batches.iter().for_each(|batch| device.apply(batch));
        let head = synced["conversations"][0]["head"].as_u64().unwrap();
        if device.last(group) == head {
            return;
        }
        assert!(!batches.is_empty(), "the log ends at {} of {head}", device.last(group));
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_every_kill_and_what_was_not_is_sent_again_and_stands_once()
{
    let mut server = Server::start().await;
    let mut writers = ["ana", "bo", "cy", "di"].map(Writer::new);
    let group = server.found("ana", &["bo", "cy", "di"].map(str::to_owned)).await;
    // This device lives on through every kill: what it holds can never change its place.
    let mut reader = Replica::new();

    for acknowledgements in DEATHS {
        let tally = Tally::default();
        let logins: Vec<_> = writers.iter().map(|w| server.login(&w.user)).collect();
        let writing =
            writers.iter_mut().zip(logins).map(|(w, login)| w.write(login, &group, &tally));
        let kill = async {
            tally.reach(acknowledgements).await;
            server.kill().await;
        };
        tokio::join!(join_all(writing), kill);
        server.start_again().await;

        catch_up(&server, "ana", &group, &mut reader).await;
        let stored = reader.ids(&group);
        for (id, seq) in writers.iter().flat_map(|w| &w.acknowledged) {
            let at = usize::try_from(seq - 1).unwrap();
            assert_eq!(stored.get(at), Some(&id.as_str()), "acknowledged at {seq}");
        }
        let distinct: BTreeSet<_> = stored.iter().collect();
        assert_eq!(distinct.len(), stored.len(), "no message stands twice");
    }

    for writer in &mut writers {
        let mut client = server.connect(&writer.user).await;
        while writer.pending.is_some() {
            writer.send(&mut client, &group).await.unwrap();
        }
    }
    catch_up(&server, "ana", &group, &mut reader).await;
    for writer in &writers {
        let entries = reader.entries(&group)[1..].iter();
        let stored = entries.filter(|e| e["sender_id"] == *writer.user).cloned().collect();
        let composed = Value::from(writer.composed.clone());
        assert_eq!(each(&stored, "/message_id"), composed, "all that {} wrote, once", writer.user);
    }
}

#[tokio::test]
async fn who_was_away_during_the_kill_finds_everything() {
    let mut server = Server::start().await;
    let mut ana = server.connect("ana").await;
    for seen in 0..5 {
        ana.say("d:ana:bo", seen, "for bo").await;
    }
    server.kill().await;
    server.start_again().await;
    let mut device = Replica::new();
    catch_up(&server, "bo", "d:ana:bo", &mut device).await;
    assert_eq!(device.last("d:ana:bo"), 5);
}
