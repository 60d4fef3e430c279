//! What the services count and time, fact by fact.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use petrel_core::App;
use petrel_core::error::{Error, ErrorKind};
use petrel_core::ids::{ConnectionId, DeviceId, Seq};
use petrel_core::metrics::{Count, Timing};
use petrel_core::ports::{Job, Platform, Put, mint};
use petrel_core::testing::Notes;

use crate::world::*;

/// A world whose services note what they do.
fn noting() -> (World, Arc<Notes>) {
    let mut world = World::new();
    let notes = Arc::new(Notes::default());
    world.app.metrics = notes.clone();
    (world, notes)
}

fn counts<const N: usize>(counts: [(Count, u64); N]) -> BTreeMap<Count, u64> {
    counts.into()
}

fn times<const N: usize>(times: [(Timing, &[u64]); N]) -> BTreeMap<Timing, Vec<u64>> {
    times.into_iter().map(|(what, ms)| (what, ms.to_vec())).collect()
}

#[test]
fn a_message_is_counted_when_it_is_stored_and_a_repeat_as_a_duplicate() {
    let (world, notes) = noting();
    for name in ["ana", "bo"] {
        world.online(name, name);
    }
    let c = direct("ana", "bo");
    let id = mint(&*world.memory);
    notes.take_counts();
    let sent = world.send_as("ana", &c, None, id, text("hi")).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::Messages, 1), (Count::Deliveries, 1)]));
    assert_eq!(notes.take_times(), times([(Timing::DeliveryLatency, &[0])]));
    assert_eq!(notes.take_subjects(), [(c.clone(), None), (c.clone(), Some(sent.seq))]);

    // Delivered again, but how long after the first `sent_at` says nothing about this delivery.
    world.memory.pass(60_000);
    world.send_as("ana", &c, None, id, text("hi")).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::Duplicates, 1), (Count::Deliveries, 1)]));
    assert_eq!(notes.take_times(), times([]));
}

#[test]
fn the_socket_that_sent_a_message_is_no_delivery() {
    let (world, notes) = noting();
    world.online("ana", "ana");
    notes.take_counts();
    world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!(notes.take_counts(), counts([(Count::Messages, 1)]));
    assert_eq!(notes.take_times(), times([]));
}

#[test]
fn posts_are_counted_by_what_became_of_them() {
    let (world, notes) = noting();
    let (group, _) = world.crowd(4);
    for name in ["u0001", "u0002", "u0003"] {
        world.online(name, name);
    }
    world.memory.cut(&ConnectionId::parse("u0002").unwrap());
    world.memory.overload(&ConnectionId::parse("u0003").unwrap());
    notes.take_counts();
    world.say("ana", &group, "hi");
    let expected =
        [(Count::Messages, 1), (Count::Deliveries, 1), (Count::Gone, 1), (Count::PutBack, 1)];
    assert_eq!(notes.take_counts(), counts(expected));
}

#[test]
fn a_fan_out_job_tells_how_old_it_is_once_and_a_lost_queue_is_counted() {
    let (world, notes) = noting();
    let (group, names) = world.crowd(33);
    world.online(&names[0], &names[0]);
    notes.take_counts();
    notes.take_times();
    world.say("ana", &group, "hi");
    assert_eq!(notes.take_counts(), counts([(Count::Messages, 1)]));
    assert_eq!(notes.take_times(), times([]));

    let Some(Job::FanOut { entry, to, except, .. }) = world.memory.jobs().pop() else {
        panic!("no job")
    };
    world.memory.pass(120);
    // An entry's time lies behind that of its predecessor, so it may be a little ahead of the clock.
    let age = world.app.world.now_ms() - entry.sent_at;
    assert!((100..=120).contains(&age), "{age}");
    let run = |attempt| world.app.deliver_chunk(&entry, to.clone(), except.clone(), attempt);
    block_on(run(0)).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::Deliveries, 1)]));
    let both: [(Timing, &[u64]); 2] =
        [(Timing::DeliveryLatency, &[age]), (Timing::FanOutAge, &[age])];
    assert_eq!(notes.take_times(), times(both));
    // What was put back waited for the gateway, not for the queue.
    block_on(run(1)).unwrap();
    assert_eq!(notes.take_times(), times([(Timing::DeliveryLatency, &[age])]));

    world.memory.stop_queue();
    notes.take_counts();
    world.say("ana", &group, "inline");
    let inline = [(Count::Messages, 1), (Count::Deliveries, 1), (Count::FanOutInline, 1)];
    assert_eq!(notes.take_counts(), counts(inline));
}

#[test]
fn push_jobs_and_pushes_are_counted_by_what_became_of_them() {
    let (world, notes) = noting();
    let c = direct("ana", "bo");
    let phone = DeviceId::parse("phone").unwrap();
    block_on(world.app.set_push(&caller("bo"), phone, Platform::Fcm, "bo")).unwrap();
    let sent = world.say("ana", &c, "hi");
    assert_eq!(notes.take_counts(), counts([(Count::Messages, 1), (Count::PushJobs, 1)]));
    notes.take_times();

    let push = |attempt| block_on(world.app.push(vec![user("bo")], &c, sent.seq, attempt));
    world.memory.pass(40);
    push(0).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::Pushes, 1)]));
    assert_eq!(notes.take_times(), times([(Timing::PushAge, &[40])]));
    world.memory.overload_pushes(true);
    push(1).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::PushFailures, 1)]));
    assert_eq!(notes.take_times(), times([]));
    world.memory.overload_pushes(false);
    world.ack("bo", &c, 1, 0).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::Acks, 1)]));
    push(1).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::PushesSkipped, 1)]));

    world.memory.stop_queue();
    world.say("ana", &c, "again");
    assert_eq!(notes.take_counts(), counts([(Count::Messages, 1), (Count::PushJobsLost, 1)]));
}

