//! The people on the server, and where they write: one group of all, groups of eight, and everyone with both neighbours.

use std::sync::Arc;
use std::time::Duration;

use petrel_test_client::person::{Habits, Phase, Tally, World};
use petrel_test_client::{Person, Rest, frames};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::Result;
use crate::check::Log;
use crate::site::Key;

/// Members of a small group.
const SMALL: usize = 8;
/// Entries of one page of history.
const PAGE: u64 = 100;

/// How many there are, and how they write.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many.
    pub people: usize,
    /// Messages per second that all of them write, about.
    pub rate: f64,
    /// Most messages in a frame.
    pub most: usize,
    /// Bytes of a text.
    pub bytes: usize,
    /// Leave and come back after about so long.
    pub stays: Option<Duration>,
    /// What everything depends on.
    pub seed: u64,
}

/// A conversation.
#[derive(Clone, Debug)]
struct Place {
    id: Arc<str>,
    members: Vec<usize>,
}

/// People who live on a server.
pub struct Crowd {
    key: Key,
    users: Vec<String>,
    places: Vec<Place>,
    world: watch::Sender<World>,
    living: JoinSet<Person>,
    /// What they have done together.
    pub tally: Arc<Tally>,
}

impl Crowd {
    /// Brings people together on the server at `addr`.
    pub async fn gather(plan: &Plan, addr: &str, key: Key) -> Result<Self> {
        let users: Vec<String> = (0..plan.people).map(|n| format!("p{n}")).collect();
        let rest = Rest::new(&format!("http://{addr}"));
        let mut places = vec![];
        let all: Vec<usize> = (0..users.len()).collect();
        for members in std::iter::once(&all[..]).chain(all.chunks(SMALL).filter(|c| c.len() > 1)) {
            let (first, others) = members.split_first().ok_or("nobody")?;
            let others: Vec<String> = others.iter().map(|n| users[*n].clone()).collect();
            let id = rest.found(&key.token(&users[*first]), "fire", &others).await?;
            places.push(Place { id: id.into(), members: members.to_vec() });
        }
        for n in 0..users.len() {
            let next = (n + 1) % users.len();
            let id = frames::direct(&users[n], &users[next]).into();
            if places.iter().all(|p| p.id != id) && n != next {
                places.push(Place { id, members: vec![n, next] });
            }
        }
        let tally = Arc::new(Tally::default());
        let (world, _) = watch::channel(World::default());
        let mut crowd = Self { key, users, places, world, living: JoinSet::new(), tally };
        crowd.move_to(Some(addr));
        // A frame holds so many on average, and each of them writes at the same pace.
        let messages = (1 + plan.most) as f64 / 2.0;
        let pause = Duration::from_secs_f64(plan.people as f64 * messages / plan.rate);
        let mut seeds = fastrand::Rng::with_seed(plan.seed);
        for (n, user) in crowd.users.iter().enumerate() {
            let mine = crowd.places.iter().filter(|p| p.members.contains(&n));
            let habits = Habits {
                conversations: mine.map(|p| p.id.clone()).collect(),
                pause: pause / 2..pause * 3 / 2,
                most: plan.most,
                bytes: plan.bytes,
                stays: plan.stays,
            };
            let token = crowd.key.token(user);
            let person = Person::new(user, token, habits, seeds.u64(..), crowd.tally.clone());
            crowd.living.spawn(person.live(crowd.world.subscribe()));
        }
        Ok(crowd)
    }

    /// How many conversations there are.
    pub fn conversations(&self) -> usize {
        self.places.len()
    }

    /// From now on the server is there, or nowhere.
    pub fn move_to(&self, addr: Option<&str>) {
        let url = addr.map(|addr| format!("ws://{addr}/ws"));
        self.world.send_modify(|world| world.url = url);
    }

    /// Waits until everything that was written is answered, and every device holds what is there. Whoever noticed a broken
    /// promise is not waited for. Returns the people, and what could not be done in time.
    pub async fn settle(&mut self, patience: Duration) -> Result<(Vec<Person>, Option<String>)> {
        self.world.send_modify(|world| world.phase = Phase::Drain);
        let deadline = Instant::now() + patience;
        let mut late = None;
        let mut again = interval(Duration::from_millis(20));
        loop {
            again.tick().await;
            let Tally { draining, pending, broken, .. } = &*self.tally;
            let drained = draining.get() == self.users.len() as u64 && pending.get() == 0;
            if drained || broken.get() > 0 {
                break;
            }
            if Instant::now() > deadline {
                late = Some(format!("{} sends were not answered in {patience:?}", pending.get()));
                break;
            }
        }
        self.world.send_modify(|world| world.phase = Phase::Settle);
        let mut people = vec![];
        while let Ok(Some(left)) = tokio::time::timeout_at(deadline, self.living.join_next()).await
        {
            people.push(left?);
        }
        if people.len() < self.users.len() {
            let missing = self.users.len() - people.len();
            late = Some(format!("{missing} people could not read everything in {patience:?}"));
        }
        Ok((people, late))
    }

    /// Every log, as the server has it, read by a member over HTTP.
    pub async fn read_logs(&self, addr: &str) -> Result<Vec<Log>> {
        let rest = Rest::new(&format!("http://{addr}"));
        let mut logs = vec![];
        for Place { id, members } in &self.places {
            let reader = members.first().ok_or("a conversation of nobody")?;
            let token = self.key.token(&self.users[*reader]);
            let members = members.iter().map(|n| self.users[*n].clone()).collect();
            let mut entries: Vec<Value> = vec![];
            loop {
                let after = entries.last().and_then(|e| e["seq"].as_u64()).unwrap_or(0);
                let path = format!("/api/conversations/{id}/messages?after={after}&limit={PAGE}");
                let page = match rest.get_as(&token, &path).await {
                    // Nobody has written there: there is no such conversation.
                    Err(e) if id.starts_with("d:") && e.to_string().contains(" 403 ") => break,
                    page => page?,
                };
                entries.extend(page["messages"].as_array().into_iter().flatten().cloned());
                if page["more"] != true {
                    break;
                }
            }
            logs.push(Log { conversation: id.to_string(), members, entries });
        }
        Ok(logs)
    }
}
