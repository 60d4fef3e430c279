//! History that has left the table: archived, read through, expired.

mod dying;
mod retention;

use futures::executor::block_on;
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Archive, Cold, Log, mint};
use petrel_core::services::{Archived, Keeping, Range, Sent};
use petrel_core::{ErrorKind, Result};

use crate::world::*;

const DAY_MS: u64 = 86_400_000;

/// A world whose history is old after a day and over after a hundred; 3 entries stay.
fn cold_world() -> World {
    let mut world = World::new();
    world.app.settings.keeping =
        Keeping { hot_s: 86_400, tail: 3, least: 1, retention_s: 100 * 86_400 };
    world
}

/// A conversation of so many messages, all of them old.
fn old(world: &World, count: u64) -> ConversationId {
    let c = direct("ana", "bo");
    for n in 1..=count {
        world.say("ana", &c, &format!("m{n}"));
        // No faster than a conversation may be.
        world.memory.pass(10);
    }
    world.memory.pass(2 * DAY_MS);
    c
}

fn archive(world: &World, c: &ConversationId) -> Archived {
    block_on(world.app.archive(c)).unwrap()
}

fn history(world: &World, c: &ConversationId, range: Range, limit: usize) -> (Vec<u64>, bool) {
    world.memory.pass(20);
    let page = block_on(world.app.history(&caller("bo"), c, range, limit)).unwrap();
    (page.messages.iter().map(|e| e.seq.get()).collect(), page.more)
}

fn objects(world: &World, c: &ConversationId) -> Vec<u64> {
    let named = block_on(world.memory.list(c, Seq::ZERO, 100)).unwrap();
    named.into_iter().map(Seq::get).collect()
}

#[test]
fn old_entries_leave_the_table_but_the_first_and_the_newest() {
    let world = cold_world();
    let c = old(&world, 20);
    assert_eq!(archive(&world, &c), Archived { moved: 17, expired: 0 });
    assert_eq!(world.memory.rows_of_log(&c), [1, 18, 19, 20]);
    assert_eq!(objects(&world, &c), [17]);
    assert_eq!(archive(&world, &c), Archived::default(), "nothing is left to do");
    // What is younger than a day stays.
    for n in 0..10 {
        world.say("bo", &c, &format!("young {n}"));
    }
    assert_eq!(archive(&world, &c), Archived { moved: 3, expired: 0 });
    assert_eq!(world.memory.rows_of_log(&c)[1], 21);
    assert_eq!(objects(&world, &c), [17, 20]);
}

#[test]
fn few_old_entries_wait_for_more_unless_they_fill_an_object() {
    let mut world = cold_world();
    world.app.settings.keeping.least = 501;
    let c = old(&world, 600);
    assert_eq!(archive(&world, &c).moved, 500, "a full object, and 97 that wait");
    assert_eq!(objects(&world, &c), [500]);
}

#[test]
fn an_object_is_bounded_in_bytes() {
    let world = cold_world();
    let c = direct("ana", "bo");
    for _ in 0..150 {
        world.say("ana", &c, &"x".repeat(16 * 1024));
    }
    world.memory.pass(2 * DAY_MS);
    assert_eq!(archive(&world, &c).moved, 147);
    assert!(objects(&world, &c).len() >= 3, "{:?}", objects(&world, &c));
    assert_eq!(world.readable("bo", &c).unwrap().len(), 6, "a frame's worth");
}

