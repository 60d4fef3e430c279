//! The services one by one: what each promises, and what each refuses, with the exact code.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;

use futures::executor::block_on;
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, MessageId, Seq, UserId};
use petrel_core::message::{Content, MAX_TEXT_BYTES, MembershipChange};
use petrel_core::ports::{Connection, Connections, Job, Log, mint};
use petrel_core::services::{
    Ack, NewGroup, Outgoing, Range, SendRequest, Sent, SyncRequest, Synced,
};
use petrel_core::testing::Memory;
use petrel_core::{App, Caller, Error, ErrorKind};

struct World {
    memory: Arc<Memory>,
    app: App,
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn caller(name: &str) -> Caller {
    Caller { user: user(name), connection: Some(ConnectionId::parse(name).unwrap()) }
}

fn direct(a: &str, b: &str) -> ConversationId {
    ConversationId::direct(&user(a), &user(b))
}

fn text(text: &str) -> Content {
    Content::Text { text: text.into() }
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind
}

impl World {
    fn new() -> Self {
        let memory = Arc::new(Memory::default());
        Self { app: memory.app(), memory }
    }

    fn online(&self, name: &str, device: &str) {
        let connection = Connection {
            user: user(name),
            device: DeviceId::parse(device).unwrap(),
            id: ConnectionId::parse(device).unwrap(),
            connected_at: self.app.world.now_ms(),
        };
        block_on(self.app.connect(&connection)).unwrap();
    }

    fn send_as(
        &self,
        from: &str,
        to: &ConversationId,
        seen: Option<u64>,
        id: MessageId,
        content: Content,
    ) -> Result<Sent, Error> {
        let send = SendRequest {
            conversation: to.clone(),
            seen: seen.map(Seq::new),
            messages: vec![Outgoing { message_id: id, content }],
        };
        let mut results = block_on(self.app.send(&caller(from), send))?;
        results.remove(0).map_err(|(_, error)| error)
    }

    fn say(&self, from: &str, to: &ConversationId, words: &str) -> Sent {
        self.send_as(from, to, None, mint(&*self.memory), text(words)).unwrap()
    }

    fn group(&self, creator: &str, members: &[&str]) -> ConversationId {
        let group = NewGroup {
            name: "trip".into(),
            members: members.iter().map(|m| user(m)).collect(),
            request_id: None,
        };
        block_on(self.app.create_group(&caller(creator), group)).unwrap().conversation_id
    }

    fn crowd(&self, size: usize) -> (ConversationId, Vec<String>) {
        let names: Vec<String> = (1..size).map(|i| format!("u{i:04}")).collect();
        let members: Vec<&str> = names.iter().map(String::as_str).collect();
        (self.group("ana", &members), names)
    }

    fn sync(&self, who: &str, cursors: &[(&ConversationId, u64)], limit: usize) -> Synced {
        let sync = SyncRequest {
            cursors: cursors.iter().map(|(c, s)| ((*c).clone(), Seq::new(*s))).collect(),
            limit,
            tail: false,
            page: None,
        };
        block_on(self.app.sync(&caller(who), &sync)).unwrap()
    }

    fn ack(&self, who: &str, c: &ConversationId, delivered: u64, read: u64) -> Result<bool, Error> {
        let some = |n: u64| (n > 0).then(|| Seq::new(n));
        let ack = Ack { conversation: c.clone(), delivered: some(delivered), read: some(read) };
        Ok(block_on(self.app.ack(&caller(who), &ack))?.is_some())
    }

    fn readable(&self, who: &str, c: &ConversationId) -> Result<Vec<u64>, Error> {
        let range = Range::After(Seq::ZERO);
        let page = block_on(self.app.history(&caller(who), c, range, 100))?;
        Ok(page.messages.iter().map(|e| e.seq.get()).collect())
    }

