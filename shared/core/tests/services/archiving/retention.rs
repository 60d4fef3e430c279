//! How long messages are kept, by the operator and by those who write them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::group::Role;
use petrel_core::ids::{ConversationId, MediaId, Seq, UserId};
use petrel_core::message::Content;
use petrel_core::ports::{Archive, Log, mint};
use petrel_core::services::{Intent, Range};
use petrel_core::testing::{Meanwhile, Racing};
use petrel_core::{ErrorKind, Result};

use super::{DAY_MS, archive, cold_world, history, objects, old};
use crate::world::*;

/// That messages are kept for so many days.
fn kept_for(days: u32) -> Intent {
    let retention_days = Some(days);
    Intent::Update { name: None, post: None, add: None, avatar: None, retention_days }
}

#[test]
fn after_the_retention_nothing_can_be_read_and_numbers_go_on() {
    let world = cold_world();
    let c = old(&world, 20);
    archive(&world, &c);
    world.ack("bo", &c, 20, 4).unwrap();
    world.memory.pass(97 * DAY_MS);
    for n in 0..3 {
        world.say("ana", &c, &format!("late {n}"));
    }
    // A day and a bit before the end all is there, at the end nothing but the late ones, archiver or not.
    assert_eq!(world.readable("bo", &c).unwrap().len(), 23);
    world.memory.pass(2 * DAY_MS);
    for archived in [false, true] {
        if archived {
            assert_eq!(archive(&world, &c).expired, 20);
            assert_eq!(world.memory.rows_of_log(&c), [1, 21, 22, 23]);
            assert!(objects(&world, &c).is_empty());
        }
        assert_eq!(world.readable("bo", &c).unwrap(), [21, 22, 23]);
        let down = history(&world, &c, Range::Before(Seq::new(23)), 10);
        assert_eq!(down, (vec![21, 22], false), "archived: {archived}");
        let synced = world.sync("bo", &[(&c, 5)], 200);
        assert_eq!(through(&synced), [21, 22, 23]);
        assert_eq!(synced.conversations[0].sent_through.get(), 23);
        let reply =
            Content::Reply { target: Seq::new(7), text: "to what?".into(), mentions: vec![] };
        let refused = world.send_as("bo", &c, Some(23), mint(&*world.memory), reply);
        assert_eq!(kind(refused), ErrorKind::NotFound);
    }
    // An ack of what is gone takes all of that.
    assert!(world.ack("bo", &c, 20, 9).unwrap());
    let conversation = &world.sync("bo", &[(&c, 23)], 200).conversations[0];
    assert_eq!((conversation.marks.read.get(), conversation.unread), (20, 3));

    // Then the end of all of it. The first and the last row stay, and say nothing.
    world.memory.pass(200 * DAY_MS);
    archive(&world, &c);
    assert_eq!(world.memory.rows_of_log(&c), [1, 23]);
    let rows = block_on(world.memory.after(&c, Seq::ZERO, 9)).unwrap();
    assert!(rows.iter().all(|e| matches!(e.content, Content::Gone { .. })), "{rows:?}");
    assert!(world.readable("bo", &c).unwrap().is_empty());
    let synced = world.sync("bo", &[(&c, 5)], 200);
    assert!(synced.batches.is_empty());
    let conversation = &synced.conversations[0];
    assert_eq!((conversation.sent_through.get(), conversation.unread), (23, 0));
    assert_eq!(world.say("ana", &c, "again").seq.get(), 24);
    assert_eq!(world.readable("bo", &c).unwrap(), [24]);
}