#[test]
fn history_reads_through_the_table_into_the_archive() {
    let world = cold_world();
    let c = old(&world, 1_200);
    assert_eq!(archive(&world, &c).moved, 1_197);
    assert_eq!(objects(&world, &c), [500, 1_000, 1_197]);
    for limit in [1, 2, 7, 50, 100] {
        let (mut before, mut down) = (Seq::new(5_000), vec![]);
        loop {
            let (page, more) = history(&world, &c, Range::Before(before), limit);
            assert!(page.len() == limit || !more);
            before = Seq::new(page[0]);
            down.extend(page.into_iter().rev());
            if !more {
                break;
            }
        }
        assert_eq!(down, (1..=1_200).rev().collect::<Vec<_>>(), "down by {limit}");
        let (mut after, mut up) = (Seq::ZERO, vec![]);
        loop {
            let (page, more) = history(&world, &c, Range::After(after), limit);
            up.extend(page);
            after = Seq::new(up[up.len() - 1]);
            if !more {
                break;
            }
        }
        assert_eq!(up, (1..=1_200).collect::<Vec<_>>(), "up by {limit}");
    }
    // Across each edge, and beside it.
    for at in [2, 499, 500, 501, 1_000, 1_196, 1_197, 1_198, 1_200] {
        let (page, _) = history(&world, &c, Range::Before(Seq::new(at)), 5);
        assert_eq!(page, (at.saturating_sub(5).max(1)..at).collect::<Vec<_>>());
        let (page, more) = history(&world, &c, Range::After(Seq::new(at)), 5);
        assert_eq!(page, (at + 1..=(at + 5).min(1_200)).collect::<Vec<_>>());
        assert_eq!(more, at + 5 < 1_200);
    }
    assert_eq!(history(&world, &c, Range::After(Seq::new(1_200)), 5), (vec![], false));
    // And so does a sync of a device that slept meanwhile.
    let (mut cursor, mut got) = (0, vec![]);
    while cursor < 1_200 {
        let synced = world.sync("bo", &[(&c, cursor)], 200);
        got.extend(through(&synced));
        cursor = synced.conversations[0].sent_through.get();
    }
    assert_eq!(got, (1..=1_200).collect::<Vec<_>>());
}

#[test]
fn send_below_the_floor_asks_for_a_sync_and_stores_nothing() {
    let world = cold_world();
    let c = old(&world, 20);
    archive(&world, &c);
    let id = mint(&*world.memory);
    for seen in [0, 1, 5, 16] {
        let refused = world.send_as("bo", &c, Some(seen), id, text("x"));
        assert_eq!(kind(refused), ErrorKind::SyncRequired, "seen {seen}");
    }
    assert_eq!(world.memory.rows_of_log(&c).len(), 4);
    // At the floor itself all above is there.
    assert_eq!(world.send_as("bo", &c, Some(18), id, text("x")).unwrap().seq.get(), 21);
    // A caller without state is searched for in what is there.
    assert!(world.send_as("bo", &c, None, id, text("x")).unwrap().duplicate);
}

#[test]
fn acks_receipts_and_targets_find_what_is_archived() {
    let world = cold_world();
    let c = old(&world, 20);
    archive(&world, &c);
    assert!(world.ack("bo", &c, 19, 5).unwrap());
    let synced = world.sync("bo", &[(&c, 20)], 200);
    assert_eq!(synced.conversations[0].unread, 15);
    assert_eq!(kind(world.ack("bo", &c, 21, 0)), ErrorKind::BadRequest);
    let receipts = block_on(world.app.receipts(&caller("ana"), &c, Seq::new(4), None)).unwrap();
    assert_eq!((receipts.delivered, receipts.read), (1, 1));
    let reply =
        |target| Content::Reply { target: Seq::new(target), text: "y".into(), mentions: vec![] };
    let edit = Content::Edit { target: Seq::new(3), text: "y".into() };
    let id = || mint(&*world.memory);
    assert_eq!(world.send_as("bo", &c, Some(20), id(), reply(3)).unwrap().seq.get(), 21);
    assert_eq!(kind(world.send_as("bo", &c, Some(20), id(), reply(99))), ErrorKind::NotFound);
    assert_eq!(kind(world.send_as("ana", &c, Some(20), id(), edit)), ErrorKind::Forbidden);
}