#[test]
fn a_group_that_comes_into_being_changes_and_is_asked_for_again() {
    let (world, notes) = noting();
    let group = world.group("ana", &["bo", "cy"]);
    assert_eq!(notes.take_counts(), counts([(Count::Messages, 1)]));
    let add = || block_on(world.app.add_members(&caller("ana"), &group, &[user("di")])).unwrap();
    let added = add().unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::Messages, 1)]));
    assert_eq!(notes.take_subjects().pop(), Some((group.clone(), Some(added.seq))));
    add();
    assert_eq!(notes.take_counts(), counts([]));
}

#[test]
fn sockets_syncs_and_acks_are_counted() {
    let (world, notes) = noting();
    let bo = socket("bo", "bo", 1);
    block_on(world.app.connect(&bo)).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::Opened, 1)]));
    block_on(world.app.disconnect(&bo.user, &bo.device, &bo.id)).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::Closed, 1)]));
    // A sync that finds the row gone registers the socket again; it had opened before.
    let mut caller = caller("bo");
    caller.socket = Some(bo);
    block_on(world.app.handle(&caller, r#"{"action":"sync","cursors":{}}"#));
    assert_eq!(notes.take_counts(), counts([(Count::Syncs, 1)]));

    let c = direct("ana", "bo");
    world.say("ana", &c, "hi");
    notes.take_counts();
    world.ack("bo", &c, 1, 1).unwrap();
    assert_eq!(notes.take_counts()[&Count::Acks], 1);
    // It changes nothing, and has been taken.
    world.ack("bo", &c, 1, 1).unwrap();
    assert_eq!(notes.take_counts(), counts([(Count::Acks, 1)]));
}

#[test]
fn errors_are_counted_by_whose_business_they_are() {
    let (world, notes) = noting();
    block_on(world.app.handle(&caller("eve"), r#"{"action":"dance"}"#));
    assert_eq!(notes.take_counts(), counts([(Count::Refused, 1)]));
    // Too many senders at once: the client repeats it, and nothing is broken.
    world.app.refused(&Error::new(ErrorKind::Busy, "too many"));
    assert_eq!(notes.take_counts(), counts([(Count::Busy, 1)]));
    world.app.refused(&Error::port("no answer"));
    assert_eq!(notes.take_counts(), counts([(Count::Busy, 1), (Count::Failures, 1)]));
    world.app.failed(&Error::port("no answer"));
    assert_eq!(notes.take_counts(), counts([(Count::Failures, 1)]));
}

#[test]
fn a_lost_race_is_a_conflict() {
    let (world, notes) = noting();
    let c = direct("ana", "bo");
    world.say("ana", &c, "first");
    notes.take_counts();
    let app = App { log: Arc::new(overtaken::Log::new(&world, &c)), ..world.app.clone() };
    let world = World { app, ..world };
    let sent = world.say("bo", &c, "third");
    assert_eq!(sent.seq, Seq::new(3));
    assert_eq!(notes.take_counts(), counts([(Count::Messages, 1), (Count::Conflicts, 1)]));
}

/// A log in which someone else is first, once.
mod overtaken {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use petrel_core::Result;
    use petrel_core::ids::ConversationId;
    use petrel_core::message::Entry;
    use petrel_core::ports;

    use super::*;

    pub struct Log {
        memory: Arc<petrel_core::testing::Memory>,
        conversation: ConversationId,
        free: AtomicBool,
    }

    impl Log {
        pub fn new(world: &World, of: &ConversationId) -> Self {
            Self {
                memory: world.memory.clone(),
                conversation: of.clone(),
                free: AtomicBool::new(true),
            }
        }
    }

    #[async_trait]
    impl ports::Log for Log {
        async fn newest(
            &self,
            of: &ConversationId,
            from: Seq,
            before: Option<Seq>,
            limit: usize,
        ) -> Result<Vec<Entry>> {
            ports::Log::newest(&*self.memory, of, from, before, limit).await
        }

        async fn after(&self, of: &ConversationId, after: Seq, limit: usize) -> Result<Vec<Entry>> {
            ports::Log::after(&*self.memory, of, after, limit).await
        }

        async fn put_changing(&self, entry: &Entry) -> Result<Put> {
            ports::Log::put_changing(&*self.memory, entry).await
        }

        async fn put(&self, entry: &Entry) -> Result<Put> {
            if self.free.swap(false, Ordering::Relaxed) {
                let other = Entry { message_id: mint(&*self.memory), ..entry.clone() };
                assert_eq!(other.conversation_id, self.conversation);
                ports::Log::put(&*self.memory, &other).await?;
            }
            ports::Log::put(&*self.memory, entry).await
        }
    }
}
