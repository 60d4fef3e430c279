//! Who sees who is online, who is told of changes, and who is not.

use std::sync::Arc;

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::ErrorKind;
use petrel_core::ids::{ConnectionId, UserId};
use petrel_core::people::{Audience, ProfileChange};
use petrel_core::ports::{Connections, Gateway, Job, People, Posted, World as _};
use petrel_core::services::{AWAY_AFTER_S, MAX_WATCHERS, Presence, WATCH_MS};
use petrel_core::testing::Memory;

use crate::world::{World, caller, direct, kind, socket, user};

impl World {
    fn look(&self, who: &str, users: &[&str], watch: bool) -> Vec<Presence> {
        let users: Vec<UserId> = users.iter().map(|u| user(u)).collect();
        block_on(self.app.presence(&caller(who), &users, watch)).unwrap()
    }

    /// What `who` sees of one: online, and when last.
    fn sees(&self, who: &str, whom: &str) -> (bool, Option<u64>) {
        let seen = self.look(who, &[whom], false);
        (seen[0].online, seen[0].last_seen)
    }

    fn leaves(&self, name: &str, device: &str) {
        let socket = socket(name, device, 0);
        block_on(self.app.disconnect(&socket.user, &socket.device, &socket.id)).unwrap();
    }

    fn lets_see(&self, who: &str, presence: Audience) {
        let change = ProfileChange { presence: Some(presence), ..ProfileChange::default() };
        block_on(self.app.set_profile(&caller(who), &change)).unwrap();
    }

    /// Runs the presence jobs that were queued since, and returns their delays.
    fn settles(&self, since: usize) -> Vec<u32> {
        let jobs = self.memory.jobs().split_off(since);
        for job in &jobs {
            let Job::Presence { user } = job else { panic!("{job:?}") };
            block_on(self.app.settle_presence(user)).unwrap();
        }
        self.memory.delays().split_off(since)
    }

    /// What a connection was told of changes: who, and whether they are online.
    fn told(&self, connection: &str) -> Vec<(String, bool)> {
        let frames = self.received(connection, "presence");
        let users = frames.iter().flat_map(|f| f["users"].as_array().unwrap().clone());
        users
            .map(|u| (u["user_id"].as_str().unwrap().to_owned(), u["online"].as_bool().unwrap()))
            .collect()
    }
}

/// ana, who is online, and bo have a conversation.
fn scene() -> World {
    let world = World::new();
    world.say("ana", &direct("ana", "bo"), "hi");
    world.online("ana", "ana");
    world
}

fn now(world: &World) -> u64 {
    world.app.world.now_ms()
}

const NOTHING: (bool, Option<u64>) = (false, None);

#[test]
fn online_is_who_has_a_socket_and_last_seen_is_when_the_last_one_ended() {
    let world = scene();
    assert_eq!(world.sees("ana", "bo"), NOTHING);
    world.online("bo", "phone");
    world.online("bo", "laptop");
    assert_eq!(world.sees("ana", "bo"), (true, None));
    world.memory.pass(5_000);
    world.leaves("bo", "phone");
    assert_eq!(world.sees("ana", "bo"), (true, None));
    world.memory.pass(5_000);
    world.leaves("bo", "laptop");
    assert_eq!(world.sees("ana", "bo"), (false, Some(now(&world))));
    // A socket whose end was lost is none once no socket can be so old.
    world.online("bo", "phone");
    let came = now(&world);
    world.memory.pass(124 * 60_000);
    assert_eq!(world.sees("ana", "bo"), (true, None));
    world.memory.pass(2 * 60_000);
    assert_eq!(world.sees("ana", "bo"), (false, Some(came)));
    // In the order of the ids, each once.
    let seen = world.look("ana", &["zoe", "bo", "zoe", "ana"], false);
    let users: Vec<&str> = seen.iter().map(|p| p.user.as_str()).collect();
    assert_eq!(users, ["ana", "bo", "zoe"]);
}