#[test]
fn who_joins_after_the_floor_has_nothing_unread_from_before() {
    let world = cold_world();
    let g = world.group("ana", &["bo"]);
    for _ in 0..10 {
        world.say("ana", &g, "x");
    }
    world.memory.pass(2 * DAY_MS);
    block_on(world.app.add_members(&caller("ana"), &g, &[user("cy")])).unwrap();
    for _ in 0..4 {
        world.say("ana", &g, "y");
    }
    world.memory.pass(2 * DAY_MS);
    archive(&world, &g);
    assert_eq!(world.memory.rows_of_log(&g), [1, 14, 15, 16]);
    assert_eq!(world.readable("cy", &g).unwrap(), [12, 13, 14, 15, 16]);
    let synced = world.sync("cy", &[], 200);
    assert_eq!(synced.conversations[0].unread, 4);
    // The group is what it was, also for one who asks for it again.
    let group = block_on(world.app.group(&caller("cy"), &g)).unwrap();
    assert_eq!(group.created_by, user("ana"));
}

#[test]
fn what_is_lost_is_an_error_and_not_an_end() {
    let world = cold_world();
    let c = old(&world, 20);
    archive(&world, &c);
    world.memory.lose_objects();
    for range in [Range::Before(Seq::new(19)), Range::After(Seq::new(3))] {
        let lost = block_on(world.app.history(&caller("bo"), &c, range, 10)).unwrap_err();
        assert_eq!(lost.kind, ErrorKind::Busy);
        assert!(lost.with_causes().contains("neither in the table nor in the archive"));
    }
    // What lies in the table is there still, and messages go on.
    assert_eq!(history(&world, &c, Range::After(Seq::new(17)), 10).0, [18, 19, 20]);
    world.say("ana", &c, "and on");
}

#[test]
fn a_conversation_has_a_timer_from_the_start_and_for_ever() {
    let world = cold_world();
    let c = direct("ana", "bo");
    let g = world.group("ana", &["bo"]);
    world.say("ana", &c, "x");
    let timers = |world: &World| {
        world.memory.pass(DAY_MS / 4);
        world.memory.expired_timers()
    };
    for _ in 0..3 {
        let over = timers(&world);
        assert_eq!(over, [c.clone(), g.clone()]);
        for c in &over {
            archive(&world, c);
        }
    }
    // One that was lost comes back with time.
    timers(&world);
    for _ in 0..300 {
        world.say("ana", &c, "x");
    }
    assert_eq!(timers(&world), [c]);
}

#[test]
fn history_around_a_seq_shows_both_sides_of_it() {
    let world = cold_world();
    let c = old(&world, 700);
    archive(&world, &c);
    let around = |seq: u64, limit: usize| {
        let range = Range::Around(Seq::new(seq));
        let page = block_on(world.app.history(&caller("bo"), &c, range, limit)).unwrap();
        let seqs: Vec<u64> = page.messages.iter().map(|e| e.seq.get()).collect();
        (seqs, page.more_before.unwrap(), page.more)
    };
    assert_eq!(around(350, 5), ((348..=352).collect(), true, true));
    assert_eq!(around(350, 4), ((349..=352).collect(), true, true));
    assert_eq!(around(350, 1), (vec![350], true, true));
    // Across the edges of objects and of the table, and at both ends.
    assert_eq!(around(500, 4), ((499..=502).collect(), true, true));
    assert_eq!(around(697, 4), ((696..=699).collect(), true, true));
    assert_eq!(around(1, 4), ((1..=4).collect(), false, true));
    assert_eq!(around(700, 4), ((699..=700).collect(), true, false));
    assert_eq!(around(900, 4), ((699..=700).collect(), true, false));
    assert_eq!(around(0, 4), ((1..=4).collect(), false, true));
    let (all, _, _) = around(350, 100);
    assert_eq!(all, (301..=400).collect::<Vec<_>>());

    // The longest entries: the one that was asked for is among what fits.
    let large = direct("ana", "cy");
    for _ in 0..20 {
        world.say("ana", &large, &"x".repeat(16 * 1024));
    }
    let range = Range::Around(Seq::new(10));
    let page = block_on(world.app.history(&caller("cy"), &large, range, 20)).unwrap();
    assert!(page.messages.iter().any(|e| e.seq.get() == 10) && page.more);
    assert_eq!(page.more_before, Some(true));
}

