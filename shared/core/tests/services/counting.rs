//! How much is counted of what a user has not read, and what becomes of the rest.

use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::Result;
use petrel_core::ids::{ConversationId, DeviceId};
use petrel_core::ports::{self, Job, Platform};
use petrel_core::services::Unread;
use petrel_core::testing::{Meanwhile, Memory, Racing};
use uuid::Uuid;

use crate::world::{World, caller, direct};

#[test]
fn a_thousand_conversations_are_counted_and_of_more_it_is_said_that_there_are_more() {
    let world = World::new();
    let unread = || block_on(world.app.unread(&caller("bo"))).unwrap();
    let thousand = Unread { messages: 1_000, conversations: 1_000, badge: 1_000, more: false };
    for n in 0..1_000 {
        let name = format!("u{n:04}");
        world.say(&name, &direct(&name, "bo"), "hi");
    }
    assert_eq!(unread(), thousand);
    world.say("zoe", &direct("bo", "zoe"), "hi");
    assert_eq!(unread(), Unread { more: true, ..thousand });
}

/// The head of this conversation is never read.
struct Stuck(ConversationId);

#[async_trait]
impl Meanwhile for Stuck {
    async fn before_newest(&self, c: &ConversationId, _: usize) -> Result<()> {
        if *c == self.0 { pending().await } else { Ok(()) }
    }
}

/// A clock whose every pause is over at once.
struct Hasty {
    memory: Arc<Memory>,
    pauses: Mutex<Vec<u64>>,
}

#[async_trait]
impl ports::World for Hasty {
    fn now_ms(&self) -> u64 {
        self.memory.now_ms()
    }

    fn new_id(&self) -> Uuid {
        self.memory.new_id()
    }

    fn secret(&self) -> u128 {
        self.memory.secret()
    }

    fn jitter(&self, below: u64) -> u64 {
        self.memory.jitter(below)
    }

    async fn pause(&self, ms: u64) {
        self.pauses.lock().unwrap().push(ms);
    }
}

#[test]
fn a_push_waits_two_seconds_for_its_badge_and_goes_without() {
    let mut world = World::new();
    let phone = DeviceId::parse("phone").unwrap();
    block_on(world.app.set_push(&caller("bo"), phone, Platform::Fcm, "token")).unwrap();
    let slow = direct("bo", "cy");
    world.say("cy", &slow, "hi");
    world.say("ana", &direct("ana", "bo"), "hi");
    let Some(Job::Push { to, conversation, seq, .. }) = world.memory.jobs().pop() else {
        panic!("no push job")
    };
    let push = |world: &World| {
        block_on(world.app.push(to.clone(), &conversation, seq, 0)).unwrap();
        world.memory.pushes().pop().unwrap().1.badge
    };
    assert_eq!(push(&world), Some(2));
    let hasty = Arc::new(Hasty { memory: world.memory.clone(), pauses: Mutex::default() });
    world.app.log = Racing::new(world.memory.clone(), Stuck(slow));
    world.app.world = hasty.clone();
    assert_eq!(push(&world), None);
    assert_eq!(world.memory.pushes().len(), 2);
    assert_eq!(*hasty.pauses.lock().unwrap(), [2_000]);
}
