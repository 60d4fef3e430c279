//! A few people beside the crowd, who do what a client does beside texts, one act after the other until they are told to
//! stop. Each has two companions for whom he asks too, where an act takes another; what they write stands in conversations
//! of their own, so that the crowd's books stay exact.

mod acts;

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use fastrand::Rng;
use petrel_test_client::client::{Error, PATIENCE};
use petrel_test_client::{Client, Login, Rest, frames};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::acts::Act;
use crate::Result;
use crate::site::Key;

/// From one act to the next, ms: about a second.
const PAUSE_MS: std::ops::Range<u64> = 500..1_500;
/// The last of them have companions too, who do nothing by themselves.
const COMPANIONS: usize = 2;
/// Most times that one request is told to come again.
const TRIES: usize = 20;

/// Those of a run.
pub struct Others {
    stop: watch::Sender<bool>,
    living: JoinSet<Done>,
}

/// What they, or one of them, have done.
#[derive(Debug, Default)]
pub struct Done {
    /// How often each kind of act was done.
    pub acts: BTreeMap<&'static str, u64>,
    /// Files that were read back in the end.
    pub files: usize,
    /// How often they were told `busy` or `rate_limited`, and until when.
    pub told_to_wait: u64,
    /// Every answer that the protocol does not promise.
    pub problems: Vec<String>,
}

impl Done {
    /// The kinds of act that nobody did, as problems of a run that had the time for all.
    pub fn left_out(&self) -> Vec<String> {
        let never = Act::ALL.iter().filter(|(_, name)| !self.acts.contains_key(name));
        never.map(|(_, name)| format!("nobody did anything of the kind \"{name}\"")).collect()
    }
}

impl Others {
    /// So many begin on the server at `addr`.
    pub fn gather(count: usize, addr: &str, key: &Key, seed: u64) -> Self {
        let user = |n: usize| {
            let id = format!("o{n}");
            User { token: key.token(&id), id }
        };
        let users: Vec<User> = (0..count + COMPANIONS).map(user).collect();
        let (stop, stopped) = watch::channel(false);
        let mut living = JoinSet::new();
        let mut seeds = Rng::with_seed(seed);
        for trio in users.windows(1 + COMPANIONS).take(count) {
            let [me, friend, third] = trio else { continue };
            let other = Other {
                me: me.clone(),
                friend: friend.clone(),
                third: third.clone(),
                direct: frames::direct(&me.id, &friend.id),
                rest: Rest::new(&format!("http://{addr}")),
                url: format!("ws://{addr}/ws"),
                socket: None,
                group: None,
                files: vec![],
                rng: Rng::with_seed(seeds.u64(..)),
                done: Done::default(),
            };
            living.spawn(other.live(stopped.clone()));
        }
        Self { stop, living }
    }

    /// Lets them come to an end: every file that was sent is read once more, and every socket closed.
    pub async fn finish(mut self) -> Done {
        self.stop.send_replace(true);
        let mut all = Done::default();
        while let Some(left) = self.living.join_next().await {
            match left {
                Ok(done) => {
                    done.acts.iter().for_each(|(act, n)| *all.acts.entry(act).or_default() += n);
                    all.files += done.files;
                    all.told_to_wait += done.told_to_wait;
                    all.problems.extend(done.problems);
                }
                Err(error) => all.problems.push(error.to_string()),
            }
        }
        all
    }
}

/// Someone with a token.
#[derive(Clone, Debug)]
struct User {
    id: String,
    token: String,
}

/// A file that was sent.
#[derive(Debug)]
struct Sent {
    seq: u64,
    bytes: String,
}

/// One of them.
struct Other {
    me: User,
    /// Whom he writes to.
    friend: User,
    /// Who comes into his groups, and goes.
    third: User,
    /// The conversation with his friend.
    direct: String,
    rest: Rest,
    url: String,
    socket: Option<Client>,
    /// The group that he founded last.
    group: Option<String>,
    files: Vec<Sent>,
    rng: Rng,
    done: Done,
}

impl Other {
    /// Lives until he is told to stop. Every kind of act comes once before one comes again.
    async fn live(mut self, mut stop: watch::Receiver<bool>) -> Done {
        let mut ahead = vec![];
        while self.pause(&mut stop).await {
            if ahead.is_empty() {
                ahead = Act::ALL.to_vec();
                self.rng.shuffle(&mut ahead);
            }
            let Some((act, name)) = ahead.pop() else { continue };
            match self.act(act).await {
                Ok(()) => *self.done.acts.entry(name).or_default() += 1,
                Err(error) => self.broke(&format!("{name}: {error}")),
            }
        }
        for Sent { seq, bytes } in std::mem::take(&mut self.files) {
            match self.read_back(seq, &bytes).await {
                Ok(()) => self.done.files += 1,
                Err(error) => self.broke(&format!("a file, in the end: {error}")),
            }
        }
        if let Err(error) = self.leave().await {
            self.broke(&error.to_string());
        }
        self.done
    }

    fn broke(&mut self, how: &str) {
        self.done.problems.push(format!("{}: {how}", self.me.id));
    }