    /// The frames of this type that reached a connection.
    fn received(&self, connection: &str, kind: &str) -> Vec<serde_json::Value> {
        let posts = self.memory.posts();
        let frames = posts.iter().filter(|(c, _)| c.as_str() == connection);
        frames
            .map(|(_, f)| serde_json::from_str::<serde_json::Value>(f).unwrap())
            .filter(|f| f["type"] == kind)
            .collect()
    }
}

fn through(synced: &Synced) -> Vec<u64> {
    synced.batches.iter().flat_map(|b| b.messages.iter().map(|e| e.seq.get())).collect()
}

#[test]
fn a_message_reaches_every_other_device_and_not_the_one_that_sent_it() {
    let world = World::new();
    for (name, device) in [("ana", "ana"), ("ana", "ana-2"), ("bo", "bo")] {
        world.online(name, device);
    }
    let sent = world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!((sent.seq, sent.duplicate), (Seq::FIRST, false));
    let got = |device| world.received(device, "message").len();
    assert_eq!((got("ana"), got("ana-2"), got("bo")), (0, 1, 1));
    assert!(world.memory.jobs().is_empty());
}

#[test]
fn a_resend_is_answered_with_the_first_place_and_delivered_again_as_stored() {
    let world = World::new();
    world.online("bo", "bo");
    let c = direct("ana", "bo");
    let id = mint(&*world.memory);
    let first = world.send_as("ana", &c, Some(0), id, text("one")).unwrap();
    world.say("bo", &c, "between");
    let again = world.send_as("ana", &c, Some(0), id, text("another text")).unwrap();
    assert_eq!(again, Sent { duplicate: true, ..first });
    let texts: Vec<_> =
        world.received("bo", "message").iter().map(|f| f["content"]["text"].clone()).collect();
    assert!(texts.contains(&"one".into()) && !texts.contains(&"another text".into()));
    // The same id from somebody else is another message.
    assert!(!world.send_as("bo", &c, Some(0), id, text("mine")).unwrap().duplicate);
}

#[test]
fn several_messages_in_one_send_keep_their_order_up_to_the_first_failure() {
    let world = World::new();
    let c = direct("ana", "bo");
    let out = |content| Outgoing { message_id: mint(&*world.memory), content };
    let bad_target = Content::Reply { target: Seq::new(99), text: "?".into() };
    let send = SendRequest {
        conversation: c.clone(),
        seen: Some(Seq::ZERO),
        messages: vec![out(text("a")), out(text("b")), out(bad_target), out(text("never"))],
    };
    let results = block_on(world.app.send(&caller("ana"), send)).unwrap();
    let seqs: Vec<_> = results.iter().map(|r| r.as_ref().map(|s| s.seq.get()).ok()).collect();
    assert_eq!(seqs, [Some(1), Some(2), None]);
    assert_eq!(results[2].as_ref().unwrap_err().1.kind, ErrorKind::NotFound);
    assert_eq!(world.readable("bo", &c).unwrap(), [1, 2]);
}

#[test]
fn what_send_refuses() {
    let world = World::new();
    let c = direct("ana", "bo");
    for words in ["1", "2", "3"] {
        world.say("ana", &c, words);
    }
    let group = world.group("ana", &["bo"]);
    world.memory.block(&user("bo"), &user("eve"));
    let long = "x".repeat(MAX_TEXT_BYTES + 1);
    let system = Content::System { change: MembershipChange::Added { members: vec![user("eve")] } };
    let edit = |target| Content::Edit { target: Seq::new(target), text: "x".into() };
    let nowhere = ConversationId::parse("g:0192f3c4-0000-7000-8000-00000000dead").unwrap();
    for (who, to, seen, content, expected) in [
        ("ana", &c, Some(4), text("seen in the future"), ErrorKind::SyncRequired),
        ("ana", &c, Some(u64::MAX), text("seen at the end"), ErrorKind::SyncRequired),
        ("ana", &c, Some(3), text(""), ErrorKind::BadRequest),
        ("ana", &c, Some(3), text(&long), ErrorKind::TooLarge),
        ("ana", &c, Some(3), system, ErrorKind::BadRequest),
        ("bo", &c, Some(3), edit(1), ErrorKind::Forbidden),
        ("bo", &c, Some(3), Content::Delete { target: Seq::new(1) }, ErrorKind::Forbidden),
        ("ana", &c, Some(3), edit(0), ErrorKind::NotFound),
        ("ana", &c, Some(3), edit(9), ErrorKind::NotFound),
        ("ana", &group, Some(1), edit(1), ErrorKind::NotFound),
        ("ana", &direct("ana", "cy"), Some(0), edit(1), ErrorKind::NotFound),
        ("eve", &group, Some(1), text("a stranger who guesses the head"), ErrorKind::NotAMember),
        ("eve", &c, Some(3), text("a stranger"), ErrorKind::NotAMember),
        ("eve", &c, Some(9), text("a stranger with a bad seen"), ErrorKind::NotAMember),
        ("eve", &group, None, text("a stranger"), ErrorKind::NotAMember),
        ("eve", &group, Some(7), text("a stranger with a bad seen"), ErrorKind::NotAMember),
        ("eve", &nowhere, None, text("no such group"), ErrorKind::NotAMember),
        ("eve", &direct("bo", "eve"), Some(0), text("blocked"), ErrorKind::NotAMember),
    ] {
        let id = mint(&*world.memory);
        let label = format!("{who} to {to}: {content:?}");
        assert_eq!(kind(world.send_as(who, to, seen, id, content)), expected, "{label:.80}");
    }
    let none = SendRequest { conversation: c.clone(), seen: None, messages: vec![] };
    assert_eq!(kind(block_on(world.app.send(&caller("ana"), none))), ErrorKind::BadRequest);
    // Nothing of it was stored, nor half of it: not even the row of a conversation that did not come about.
    assert!(world.sync("cy", &[], 200).conversations.is_empty());
    assert_eq!(kind(world.readable("cy", &direct("ana", "cy"))), ErrorKind::NotAMember);
    assert_eq!(world.readable("ana", &c).unwrap(), [1, 2, 3]);
    assert_eq!(world.readable("ana", &group).unwrap(), [1]);
    assert!(block_on(world.memory.after(&nowhere, Seq::ZERO, 9)).unwrap().is_empty());
    assert_eq!(kind(world.readable("eve", &direct("bo", "eve"))), ErrorKind::NotAMember);
}

#[test]
fn seen_may_lie_500_behind_and_no_further() {
    let world = World::new();
    let c = direct("ana", "bo");
    for _ in 0..501 {
        world.say("ana", &c, "x");
    }
    let send = |seen| world.send_as("bo", &c, Some(seen), mint(&*world.memory), text("y"));
    assert_eq!(kind(send(0)), ErrorKind::SyncRequired);
    assert_eq!(send(1).unwrap().seq, Seq::new(502));
}

#[test]
fn up_to_32_recipients_are_posted_to_and_more_go_through_the_queue() {
    for (size, chunks) in [(32, 0), (33, 1), (1000, 10)] {
        let world = World::new();
        let (group, names) = world.crowd(size);
        for name in &names {
            world.online(name, name);
        }
        let before = world.memory.jobs().len();
        let sent = world.say("ana", &group, "hello all");
        let jobs = world.memory.jobs().split_off(before);
        let fan_outs = jobs.iter().filter(|j| matches!(j, Job::FanOut { .. })).count();
        assert_eq!(fan_outs, chunks, "a group of {size}");
        for job in jobs {
            if let Job::FanOut { entry, to, except, attempt } = job {
                block_on(world.app.deliver_chunk(&entry, to, except, attempt)).unwrap();
            }
        }
        for name in &names {
            let frames = world.received(name, "message");
            let copies = frames.iter().filter(|f| f["seq"] == sent.seq.get()).count();
            assert_eq!(copies, 1, "{name} in a group of {size}");
        }
    }
}

#[test]
fn who_is_offline_gets_a_push_and_a_dead_socket_is_removed_once_it_is_old() {
    let world = World::new();
    world.online("bo", "bo");
    world.memory.cut(&ConnectionId::parse("bo").unwrap());
    let c = direct("ana", "bo");
    world.say("ana", &c, "young");
    let connected = || block_on(world.memory.of(&[user("bo")])).unwrap().len();
    assert_eq!((connected(), world.memory.jobs().len()), (1, 1));
    world.memory.pass(60_000);
    world.say("ana", &c, "old");
    assert_eq!((connected(), world.memory.jobs().len()), (0, 2));
    // The author is not woken about his own words.
    let for_bo = |j: &Job| matches!(j, Job::Push { user, .. } if user.as_str() == "bo");
    assert!(world.memory.jobs().iter().all(for_bo));
}

#[test]
fn a_thousand_messages_queued_while_offline_arrive_in_order() {
    let world = World::new();
    let c = direct("ana", "bo");
    for _ in 0..1000 {
        world.say("ana", &c, "x");
    }
    let (mut cursor, mut got) = (0, vec![]);
    loop {
        let synced = world.sync("bo", &[(&c, cursor)], 200);
        got.extend(through(&synced));
        let conversation = &synced.conversations[0];
        cursor = conversation.sent_through.get();
        assert_eq!(synced.batches.last().unwrap().more, cursor < 1000);
        if cursor == conversation.head.get() {
            break;
        }
    }
    assert_eq!(got, (1..=1000).collect::<Vec<_>>());
}

#[test]
fn sync_finds_a_conversation_without_a_cursor_and_ends_at_its_limits() {
    let world = World::new();
    let c = direct("ana", "bo");
    let big = "x".repeat(MAX_TEXT_BYTES);
    for _ in 0..100 {
        world.say("ana", &c, &big);
    }
    let synced = world.sync("bo", &[], 200);
    let bytes: usize = synced
        .batches
        .iter()
        .map(|b| petrel_core::wire::ServerFrame::batch(b).to_json().len())
        .inspect(|b| assert!(*b <= 104 * 1024, "a batch of {b} bytes"))
        .sum();
    assert!((1_000_000..1_300_000).contains(&bytes), "{bytes} bytes in one sync");
    assert!(synced.conversations[0].sent_through < synced.conversations[0].head);
    // A cursor from the future hides nothing that comes later.
    assert_eq!(world.sync("bo", &[(&c, 5_000)], 200).conversations[0].sent_through.get(), 100);
    for limit in [0, 201] {
        let sync = SyncRequest { cursors: [].into(), limit, tail: false, page: None };
        assert_eq!(kind(block_on(world.app.sync(&caller("bo"), &sync))), ErrorKind::BadRequest);
    }
}

#[test]
fn history_reads_both_ways_without_holes() {
    let world = World::new();
    let c = direct("ana", "bo");
    for _ in 0..10 {
        world.say("ana", &c, "x");
    }
    for (range, expected, more) in [
        (Range::Before(Seq::new(8)), vec![5, 6, 7], true),
        (Range::Before(Seq::new(3)), vec![1, 2], false),
        (Range::Before(Seq::FIRST), vec![], false),
        (Range::After(Seq::new(5)), vec![6, 7, 8], true),
        (Range::After(Seq::new(7)), vec![8, 9, 10], false),
        (Range::After(Seq::new(10)), vec![], false),
        (Range::After(Seq::new(u64::MAX)), vec![], false),
    ] {
        let page = block_on(world.app.history(&caller("bo"), &c, range, 3)).unwrap();
        let seqs: Vec<_> = page.messages.iter().map(|e| e.seq.get()).collect();
        assert_eq!((seqs, page.more), (expected, more), "{range:?}");
    }
    for limit in [0, 101] {
        let bo = caller("bo");
        let page = world.app.history(&bo, &c, Range::After(Seq::ZERO), limit);
        assert_eq!(kind(block_on(page)), ErrorKind::BadRequest);
    }
    assert_eq!(kind(world.readable("eve", &c)), ErrorKind::NotAMember);
}

#[test]
fn watermarks_only_grow_and_the_author_is_told() {
    let world = World::new();
    world.online("ana", "ana");
    let c = direct("ana", "bo");
    for _ in 0..3 {
        world.say("ana", &c, "x");
    }
    assert_eq!(world.sync("bo", &[(&c, 0)], 200).conversations[0].unread, 3);
    assert!(world.ack("bo", &c, 3, 0).unwrap());
    assert!(world.ack("bo", &c, 0, 2).unwrap());
    // Replayed and reordered acks change nothing.
    assert!(!world.ack("bo", &c, 2, 1).unwrap());
    let conversation = &world.sync("bo", &[(&c, 3)], 200).conversations[0];
    let marks = (conversation.marks.delivered.get(), conversation.marks.read.get());
    assert_eq!((marks, conversation.unread), ((3, 2), 1));
    let receipts: Vec<_> = world
        .received("ana", "receipt")
        .iter()
        .map(|f| (f["user_id"].clone(), f["delivered"].clone(), f["read"].clone()))
        .collect();
    let expected = [("bo".into(), 3.into(), 0.into()), ("bo".into(), 3.into(), 2.into())];
    assert_eq!(receipts, expected);
    for (who, delivered, read, expected) in [
        ("bo", 4, 0, ErrorKind::BadRequest),
        ("bo", 0, 4, ErrorKind::BadRequest),
        ("bo", 0, 0, ErrorKind::BadRequest),
        ("eve", 1, 1, ErrorKind::NotAMember),
    ] {
        assert_eq!(kind(world.ack(who, &c, delivered, read)), expected, "{who} {delivered} {read}");
    }
}

#[test]
fn edits_and_reactions_do_not_count_as_unread() {
    let world = World::new();
    let c = direct("ana", "bo");
    world.say("ana", &c, "x");
    for content in [
        Content::Edit { target: Seq::FIRST, text: "y".into() },
        Content::Reaction { target: Seq::FIRST, emoji: "👍".into(), remove: false },
        Content::Delete { target: Seq::FIRST },
    ] {
        world.send_as("ana", &c, None, mint(&*world.memory), content).unwrap();
    }
    let conversation = &world.sync("bo", &[], 200).conversations[0];
    assert_eq!((conversation.head.get(), conversation.unread), (4, 1));
}

#[test]
fn who_joins_reads_from_there_on_and_who_leaves_reads_nothing_more() {
    let world = World::new();
    let group = world.group("ana", &["bo"]);
    world.say("ana", &group, "before cy");
    let add = |users: &[UserId]| block_on(world.app.add_members(&caller("ana"), &group, users));
    assert_eq!(add(&[user("cy")]).unwrap().unwrap().seq, Seq::new(3));
    // Asked again, nothing changes: the same entry is delivered again.
    assert_eq!(add(&[user("cy")]).unwrap().unwrap().seq, Seq::new(3));
    world.say("bo", &group, "after cy");
    assert_eq!(world.readable("cy", &group).unwrap(), [3, 4]);
    assert_eq!(world.sync("cy", &[(&group, 0)], 200).conversations[0].unread, 1);
    assert_eq!(through(&world.sync("cy", &[(&group, 0)], 200)), [3, 4]);

    world.online("bo", "bo");
    let leave = |who: &str| block_on(world.app.remove_members(&caller(who), &group, &[user(who)]));
    assert_eq!(leave("bo").unwrap().unwrap().seq, Seq::new(5));
    world.say("ana", &group, "without bo");
    assert!(world.received("bo", "message").is_empty());
    assert_eq!(kind(world.readable("bo", &group)), ErrorKind::NotAMember);
    let id = mint(&*world.memory);
    assert_eq!(kind(world.send_as("bo", &group, None, id, text("x"))), ErrorKind::NotAMember);
    // Back again, he reads from his second joining on.
    assert_eq!(add(&[user("bo")]).unwrap().unwrap().seq, Seq::new(7));
    assert_eq!(world.readable("bo", &group).unwrap(), [7]);
}

#[test]
fn what_membership_refuses() {
    let world = World::new();
    let (group, _) = world.crowd(999);
    let add = |who: &str, to: &ConversationId, users: &[&str]| {
        let users: Vec<_> = users.iter().map(|u| user(u)).collect();
        kind(block_on(world.app.add_members(&caller(who), to, &users)))
    };
    assert_eq!(add("ana", &group, &["x", "y"]), ErrorKind::TooManyMembers);
    assert_eq!(add("u0001", &group, &["x"]), ErrorKind::Forbidden);
    assert_eq!(add("eve", &group, &["eve"]), ErrorKind::NotAMember);
    assert_eq!(add("ana", &group, &[]), ErrorKind::BadRequest);
    assert_eq!(add("ana", &direct("ana", "bo"), &["x"]), ErrorKind::BadRequest);
    let remove = block_on(world.app.remove_members(&caller("u0001"), &group, &[user("u0002")]));
    assert_eq!(kind(remove), ErrorKind::Forbidden);

    let create = |name: &str, members: usize| {
        let members = (0..members).map(|i| user(&format!("m{i}"))).collect();
        let group = NewGroup { name: name.into(), members, request_id: None };
        kind(block_on(world.app.create_group(&caller("ana"), group)))
    };
    assert_eq!(create("trip", 1000), ErrorKind::TooManyMembers);
    assert_eq!(create("trip", 0), ErrorKind::BadRequest);
    assert_eq!(create("", 2), ErrorKind::BadRequest);
    assert_eq!(create(&"x".repeat(257), 2), ErrorKind::BadRequest);
}

#[test]
fn creating_a_group_can_be_repeated() {
    let world = World::new();
    let create = |members: &[&str]| {
        let group = NewGroup {
            name: "trip".into(),
            members: members.iter().map(|m| user(m)).collect(),
            request_id: Some("r1".into()),
        };
        block_on(world.app.create_group(&caller("ana"), group)).unwrap()
    };
    let first = create(&["bo", "cy"]);
    assert_eq!(create(&["cy", "bo"]), first);
    assert_ne!(create(&["bo"]).conversation_id, first.conversation_id);
}

#[test]
fn notes_to_self_need_no_one_else() {
    let world = World::new();
    let c = direct("ana", "ana");
    assert_eq!(world.say("ana", &c, "milk").seq, Seq::FIRST);
    assert_eq!(world.readable("ana", &c).unwrap(), [1]);
}

#[test]
fn typing_reaches_the_others_who_are_online_and_leaves_no_trace() {
    let world = World::new();
    for name in ["ana", "bo"] {
        world.online(name, name);
    }
    let typing = |who: &str, c: &ConversationId| block_on(world.app.typing(&caller(who), c, true));
    let c = direct("ana", "bo");
    // Before the first message there is no conversation to type in.
    assert_eq!(kind(typing("ana", &c)), ErrorKind::NotAMember);
    world.say("ana", &c, "hi");
    typing("ana", &c).unwrap();
    assert_eq!(world.received("bo", "typing")[0]["user_id"], "ana");
    assert!(world.received("ana", "typing").is_empty());
    assert!(world.memory.jobs().is_empty());
    assert_eq!(kind(typing("eve", &c)), ErrorKind::NotAMember);
    assert_eq!(kind(typing("ana", &world.crowd(33).0)), ErrorKind::BadRequest);
    world.memory.block(&user("bo"), &user("ana"));
    assert_eq!(kind(typing("ana", &c)), ErrorKind::NotAMember);
}

#[test]
fn a_late_connect_or_disconnect_leaves_the_newer_socket() {
    let world = World::new();
    let (bo, phone) = (user("bo"), DeviceId::parse("phone").unwrap());
    let socket = |id: &str, connected_at| Connection {
        user: bo.clone(),
        device: phone.clone(),
        id: ConnectionId::parse(id).unwrap(),
        connected_at,
    };
    for connection in [socket("new", 2), socket("old", 1)] {
        block_on(world.app.connect(&connection)).unwrap();
    }
    block_on(world.app.disconnect(&bo, &phone, &socket("old", 1).id)).unwrap();
    world.say("ana", &direct("ana", "bo"), "hi");
    assert_eq!(world.received("new", "message").len(), 1);
    block_on(world.app.disconnect(&bo, &phone, &socket("new", 2).id)).unwrap();
    assert!(block_on(world.memory.of(&[bo])).unwrap().is_empty());
}

#[test]
fn an_overloaded_gateway_is_tried_again_a_bounded_number_of_times_and_then_a_push_is_queued() {
    let world = World::new();
    world.online("bo", "bo");
    world.memory.overload(&ConnectionId::parse("bo").unwrap());
    world.say("ana", &direct("ana", "bo"), "hi");
    let mut attempts = vec![];
    let mut done = 0;
    while let Some(job) = world.memory.jobs().get(done).cloned() {
        done += 1;
        if let Job::FanOut { entry, to, except, attempt } = job {
            attempts.push(attempt);
            block_on(world.app.deliver_chunk(&entry, to, except, attempt)).unwrap();
        }
    }
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    assert!(matches!(world.memory.jobs()[5..], [Job::Push { .. }]));
}

#[test]
fn an_outage_of_the_queue_stops_no_one_from_sending() {
    let world = World::new();
    let (group, names) = world.crowd(250);
    for name in &names {
        world.online(name, name);
    }
    world.memory.overload(&ConnectionId::parse("u0001").unwrap());
    world.memory.stop_queue();
    let sent = world.say("ana", &group, "hello all");
    for name in &names[1..] {
        let frames = world.received(name, "message");
        assert!(frames.iter().any(|f| f["seq"] == sent.seq.get()), "{name}");
    }
}

#[test]
fn a_membership_change_whose_call_died_before_delivering_is_delivered_by_its_repeat() {
    let world = World::new();
    let group = world.group("ana", &["bo", "cy"]);
    let remove = || block_on(world.app.remove_members(&caller("ana"), &group, &[user("cy")]));
    let first = remove().unwrap().unwrap();
    world.online("bo", "bo");
    assert_eq!(remove().unwrap().unwrap(), first);
    assert_eq!(world.received("bo", "message")[0]["seq"], first.seq.get());
    assert_eq!(world.readable("ana", &group).unwrap(), [1, 2]);
    // What nobody did is not made up.
    let nobody = block_on(world.app.remove_members(&caller("ana"), &group, &[user("eve")]));
    assert_eq!(nobody.unwrap(), None);
}

#[test]
fn a_bad_message_of_several_stops_there_and_is_named() {
    let world = World::new();
    let out = |content| Outgoing { message_id: mint(&*world.memory), content };
    let send = SendRequest {
        conversation: direct("ana", "bo"),
        seen: Some(Seq::ZERO),
        messages: vec![out(text("a")), out(text("")), out(text("never"))],
    };
    let bad = send.messages[1].message_id;
    let results = block_on(world.app.send(&caller("ana"), send)).unwrap();
    let (id, error) = results[1].as_ref().unwrap_err();
    assert_eq!((results.len(), *id, error.kind), (2, bad, ErrorKind::BadRequest));
}
