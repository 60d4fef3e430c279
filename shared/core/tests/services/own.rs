//! What a user chose for a conversation, on all his devices, and how much he has not read.

use futures::executor::block_on;
use petrel_core::Error;
use petrel_core::ErrorKind;
use petrel_core::ports::{Conversations, OwnState};
use petrel_core::services::{MAX_MUTED_UNTIL, OwnChange, Unread};

use crate::world::{World, caller, direct, kind, user};

const MUTE: OwnChange = OwnChange {
    muted_until: Some(MAX_MUTED_UNTIL),
    pinned: None,
    archived: None,
    marked_unread: None,
};
const MARK: OwnChange =
    OwnChange { muted_until: None, pinned: None, archived: None, marked_unread: Some(true) };
const ARCHIVE: OwnChange =
    OwnChange { muted_until: None, pinned: None, archived: Some(true), marked_unread: None };

impl World {
    pub fn choose(
        &self,
        who: &str,
        c: &petrel_core::ids::ConversationId,
        change: OwnChange,
    ) -> Result<OwnState, Error> {
        block_on(self.app.set_own(&caller(who), c, change))
    }

    fn unread(&self, who: &str) -> Unread {
        block_on(self.app.unread(&caller(who))).unwrap()
    }

    fn own(&self, who: &str) -> OwnState {
        self.sync(who, &[], 200).conversations[0].own
    }
}

#[test]
fn a_change_reaches_the_other_devices_and_every_sync() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.say("ana", &c, "hi");
    for device in ["bo", "tablet"] {
        world.online("bo", device);
    }
    world.online("ana", "ana");
    let first = world.choose("bo", &c, MUTE).unwrap();
    let version = world.app.world.now_ms();
    let muted = OwnState { version, muted_until: MAX_MUTED_UNTIL, ..OwnState::default() };
    assert_eq!(first, muted);
    let pin = OwnChange { pinned: Some(true), ..OwnChange::default() };
    let both = world.choose("bo", &c, pin).unwrap();
    assert_eq!(both, OwnState { version: version + 1, pinned: true, ..muted });
    // The device that asked has its answer, the others are told, and nobody else.
    let told = world.received("tablet", "state");
    assert_eq!(told.len(), 2);
    assert_eq!(
        told[1],
        serde_json::json!({"type": "state", "conversation_id": "d:ana:bo", "version": version + 1,
            "muted_until": MAX_MUTED_UNTIL, "pinned": true, "archived": false,
            "marked_unread": false})
    );
    assert!(world.received("bo", "state").is_empty() && world.received("ana", "state").is_empty());
    assert_eq!(world.own("bo"), both);
    assert_eq!(world.own("ana"), OwnState::default());
    // What changes nothing is no new version, and nobody is told.
    assert_eq!(world.choose("bo", &c, MUTE).unwrap(), both);
    assert_eq!(world.received("tablet", "state").len(), 2);
}

#[test]
fn what_makes_no_sense_is_refused_and_a_stranger_learns_nothing() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.say("ana", &c, "hi");
    let too_late = OwnChange { muted_until: Some(MAX_MUTED_UNTIL + 1), ..OwnChange::default() };
    for change in [OwnChange::default(), too_late] {
        assert_eq!(kind(world.choose("bo", &c, change)), ErrorKind::BadRequest);
    }
    assert_eq!(kind(world.choose("cy", &c, MUTE)), ErrorKind::NotAMember);
    assert_eq!(kind(world.choose("cy", &direct("cy", "dee"), MUTE)), ErrorKind::NotAMember);
    let group = world.group("ana", &["bo"]);
    block_on(world.app.remove_members(&caller("ana"), &group, &[user("bo")])).unwrap();
    assert_eq!(kind(world.choose("bo", &group, MUTE)), ErrorKind::NotAMember);
    assert_eq!(world.own("bo"), OwnState::default());
}