#[test]
fn only_those_see_it_whom_the_user_lets() {
    let world = scene();
    world.say("ana", &direct("ana", "cy"), "hi");
    let sees = |who: &str| world.sees(who, "ana").0;
    // Contacts at first; eve is none, and being in a group makes nobody one.
    world.group("ana", &["eve"]);
    assert_eq!((sees("bo"), sees("cy"), sees("eve")), (true, true, false));
    world.lets_see("ana", Audience::Everyone);
    assert_eq!((sees("bo"), sees("cy"), sees("eve")), (true, true, true));
    // Whoever blocks, neither sees the other.
    world.online("bo", "bo");
    world.online("cy", "cy");
    block_on(world.app.block(&caller("ana"), &user("bo"))).unwrap();
    block_on(world.app.block(&caller("cy"), &user("ana"))).unwrap();
    assert_eq!((sees("bo"), sees("cy"), sees("eve")), (false, false, true));
    assert_eq!((world.sees("ana", "bo"), world.sees("ana", "cy")), (NOTHING, NOTHING));
    world.lets_see("ana", Audience::Nobody);
    assert_eq!((sees("bo"), sees("cy"), sees("eve"), sees("ana")), (false, false, false, true));
    world.leaves("ana", "ana");
    for who in ["bo", "cy", "eve", "nobody"] {
        assert_eq!(world.sees(who, "ana"), NOTHING, "{who}");
    }
}

#[test]
fn watchers_are_told_and_who_comes_back_soon_was_never_away() {
    let world = scene();
    world.online("bo", "phone");
    let jobs = || world.memory.jobs().len();
    let before = jobs();
    // Nobody watches: nothing is queued.
    world.leaves("bo", "phone");
    world.online("bo", "phone");
    assert_eq!(jobs(), before);
    assert!(world.look("ana", &["bo"], true)[0].online);

    // Gone and back within the delay.
    world.leaves("bo", "phone");
    assert_eq!(world.memory.delays().last(), Some(&AWAY_AFTER_S));
    world.online("bo", "phone");
    assert_eq!(world.settles(before), [AWAY_AFTER_S]);
    assert_eq!(world.told("ana"), []);

    // Gone for longer, and back again: told at once, and once however often it is looked at.
    let before = jobs();
    world.leaves("bo", "phone");
    assert_eq!(world.settles(before), [AWAY_AFTER_S]);
    world.settles(before);
    assert_eq!(world.told("ana"), [("bo".into(), false)]);
    let frame = &world.received("ana", "presence")[0];
    assert_eq!(frame["users"][0]["last_seen"], now(&world));
    let before = jobs();
    world.online("bo", "laptop");
    world.online("bo", "phone");
    assert_eq!(world.settles(before), [0, 0]);
    assert_eq!(world.told("ana"), [("bo".into(), false), ("bo".into(), true)]);

    // A device more or less says nothing.
    let before = jobs();
    world.leaves("bo", "phone");
    assert_eq!(jobs(), before);

    // A watch ends.
    world.memory.pass(WATCH_MS);
    let told = world.told("ana").len();
    world.leaves("bo", "laptop");
    world.settles(before);
    assert_eq!(world.told("ana").len(), told);
    world.memory.pass(WATCH_MS);
    let before = jobs();
    world.online("bo", "laptop");
    assert_eq!(jobs(), before);
}

#[test]
fn who_watches_someone_offline_is_told_when_he_comes() {
    let world = scene();
    let before = world.memory.jobs().len();
    assert!(!world.look("ana", &["bo"], true)[0].online);
    assert_eq!(world.told("ana"), []);
    world.online("bo", "phone");
    assert_eq!(world.settles(before), [0]);
    assert_eq!(world.told("ana"), [("bo".into(), true)]);
}

#[test]
fn a_job_that_was_lost_is_made_good_by_who_asks_again() {
    let world = scene();
    world.say("cy", &direct("cy", "bo"), "hi");
    world.online("bo", "phone");
    world.online("cy", "cy");
    world.look("ana", &["bo"], true);
    world.leaves("bo", "phone");
    // The job never runs. Someone else asks, and all hear of it.
    assert!(!world.look("cy", &["bo"], true)[0].online);
    assert_eq!(world.told("ana"), [("bo".into(), false)]);
    assert!(!world.look("ana", &["bo"], true)[0].online);
    let before = world.memory.jobs().len();
    world.online("bo", "phone");
    world.settles(before);
    assert_eq!(world.told("ana").last(), Some(&("bo".into(), true)));
    assert_eq!(world.told("cy").last(), Some(&("bo".into(), true)));
}