    /// Reads what comes until the next act is due. `false` once he is to stop.
    async fn pause(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        let until = Instant::now() + Duration::from_millis(self.rng.u64(PAUSE_MS));
        loop {
            let frame = async {
                match &mut self.socket {
                    Some(socket) => socket.next().await,
                    None => pending().await,
                }
            };
            let frame = tokio::select! {
                () = sleep_until(until) => return true,
                _ = stop.changed() => return false,
                frame = frame => frame,
            };
            if let Err(error) = self.takes(frame) {
                self.broke(&error.to_string());
            }
        }
    }

    /// Something came over the socket: anything but an error that says nothing of coming again.
    fn takes(&mut self, frame: Result<Value, Error>) -> Result<Value> {
        let frame = frame.inspect_err(|_| self.socket = None)?;
        if frame["type"] == "error" {
            if wait(&frame).is_none() {
                return Err(format!("refused over the socket: {frame}").into());
            }
            self.done.told_to_wait += 1;
        }
        Ok(frame)
    }

    /// His socket, opened if there is none.
    async fn socket(&mut self) -> Result<&mut Client> {
        if self.socket.is_none() {
            let login = Login::new(&self.url, &self.me.token).device("beside");
            for _ in 0..TRIES {
                match timeout(PATIENCE, Client::connect(&login)).await? {
                    Err(Error::Refused { body, .. }) if wait(&body).is_some() => {
                        self.waits(&body).await;
                    }
                    opened => {
                        self.socket = Some(opened?);
                        break;
                    }
                }
            }
        }
        Ok(self.socket.as_mut().ok_or("no socket in so many tries")?)
    }

    /// Sends a frame that is answered only if it is refused.
    async fn tell(&mut self, frame: &Value) -> Result<()> {
        Ok(self.socket().await?.try_send(frame).await?)
    }

    /// Sends a frame and waits for its answer.
    async fn ask(&mut self, mut frame: Value) -> Result<Value> {
        for _ in 0..TRIES {
            let request = json!(frames::new_id());
            frame["request_id"] = request.clone();
            self.tell(&frame).await?;
            let answer = loop {
                let came = timeout(PATIENCE, self.socket().await?.next()).await;
                let came = came.map_err(|_| format!("{frame} was not answered"))?;
                let came = self.takes(came)?;
                if came["request_id"] == request {
                    break came;
                }
            };
            match wait(&answer) {
                Some(pause) => sleep(pause).await,
                None => return Ok(answer),
            }
        }
        Err(format!("told to come again {TRIES} times: {frame}").into())
    }

    /// Closes the socket, if there is one.
    async fn leave(&mut self) -> Result<()> {
        match self.socket.take() {
            Some(socket) => match socket.close().await {
                1000 => Ok(()),
                code => Err(format!("a socket that was closed with 1000 ended with {code}").into()),
            },
            None => Ok(()),
        }
    }

    /// Makes a request (`GET /path`) as one of them, again for as long as he is told so, and returns what it is answered
    /// with. Any status but this one is wrong; but a repeat may find done what it asks for.
    async fn request(
        &mut self,
        who: &User,
        line: &str,
        body: Option<Value>,
        status: u16,
    ) -> Result<Value> {
        let (method, path) = line.split_once(' ').ok_or("no request")?;
        for time in 0..TRIES {
            let answer = self.rest.request(&who.token, method, path, body.as_ref()).await;
            let answer = answer.map_err(|error| format!("{line} of {}: {error}", who.id))?;
            if wait(&answer.body).is_some() {
                self.waits(&answer.body).await;
            } else if answer.status == status || (time > 0 && answer.status == 200) {
                return Ok(answer.body);
            } else {
                let asked = body.unwrap_or_default();
                return Err(format!(
                    "{line} of {} with {asked} was answered with {} and not {status}: {}",
                    who.id, answer.status, answer.body
                )
                .into());
            }
        }
        Err(format!("{line} of {}: told to come again {TRIES} times", who.id).into())
    }

    async fn waits(&mut self, error: &Value) {
        self.done.told_to_wait += 1;
        sleep(wait(error).unwrap_or_default()).await;
    }
}

/// How long to wait, if this is an error that says so as it must.
fn wait(error: &Value) -> Option<Duration> {
    let later = error["code"] == "busy" || error["code"] == "rate_limited";
    error["retry_after_ms"].as_u64().filter(|_| later).map(Duration::from_millis)
}

/// That the answer has what it must have.
fn holds(what: &str, holds: bool, answer: &Value) -> Result<()> {
    if holds { Ok(()) } else { Err(format!("{what}: {answer}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_act_that_never_came_is_named() {
        let acts: BTreeMap<_, _> = Act::ALL.iter().map(|(_, name)| (*name, 1)).collect();
        let mut done = Done { acts, ..Done::default() };
        assert_eq!(done.left_out(), [""; 0]);
        done.acts.remove("media");
        assert_eq!(done.left_out(), ["nobody did anything of the kind \"media\""]);
    }

    #[test]
    fn to_come_again_is_no_refusal_only_if_it_says_when() {
        let busy = |code: &str| json!({"type": "error", "code": code, "retry_after_ms": 20});
        assert_eq!(wait(&busy("busy")), Some(Duration::from_millis(20)));
        assert_eq!(wait(&busy("rate_limited")), Some(Duration::from_millis(20)));
        assert_eq!(wait(&busy("not_ready")), None);
        assert_eq!(wait(&json!({"type": "error", "code": "busy"})), None);
    }
}