#[test]
fn a_mark_goes_when_something_more_is_read_and_not_with_an_ack_that_comes_late() {
    let world = World::new();
    let c = direct("ana", "bo");
    for words in ["one", "two", "three"] {
        world.say("ana", &c, words);
    }
    world.ack("bo", &c, 2, 2).unwrap();
    let marked = world.choose("bo", &c, MARK).unwrap();
    // The same ack again, and one that reads nothing.
    world.ack("bo", &c, 2, 2).unwrap();
    world.ack("bo", &c, 3, 0).unwrap();
    assert!(world.own("bo").marked_unread);
    world.online("bo", "tablet");
    world.ack("bo", &c, 3, 3).unwrap();
    assert_eq!(world.own("bo"), OwnState { version: marked.version + 1, ..OwnState::default() });
    assert_eq!(world.received("tablet", "state").len(), 1);
}

#[test]
fn who_comes_again_begins_anew_above_what_his_devices_hold() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    world.choose("bo", &group, MUTE).unwrap();
    let held = world.choose("bo", &group, ARCHIVE).unwrap();
    world.memory.pass(1_000);
    block_on(world.app.remove_members(&caller("ana"), &group, &[user("bo")])).unwrap();
    block_on(world.app.add_members(&caller("ana"), &group, &[user("bo")])).unwrap();
    // What `synced` says is newer than what a device holds, and so is what he chooses next.
    let anew = world.own("bo");
    assert_eq!(anew, OwnState { version: anew.version, ..OwnState::default() });
    assert!(anew.version > held.version);
    assert!(world.choose("bo", &group, MUTE).unwrap().version > anew.version);
}

#[test]
fn the_total_is_a_recount_and_the_badge_leaves_out_what_is_muted_or_archived() {
    let world = World::new();
    assert_eq!(world.unread("bo"), Unread::default());
    let [a, c, d] = ["ana", "cy", "dee"].map(|name| direct(name, "bo"));
    for (from, to, times) in [("ana", &a, 1), ("cy", &c, 2), ("dee", &d, 4)] {
        for _ in 0..times {
            world.say(from, to, "hi");
        }
    }
    let unread = |messages, conversations, badge| {
        assert_eq!(world.unread("bo"), Unread { messages, conversations, badge, more: false });
    };
    unread(7, 3, 7);
    world.choose("bo", &c, MUTE).unwrap();
    world.choose("bo", &d, ARCHIVE).unwrap();
    unread(7, 3, 1);
    // A new message leaves it where it is.
    world.say("dee", &d, "hi");
    unread(8, 3, 1);
    // What a user marked shows as one where nothing is unread.
    world.ack("bo", &a, 1, 1).unwrap();
    unread(7, 2, 0);
    world.choose("bo", &a, MARK).unwrap();
    unread(7, 3, 1);
    world.say("ana", &a, "hi");
    unread(8, 3, 1);
    // What is muted for a while counts again when that is over.
    let until = world.app.world.now_ms() + 1_000;
    let soon = OwnChange { muted_until: Some(until), ..OwnChange::default() };
    world.choose("bo", &c, soon).unwrap();
    unread(8, 3, 1);
    world.memory.pass(1_000);
    unread(8, 3, 3);
}

#[test]
fn what_was_said_before_one_joined_is_not_unread() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    world.say("ana", &group, "before");
    block_on(world.app.add_members(&caller("ana"), &group, &[user("cy")])).unwrap();
    world.say("ana", &group, "after");
    assert_eq!(world.unread("cy").messages, 1);
    assert_eq!(world.unread("bo").messages, 2);
}

#[test]
fn a_mark_on_what_does_not_exist_yet_is_not_counted() {
    let world = World::new();
    let notes = direct("ana", "ana");
    block_on(world.memory.open(&notes, &[user("ana")])).unwrap();
    world.choose("ana", &notes, MARK).unwrap();
    assert_eq!(world.unread("ana"), Unread::default());
    world.say("ana", &notes, "hi");
    assert_eq!(world.unread("ana").conversations, 1);
}