#[test]
fn who_may_not_see_it_any_more_is_not_told() {
    let world = scene();
    world.say("cy", &direct("cy", "bo"), "hi");
    for name in ["bo", "cy"] {
        world.online(name, name);
    }
    for who in ["ana", "cy"] {
        assert!(world.look(who, &["bo"], true)[0].online);
    }
    block_on(world.app.block(&caller("bo"), &user("ana"))).unwrap();
    let before = world.memory.jobs().len();
    world.leaves("bo", "bo");
    world.settles(before);
    assert_eq!((world.told("ana"), world.told("cy").len()), (vec![], 1));
    world.lets_see("bo", Audience::Nobody);
    let before = world.memory.jobs().len();
    world.online("bo", "bo");
    world.settles(before);
    assert_eq!((world.told("ana"), world.told("cy").len()), (vec![], 1));
    // Nor is one who asks while it is hidden noted as a watcher.
    world.look("eve", &["bo"], true);
    let watchers = block_on(world.memory.watchers(&user("bo"), 0, 9)).unwrap();
    assert_eq!(watchers, ["ana", "cy"].map(user));
}

#[test]
fn a_socket_that_is_found_dead_is_told_too() {
    let world = scene();
    world.online("bo", "phone");
    world.look("ana", &["bo"], true);
    world.memory.pass(61_000);
    world.memory.cut(&socket("bo", "phone", 0).id);
    let before = world.memory.jobs().len();
    world.say("ana", &direct("ana", "bo"), "are you there?");
    world.settles(before);
    assert_eq!(world.told("ana"), [("bo".into(), false)]);
}

#[test]
fn an_outage_of_the_queue_keeps_nobody_from_coming_or_going() {
    let world = scene();
    world.online("bo", "phone");
    world.look("ana", &["bo"], true);
    world.memory.stop_queue();
    world.leaves("bo", "phone");
    world.online("bo", "phone");
    assert_eq!(world.told("ana"), []);
    assert!(world.look("ana", &["bo"], true)[0].online);
}

#[test]
fn a_user_has_a_bounded_number_of_watchers() {
    let world = World::new();
    world.lets_see("star", Audience::Everyone);
    let fan = |n: usize| format!("fan{n:04}");
    for n in 0..MAX_WATCHERS + 1 {
        world.look(&fan(n), &["star"], true);
    }
    let watchers = |now| block_on(world.memory.watchers(&user("star"), now, usize::MAX)).unwrap();
    assert_eq!(watchers(0).len(), MAX_WATCHERS);
    assert!(!watchers(0).contains(&user(&fan(MAX_WATCHERS))));
    // One who watches already renews, and one more finds a place when others have let theirs go.
    world.memory.pass(WATCH_MS / 2);
    world.look(&fan(0), &["star"], true);
    world.memory.pass(WATCH_MS / 2);
    world.look(&fan(MAX_WATCHERS), &["star"], true);
    let expected = [fan(0), fan(MAX_WATCHERS)].map(|f| user(&f));
    assert_eq!(watchers(now(&world)), expected);
}

#[test]
fn what_presence_refuses() {
    let world = World::new();
    let many: Vec<UserId> = (0..101).map(|n| user(&format!("u{n}"))).collect();
    let ask = |users: &[UserId]| block_on(world.app.presence(&caller("ana"), users, true));
    assert_eq!(kind(ask(&[])), ErrorKind::BadRequest);
    assert_eq!(kind(ask(&many)), ErrorKind::BadRequest);
    assert_eq!(ask(&many[..100]).unwrap().len(), 100);
    // Strangers leave no trace.
    assert!(block_on(world.memory.sockets(&many[..100])).unwrap().is_empty());
}

/// As often as someone is told of bo, he comes or goes.
struct Restless(Arc<Memory>);

#[async_trait]
impl Gateway for Restless {
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted {
        let phone = socket("bo", "phone", self.0.now_ms());
        let left = self.0.remove(&phone.user, &phone.device, &phone.id, 1).await.unwrap();
        if left.is_none() {
            self.0.register(&phone).await.unwrap();
        }
        self.0.post(to, frame).await
    }

    async fn close(&self, connection: &ConnectionId) -> Posted {
        self.0.close(connection).await
    }
}

#[test]
fn who_comes_and_goes_all_the_while_is_looked_at_again() {
    let mut world = scene();
    world.look("ana", &["bo"], true);
    let before = world.memory.jobs().len();
    world.memory.pass(1);
    world.online("bo", "phone");
    world.app.gateway = Arc::new(Restless(world.memory.clone()));
    let jobs = world.settles(before).len();
    // Told as often as is tried at once, and the last change is not forgotten: a second job.
    assert_eq!((jobs, world.told("ana").len()), (2, 4));
}