#[test]
fn unread_is_what_can_be_read_whether_the_archiver_has_come_or_not() {
    // The archiver comes on the days that are named here, and on no other.
    for runs in [&[][..], &[60], &[3, 40, 70], &[90, 102], &[104]] {
        let world = cold_world();
        world.phone("bo");
        let (c, whole) = (direct("ana", "bo"), direct("bo", "cy"));
        // Ten messages a day, and then none.
        for day in 0..110 {
            if day < 6 {
                for n in 0..10 {
                    world.say("ana", &c, &format!("{day} {n}"));
                    world.say("cy", &whole, &format!("{day} {n}"));
                }
            }
            if day == 80 {
                assert!(world.ack("bo", &c, 60, 13).unwrap());
            }
            world.memory.pass(DAY_MS);
            if runs.contains(&day) {
                archive(&world, &c);
            }
            let unread = |c: &ConversationId, above: u64| {
                let synced = world.sync("bo", &[], 1);
                let told = synced.conversations.iter().find(|s| s.id == *c).unwrap().unread;
                let readable = world.readable("bo", c).unwrap();
                let counted = readable.iter().filter(|seq| **seq > above).count();
                assert_eq!(told, counted as u64, "day {day}, archived on {runs:?}");
                told
            };
            let read = if day < 80 { 0 } else { 13 };
            let all = unread(&c, read) + unread(&whole, 0);
            let counted = block_on(world.app.unread(&caller("bo"))).unwrap();
            assert_eq!((counted.messages, counted.badge), (all, all));
            block_on(world.app.push(vec![user("bo")], &whole, Seq::FIRST, 0)).unwrap();
            let pushes = world.memory.pushes();
            let badges: Vec<_> = pushes.iter().map(|(_, n)| n.badge).collect();
            assert_eq!((badges.len(), badges.last()), (day + 1, Some(&Some(all))));
        }
    }
}

/// How often a row of a log was read.
#[derive(Clone, Default)]
struct Reads(Arc<AtomicUsize>);