#[test]
fn an_export_holds_all_that_its_reader_may_read() {
    let world = cold_world();
    let g = world.group("ana", &["bo"]);
    for n in 0..600 {
        world.say("ana", &g, &format!("{n}"));
    }
    block_on(world.app.add_members(&caller("ana"), &g, &[user("cy")])).unwrap();
    for _ in 0..80 {
        world.say("ana", &g, &"x".repeat(16 * 1024));
    }
    world.memory.pass(2 * DAY_MS);
    archive(&world, &g);
    let all = |who: &str| {
        let (mut all, mut pages, mut after) = (vec![], 0, Seq::ZERO);
        loop {
            let page = block_on(world.app.export(&caller(who), &g, after)).unwrap();
            let Some(last) = page.last() else { return (all, pages) };
            after = last.seq;
            pages += 1;
            all.extend(page.iter().map(|e| e.seq.get()));
        }
    };
    let (mine, pages) = all("bo");
    assert_eq!(mine, (1..=682).collect::<Vec<_>>());
    assert!((2..=4).contains(&pages), "{pages} pages");
    assert_eq!(all("cy").0, (602..=682).collect::<Vec<_>>(), "from the joining on");
    let stranger = block_on(world.app.export(&caller("eve"), &g, Seq::ZERO));
    assert_eq!(kind(stranger), ErrorKind::NotAMember);
}

fn delete(world: &World, who: &str, c: &ConversationId, target: u64) -> Result<Sent> {
    let content = Content::Delete { target: Seq::new(target) };
    world.send_as(who, c, None, mint(&*world.memory), content)
}

/// Everything that lies anywhere, as text: rows, and objects.
fn everything(world: &World, c: &ConversationId) -> String {
    let mut all = block_on(world.memory.after(c, Seq::ZERO, 10_000)).unwrap();
    for last in objects(world, c) {
        let object = block_on(Archive::get(&*world.memory, c, Seq::new(last))).unwrap().unwrap();
        all.extend(object.entries);
    }
    serde_json::to_string(&all).unwrap()
}

fn read_all(world: &World, c: &ConversationId) -> Vec<Entry> {
    let (mut all, mut at) = (vec![], Seq::ZERO);
    loop {
        world.memory.pass(20);
        let range = Range::After(at);
        let page = block_on(world.app.history(&caller("bo"), c, range, 100)).unwrap();
        at = page.messages.last().map_or(at, |e| e.seq);
        all.extend(page.messages);
        if !page.more {
            return all;
        }
    }
}

/// Message 5 said a secret, and two edits of it did.
fn with_a_secret(world: &World) -> ConversationId {
    let c = direct("ana", "bo");
    for n in 1..=20 {
        world.say("ana", &c, if n == 5 { "secret 1" } else { "said" });
        world.memory.pass(10);
    }
    for n in 2..=3 {
        let content = Content::Edit { target: Seq::new(5), text: format!("secret {n}") };
        world.send_as("ana", &c, None, mint(&*world.memory), content).unwrap();
    }
    for _ in 0..5 {
        world.say("bo", &c, "said");
    }
    world.memory.pass(2 * DAY_MS);
    c
}

#[test]
fn what_is_deleted_from_the_archive_is_nowhere_any_more() {
    let world = cold_world();
    let c = with_a_secret(&world);
    archive(&world, &c);
    assert_eq!(world.memory.rows_of_log(&c), [1, 25, 26, 27]);
    assert_eq!(kind(delete(&world, "bo", &c, 5)), ErrorKind::Forbidden);
    assert_eq!(delete(&world, "ana", &c, 5).unwrap().seq.get(), 28);
    // At once for readers, though the object still says it.
    let seen = |world: &World| serde_json::to_string(&read_all(world, &c)).unwrap();
    assert!(everything(&world, &c).contains("secret") && !seen(&world).contains("secret"));
    let all = read_all(&world, &c);
    assert_eq!(all.iter().map(|e| e.seq.get()).collect::<Vec<_>>(), (1..=28).collect::<Vec<_>>());
    assert_eq!(all[4].content, Content::Gone { why: petrel_core::message::Why::Deleted });
    // A second one finds it gone.
    assert_eq!(kind(delete(&world, "ana", &c, 5)), ErrorKind::NotFound);
    // The next run takes it out of the object, and the one after that finds nothing to do.
    let before = block_on(world.memory.floor(&c)).unwrap();
    archive(&world, &c);
    assert!(!everything(&world, &c).contains("secret") && !seen(&world).contains("secret"));
    let noted = block_on(world.memory.redactions(&c, Seq::FIRST, Seq::new(99), 9)).unwrap();
    assert!(noted.is_empty());
    let floor = block_on(world.memory.floor(&c)).unwrap();
    assert!(floor.version > before.version && floor.until == 0);
    archive(&world, &c);
    assert_eq!(block_on(world.memory.floor(&c)).unwrap(), floor);
    assert_eq!(kind(delete(&world, "ana", &c, 5)), ErrorKind::NotFound);
    // The first entry lies in the table and in the archive.
    assert_eq!(delete(&world, "ana", &c, 1).unwrap().seq.get(), 29);
    assert!(matches!(read_all(&world, &c)[0].content, Content::Gone { .. }));
    archive(&world, &c);
    assert_eq!(read_all(&world, &c).len(), 29);
}

#[test]
fn a_message_takes_so_many_edits_and_says_so() {
    let world = cold_world();
    let c = direct("ana", "bo");
    world.say("ana", &c, "first");
    let edit = |text: &str| {
        let content = Content::Edit { target: Seq::FIRST, text: text.into() };
        world.send_as("ana", &c, None, mint(&*world.memory), content)
    };
    for n in 0..20 {
        edit(&format!("secret {n}")).unwrap();
    }
    let refused = edit("once more").unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert!(refused.message.contains("at most 20 edits"), "{}", refused.message);
    delete(&world, "ana", &c, 1).unwrap();
    assert!(!everything(&world, &c).contains("secret"));
}

#[test]
fn what_may_be_archived_is_edited_no_more() {
    let mut world = cold_world();
    let c = direct("ana", "bo");
    world.say("ana", &c, "first");
    let edit = |world: &World| {
        let content = Content::Edit { target: Seq::FIRST, text: "x".into() };
        world.send_as("ana", &c, None, mint(&*world.memory), content)
    };
    // For ever, as far as that goes, and for a week: half of the day that it stays in the table.
    for window in [0, 7 * 86_400] {
        world.app.settings.edit_window_s = window;
        edit(&world).unwrap();
    }
    world.memory.pass(DAY_MS / 2 + 1);
    for window in [0, 7 * 86_400] {
        world.app.settings.edit_window_s = window;
        assert_eq!(kind(edit(&world)), ErrorKind::Forbidden);
    }
}

#[test]
fn an_archive_that_is_out_keeps_no_other_conversation_from_its_reader() {
    let world = cold_world();
    let c = old(&world, 20);
    archive(&world, &c);
    let other = direct("bo", "cy");
    world.say("cy", &other, "here");
    world.memory.put_archive_out(true);
    let synced = world.sync("bo", &[(&c, 5), (&other, 0)], 200);
    let told: Vec<_> =
        synced.conversations.iter().map(|c| (c.sent_through.get(), c.unavailable)).collect();
    assert_eq!(told, [(5, true), (1, false)]);
    assert_eq!(synced.batches.len(), 1);
    let range = Range::After(Seq::new(5));
    let out = block_on(world.app.history(&caller("bo"), &c, range, 10));
    assert_eq!(kind(out), ErrorKind::Busy);
    world.say("ana", &c, "sending needs no archive");
    world.memory.put_archive_out(false);
    let synced = world.sync("bo", &[(&c, 5)], 200);
    assert_eq!(through(&synced).len(), 17);
    assert!(synced.conversations.iter().all(|c| !c.unavailable));
}