#[async_trait]
impl Meanwhile for Reads {
    async fn before_newest(&self, _: &ConversationId, _: usize) -> Result<()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn of_one_group_what_is_over_is_looked_for_once_for_all_whose_phones_ring() {
    let mut world = cold_world();
    let (group, names) = world.crowd(20);
    for round in 0..60 {
        world.say("ana", &group, &format!("m{round}"));
        world.memory.pass(DAY_MS);
    }
    archive(&world, &group);
    world.memory.pass(70 * DAY_MS);
    let last = world.say("ana", &group, "last").seq;
    // They have read more or less, in no order: some of what is over, some beyond it.
    for (n, name) in names.iter().enumerate() {
        let read = 1 + (n as u64 * 37) % 60;
        assert!(world.ack(name, &group, read, read).unwrap());
        world.phone(name);
    }
    let reads = Reads::default();
    world.app.log = Racing::new(world.memory.clone(), reads.clone());
    let to: Vec<UserId> = names.iter().map(|name| user(name)).collect();
    block_on(world.app.push(to, &group, last, 0)).unwrap();
    let pushes = world.memory.pushes();
    assert_eq!(pushes.len(), names.len());
    // The entry, a head each, and what is looked for.
    let most = 1 + names.len() + 5;
    let read = reads.0.load(Ordering::SeqCst);
    assert!(read <= most, "{read} reads for {} phones", names.len());
    for (endpoint, push) in pushes {
        let name = endpoint.as_str().strip_prefix("Fcm/").unwrap();
        let unread = block_on(world.app.unread(&caller(name))).unwrap();
        assert_eq!(push.badge, Some(unread.badge), "{name}");
    }
}

#[test]
fn an_archive_that_is_out_keeps_nobody_from_what_is_unread() {
    let world = cold_world();
    let c = old(&world, 20);
    world.memory.pass(5 * DAY_MS);
    world.say("ana", &c, "later");
    archive(&world, &c);
    world.memory.pass(94 * DAY_MS);
    world.say("ana", &c, "last");
    let unread = || {
        let synced = world.sync("bo", &[(&c, 22)], 200);
        let counted = block_on(world.app.unread(&caller("bo"))).unwrap();
        assert_eq!(synced.conversations[0].unread, counted.messages);
        counted.messages
    };
    assert_eq!(unread(), 2);
    // What is over lies in the archive, and cannot be told from the rest: it counts meanwhile; but for the first, whose row stays.
    world.memory.put_archive_out(true);
    assert_eq!(unread(), 21);
    world.memory.put_archive_out(false);
    assert_eq!(unread(), 2);
}

#[test]
fn what_a_shorter_rule_took_is_not_unread_under_a_longer_one() {
    let world = cold_world();
    let g = world.group("ana", &["bo"]);
    let keep = |days| block_on(world.app.change(&caller("ana"), &g, &kept_for(days))).unwrap();
    keep(2);
    for n in 0..9 {
        world.say("ana", &g, &format!("short-lived {n}"));
    }
    world.memory.pass(2 * DAY_MS + 1_000);
    for n in 0..5 {
        world.say("ana", &g, &format!("later {n}"));
    }
    assert_eq!(archive(&world, &g).expired, 11);
    keep(300);
    world.memory.pass(3 * DAY_MS);
    world.say("ana", &g, "last");
    assert_eq!(world.sync("bo", &[], 200).conversations[0].unread, 6);
}

#[test]
fn what_is_over_is_not_delivered_when_it_is_sent_again() {
    let world = cold_world();
    let c = direct("ana", "bo");
    let id = mint(&*world.memory);
    world.send_as("ana", &c, None, id, text("x")).unwrap();
    world.memory.pass(99 * DAY_MS);
    world.online("bo", "phone");
    let again = || world.send_as("ana", &c, None, id, text("x")).unwrap();
    let received = || world.received("phone", "message").len();
    assert!(again().duplicate && received() == 1);
    world.memory.pass(DAY_MS);
    assert!(again().duplicate && received() == 1, "it is sent, and nobody may read it any more");
}

#[test]
fn an_object_that_is_over_in_part_keeps_the_rest_only() {
    let world = cold_world();
    let c = old(&world, 10);
    for n in 0..10 {
        world.say("ana", &c, &format!("second {n}"));
    }
    world.memory.pass(2 * DAY_MS);
    archive(&world, &c);
    assert_eq!(objects(&world, &c), [17]);
    world.memory.pass(97 * DAY_MS);
    assert_eq!(archive(&world, &c).expired, 10);
    let rest = block_on(Archive::get(&*world.memory, &c, Seq::new(17))).unwrap().unwrap();
    assert_eq!(rest.entries[0].seq.get(), 11);
    assert_eq!(world.readable("bo", &c).unwrap(), (11..=20).collect::<Vec<_>>());
}

#[test]
fn a_groups_own_retention_holds_in_the_place_of_the_operators() {
    let world = cold_world();
    let g = world.group("ana", &["bo"]);
    let keep = |days| block_on(world.app.change(&caller("ana"), &g, &kept_for(days)));
    for bad in [3_651, u32::MAX] {
        assert_eq!(kind(keep(bad)), ErrorKind::BadRequest);
    }
    let entry = keep(2).unwrap().unwrap();
    assert_eq!(entry.seq.get(), 2);
    let refused = block_on(world.app.change(&caller("bo"), &g, &kept_for(9)));
    assert_eq!(kind(refused), ErrorKind::Forbidden);
    world.say("ana", &g, "short-lived");
    world.memory.pass(2 * DAY_MS - 1_000);
    world.say("ana", &g, "later");
    assert_eq!(world.readable("bo", &g).unwrap(), [1, 2, 3, 4]);
    world.memory.pass(2_000);
    // At once, and once the archiver has come; the timer was set for that.
    assert_eq!(world.readable("bo", &g).unwrap(), [4]);
    assert_eq!(archive(&world, &g).expired, 3);
    assert_eq!(world.memory.rows_of_log(&g), [1, 4]);
    assert_eq!(world.readable("bo", &g).unwrap(), [4]);
    let synced = world.sync("bo", &[], 200);
    assert_eq!((through(&synced), synced.conversations[0].unread), (vec![4], 1));

    // Longer than the operator's, and then back to that.
    keep(300).unwrap();
    world.memory.pass(200 * DAY_MS);
    assert_eq!(world.readable("bo", &g).unwrap(), [4, 5]);
    let group = block_on(world.app.group(&caller("bo"), &g)).unwrap();
    assert_eq!(group.retention_days, Some(300));
    keep(0).unwrap();
    assert_eq!(world.readable("bo", &g).unwrap(), [6]);
    assert!(keep(0).unwrap().is_some(), "said already: the same change again");
    let group = block_on(world.app.group(&caller("bo"), &g)).unwrap();
    assert_eq!(group.retention_days, None);
}

#[test]
fn the_two_of_a_direct_conversation_choose_how_long_it_keeps_messages() {
    let world = cold_world();
    let c = direct("ana", "bo");
    let change = |who: &str, intent: &Intent| block_on(world.app.change(&caller(who), &c, intent));
    let update =
        |name: Option<&str>, avatar: Option<Option<MediaId>>, retention_days: Option<u32>| {
            let name = name.map(str::to_owned);
            Intent::Update { name, post: None, add: None, avatar, retention_days }
        };
    let keep = |who: &str, days: u32| change(who, &update(None, None, Some(days)));
    assert_eq!(kind(keep("ana", 2)), ErrorKind::NotAMember, "it has not begun");
    world.say("ana", &c, "hi");
    let eve = Intent::Add([user("eve")].into());
    for (who, intent, refusal) in [
        ("eve", update(None, None, Some(2)), ErrorKind::NotAMember),
        ("ana", update(None, None, Some(3_651)), ErrorKind::BadRequest),
        ("ana", update(Some("us"), None, Some(2)), ErrorKind::BadRequest),
        ("ana", update(None, Some(None), Some(2)), ErrorKind::BadRequest),
        ("ana", update(None, None, None), ErrorKind::BadRequest),
        ("ana", eve, ErrorKind::BadRequest),
        ("ana", Intent::Remove([user("ana")].into()), ErrorKind::BadRequest),
        ("ana", Intent::SetRole(user("bo"), Role::Owner), ErrorKind::BadRequest),
    ] {
        assert_eq!(kind(change(who, &intent)), refusal, "{who} {intent:?}");
    }
    block_on(world.app.block(&caller("ana"), &user("bo"))).unwrap();
    assert_eq!(kind(keep("bo", 2)), ErrorKind::NotAMember, "as for a message");
    block_on(world.app.unblock(&caller("ana"), &user("bo"))).unwrap();
    assert_eq!(world.readable("bo", &c).unwrap(), [1], "nothing of that was stored");

    // Both hear of it, and once is enough.
    let entry = keep("bo", 2).unwrap().unwrap();
    assert_eq!(keep("bo", 2).unwrap(), Some(entry.clone()));
    assert_eq!((entry.seq.get(), entry.ordinal), (2, 1), "nobody wrote anything");
    assert_eq!(world.readable("ana", &c).unwrap(), [1, 2]);
    let shown = |who: &str| block_on(world.app.group(&caller(who), &c)).unwrap();
    assert_eq!((shown("ana").retention_days, shown("ana").info), (Some(2), None));
    world.memory.pass(2 * DAY_MS - 1_000);
    world.say("bo", &c, "later");
    assert_eq!(world.readable("bo", &c).unwrap(), [1, 2, 3]);
    world.memory.pass(2_000);
    assert_eq!(world.readable("bo", &c).unwrap(), [3]);
    assert_eq!(archive(&world, &c).expired, 2);
    // Another conversation of theirs has its own.
    keep("ana", 300).unwrap();
    world.memory.pass(200 * DAY_MS);
    assert_eq!(world.readable("ana", &c).unwrap(), [3, 4]);
    keep("ana", 0).unwrap();
    assert_eq!(world.readable("ana", &c).unwrap(), [5]);
    assert_eq!(shown("bo").retention_days, None);
}

#[test]
fn no_rule_of_a_conversation_goes_beyond_what_the_operator_lets_it() {
    let mut world = cold_world();
    let (c, g) = (direct("ana", "bo"), world.group("ana", &["bo"]));
    world.say("ana", &c, "hi");
    for of in [&c, &g] {
        block_on(world.app.change(&caller("ana"), of, &kept_for(300))).unwrap();
    }
    world.memory.pass(40 * DAY_MS);
    assert_eq!(world.readable("bo", &c).unwrap(), [1, 2]);
    world.app.settings.max_retention_days = 30;
    for of in [&c, &g] {
        assert!(world.readable("bo", of).unwrap().is_empty());
        let refused = block_on(world.app.change(&caller("ana"), of, &kept_for(31))).unwrap_err();
        assert_eq!(refused.message, "retention_days is 1 to 30, or 0");
        assert_eq!(block_on(world.app.group(&caller("bo"), of)).unwrap().retention_days, Some(30));
        assert_eq!(archive(&world, of).expired, 2);
    }
    world.app.settings.max_retention_days = 3_650;
    let synced = world.sync("bo", &[(&c, 0)], 9);
    let mut left = synced.batches.iter().flat_map(|b| &b.messages);
    assert!(left.all(|e| e.content.is_emptied()), "what is gone does not come back");
}
