//! What is measured: each operation with the state that it meets.

mod beside;

use std::collections::BTreeMap;

use petrel_core::Caller;
use petrel_core::group::Role;
use petrel_core::ids::{ConnectionId, ConversationId, InviteCode, Seq, UserId};
use petrel_core::ports::{Connection, mint};
use petrel_core::services::{
    Intent, NewInvite, Outgoing, OwnChange, Range, SendRequest, SyncRequest,
};
use serde_json::{Value, json};

use crate::wire::Bill;
use crate::world::{World, caller, direct, socket, text, user, users};

/// Where an operation stands in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Sockets,
    Sends,
    FanOuts,
    Acks,
    Typing,
    Reads,
    Groups,
    Pushes,
    Media,
    Operators,
    People,
    Archive,
    Presence,
}

/// The bills by operation.
#[derive(Default)]
pub struct Bills(Vec<(Part, String, Bill)>);

impl Bills {
    fn add(&mut self, part: Part, name: impl Into<String>, bill: Bill) {
        self.0.push((part, name.into(), bill));
    }

    /// In the order of the table.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Bill)> {
        self.0.iter().map(|(_, name, bill)| (name.as_str(), bill))
    }

    pub fn of(&self, name: &str) -> &Bill {
        self.rows().find(|(n, _)| *n == name).unwrap().1
    }
}

pub async fn measure() -> Bills {
    let mut bills = Bills::default();
    sockets(&mut bills).await;
    sends_to_one(&mut bills).await;
    acks_of_one(&mut bills).await;
    for size in [10, 32, 33, 1_000] {
        in_a_group(&mut bills, size).await;
    }
    with_long_ids(&mut bills).await;
    fan_outs(&mut bills).await;
    typing(&mut bills).await;
    syncs(&mut bills).await;
    changes(&mut bills).await;
    beside::pushes(&mut bills).await;
    beside::files(&mut bills).await;
    beside::operators(&mut bills).await;
    beside::people(&mut bills).await;
    beside::archiving(&mut bills).await;
    beside::presence(&mut bills).await;
    bills.0.sort_by_key(|(part, ..)| *part);
    bills
}

async fn sockets(bills: &mut Bills) {
    let world = World::new().await;
    let bo = socket(1);
    let bill = world.bill(async { world.app.connect(&bo).await.unwrap() }).await;
    bills.add(Part::Sockets, "connect", bill);
    let again = Connection { id: ConnectionId::parse("another-socket==").unwrap(), ..bo.clone() };
    let bill = world.bill(async { world.app.connect(&again).await.unwrap() }).await;
    bills.add(Part::Sockets, "connect, in place of an open socket", bill);
    world.app.connect(&bo).await.unwrap();
    let leave = async { world.app.disconnect(&bo.user, &bo.device, &bo.id).await.unwrap() };
    bills.add(Part::Sockets, "disconnect", world.bill(leave).await);
}

async fn sends_to_one(bills: &mut Bills) {
    let sent = Some("sent");
    let c = direct(0, 1);
    let world = World::new().await;
    world.online(0..2).await;
    let first = world.send(&c).await;
    bills.add(
        Part::Sends,
        "send 1:1, first message, both online",
        world.frame(0, first.clone(), sent).await,
    );
    let later = world.send(&c).await;
    bills.add(Part::Sends, "send 1:1, both online", world.frame(0, later.clone(), sent).await);
    bills.add(Part::Sends, "send 1:1, the same again", world.frame(0, later, sent).await);
    let mut reply = world.send(&c).await;
    reply["content"] = json!({"type": "reply", "target": 1, "text": "yes"});
    bills.add(Part::Sends, "send 1:1, a reply, both online", world.frame(0, reply, sent).await);
    let mut edit = world.send(&c).await;
    edit["content"] = json!({"type": "edit", "target": 1, "text": "x".repeat(200)});
    bills.add(Part::Sends, "send 1:1, an edit, both online", world.frame(0, edit, sent).await);
    let mut delete = world.send(&c).await;
    delete["content"] = json!({"type": "delete", "target": 1});
    let bill = world.frame(0, delete, sent).await;
    bills.add(Part::Sends, "send 1:1, a delete of what was edited once, both online", bill);
    let mut ten = world.send(&c).await;
    let message = json!({"content": ten["content"].take()});
    ten["message_id"].take();
    let messages = (0..10).map(|n| {
        let mut message = message.clone();
        message["message_id"] = format!("0192f3c4-0000-7000-9000-{n:012}").into();
        message
    });
    ten["messages"] = messages.collect();
    bills.add(
        Part::Sends,
        "send 1:1, 10 messages in a frame, both online",
        world.frame(0, ten, sent).await,
    );
    let late = world.send(&c).await;
    let app = world.overtaken();
    let race = async { app.respond(&caller(0), &late.to_string()).await };
    bills.add(Part::Sends, "send 1:1, with a lost race, both online", world.bill(race).await);
    world.phones(1..2).await;
    let online = world.send(&c).await;
    let bill = world.frame(0, online, sent).await;
    bills.add(Part::Sends, "send 1:1, both online, the peer has a phone", bill);

    let world = World::new().await;
    world.online(0..2).await;
    world.said(1, &c, 110).await;
    let post = async || {
        let messages = vec![Outgoing { message_id: mint(&*world.clock), content: text() }];
        let send = SendRequest { conversation: c.clone(), seen: None, messages };
        assert!(world.app.send(&Caller::http(user(0)), send).await.unwrap()[0].is_ok());
    };
    let name = "send 1:1 over HTTP without `seen`, 110 messages before it, both online";
    bills.add(Part::Sends, name, world.bill(post()).await);

    let world = World::new().await;
    world.online(0..1).await;
    world.said(0, &c, 1).await;
    let offline = world.send(&c).await;
    bills.add(Part::Sends, "send 1:1, peer offline", world.frame(0, offline, sent).await);
    world.phones(1..2).await;
    let phone = world.send(&c).await;
    bills.add(
        Part::Sends,
        "send 1:1, peer offline with a phone",
        world.frame(0, phone, sent).await,
    );
}

async fn in_a_group(bills: &mut Bills, size: usize) {
    let world = World::new().await;
    world.online(0..size).await;
    let (group, bill) = world.create(users(size)).await;
    if matches!(size, 10 | 1_000) {
        bills.add(Part::Groups, format!("create a group of {size}, all online"), bill);
    }
    world.said(0, &group, 1).await;
    let message = world.send(&group).await;
    let bill = world.frame(0, message, Some("sent")).await;
    bills.add(Part::Sends, format!("send to a group of {size}, all online"), bill);

    world.frame(1, ack(&group, 2, 2), None).await;
    let bill = world.frame(1, ack(&group, 3, 3), None).await;
    bills.add(Part::Acks, format!("ack in a group of {size}, author online"), bill);
    if size == 1_000 {
        for n in 2..=101 {
            world.reached(n, group.clone(), 3).await;
        }
        let receipts = async {
            let found = world.app.receipts(&caller(0), &group, Seq::new(3), None).await.unwrap();
            assert_eq!((found.members, found.delivered, found.read), (999, 101, 1));
            assert_eq!((found.readers.len(), found.page), (100, Some(user(100))));
        };
        bills.add(Part::Reads, "receipts in a group of 1000", world.bill(receipts).await);
    }
}

/// The longest ids that there may be.
async fn with_long_ids(bills: &mut Bills) {
    let world = World::new().await;
    let mut members: Vec<_> =
        (1..1_000).map(|n| UserId::parse(&format!("{n:0>64}")).unwrap()).collect();
    members.push(user(0));
    let (group, _) = world.create(members).await;
    world.said(0, &group, 1).await;
    let message = world.send(&group).await;
    let bill = world.frame(0, message, Some("sent")).await;
    bills.add(Part::Sends, "send to a group of 1000 with ids of 64 characters", bill);
}

async fn fan_outs(bills: &mut Bills) {
    let world = World::new().await;
    let (group, _) = world.create(users(100)).await;
    world.said(0, &group, 1).await;
    let entry = world.head(&group).await.unwrap();
    let chunk = async || {
        let run = world.app.deliver_chunk(&entry, users(100), Some(socket(0).id), 0);
        world.bill(async { run.await.unwrap() }).await
    };
    bills.add(Part::FanOuts, "fan out to 100, none online", chunk().await);
    world.online(0..100).await;
    bills.add(Part::FanOuts, "fan out to 100, all online (the sender among them)", chunk().await);
}

fn ack(c: &ConversationId, delivered: u64, read: u64) -> Value {
    json!({"action": "ack", "conversation_id": c, "delivered": delivered,
        "read": (read > 0).then_some(read)})
}

async fn acks_of_one(bills: &mut Bills) {
    let world = World::new().await;
    let c = direct(0, 1);
    world.said(0, &c, 60).await;
    bills.add(Part::Acks, "ack 1:1, author offline", world.frame(1, ack(&c, 1, 0), None).await);
    bills.add(Part::Acks, "ack 1:1, nothing new", world.frame(1, ack(&c, 1, 0), None).await);
    world.online(0..2).await;
    bills.add(
        Part::Acks,
        "ack 1:1, delivered, author online",
        world.frame(1, ack(&c, 2, 0), None).await,
    );
    bills.add(
        Part::Acks,
        "ack 1:1, read, author online",
        world.frame(1, ack(&c, 2, 2), None).await,
    );
    bills.add(
        Part::Acks,
        "ack 1:1, both at once, author online",
        world.frame(1, ack(&c, 3, 3), None).await,
    );
    let bill = world.frame(1, ack(&c, 60, 10), None).await;
    bills.add(Part::Acks, "ack 1:1, 57 delivered and 7 read, author online", bill);
}

async fn typing(bills: &mut Bills) {
    let world = World::new().await;
    world.online(0..32).await;
    world.said(0, &direct(0, 1), 1).await;
    let typing =
        |c: &ConversationId| json!({"action": "typing", "conversation_id": c, "active": true});
    let bill = world.frame(0, typing(&direct(0, 1)), None).await;
    bills.add(Part::Typing, "typing 1:1, both online", bill);
    let (group, _) = world.create(users(32)).await;
    let bill = world.frame(0, typing(&group), None).await;
    bills.add(Part::Typing, "typing in a group of 32, all online", bill);
}

async fn syncs(bills: &mut Bills) {
    let synced = Some("synced");
    let sync = |cursor: u64| json!({"action": "sync", "cursors": {direct(0, 1).as_str(): cursor}});
    let world = World::new().await;
    world.online(0..1).await;
    world.said(1, &direct(0, 1), 50).await;
    world.reached(0, direct(0, 1), 50).await;
    bills.add(
        Part::Reads,
        "sync, 1 conversation, up to date",
        world.frame(0, sync(50), synced).await,
    );
    bills.add(Part::Reads, "sync, 1 conversation, 50 new", world.frame(0, sync(0), synced).await);
    let history = json!({"action": "history", "conversation_id": direct(0, 1), "before": 51});
    bills.add(Part::Reads, "history, 50 messages", world.frame(0, history, Some("batch")).await);
    let http = Caller::http(user(0));
    let around =
        async { world.app.history(&http, &direct(0, 1), Range::Around(Seq::new(25)), 50).await };
    let bill = world.bill(async { assert_eq!(around.await.unwrap().messages.len(), 50) }).await;
    bills.add(Part::Reads, "history, 50 messages around one", bill);
    let export = async { world.app.export(&http, &direct(0, 1), Seq::ZERO).await.unwrap() };
    let bill = world.bill(async { assert_eq!(export.await.len(), 50) }).await;
    bills.add(Part::Reads, "export, 50 messages", bill);
    let cursors: BTreeMap<_, _> = [(direct(0, 1), Seq::ZERO)].into();
    let request = SyncRequest { cursors, limit: 200, tail: false, page: None };
    let bill = world.bill(async { world.app.sync(&http, &request).await.unwrap() }).await;
    bills.add(Part::Reads, "sync over HTTP, 1 conversation, 50 new", bill);

    let world = World::new().await;
    world.online(0..1).await;
    world.conversations(0, 20).await;
    let sync = json!({"action": "sync"});
    let news = world.frame(0, sync, synced).await;
    for n in 1..=20 {
        world.reached(0, direct(0, n), 1).await;
    }
    let cursors: BTreeMap<_, _> = (1..=20).map(|n| (direct(0, n), Seq::FIRST)).collect();
    let sync = json!({"action": "sync", "cursors": cursors});
    bills.add(
        Part::Reads,
        "sync, 20 conversations, up to date",
        world.frame(0, sync, synced).await,
    );
    bills.add(Part::Reads, "sync, 20 conversations, 1 new in each", news);
    let mute = OwnChange { muted_until: Some(1_900_000_000_000), ..OwnChange::default() };
    let mute = async { world.app.set_own(&caller(0), &direct(0, 1), mute).await.unwrap() };
    bills.add(Part::Reads, "mute a conversation, online", world.bill(mute).await);
    let unread = async { world.app.unread(&caller(0)).await.unwrap() };
    bills.add(Part::Reads, "unread in 20 conversations", world.bill(unread).await);
    let list = async { world.app.overview(&caller(0), None).await.unwrap() };
    bills.add(Part::Reads, "list of 20 conversations", world.bill(list).await);
    world.clock.pass(2 * 86_400_000);
    let unread = async { world.app.unread(&caller(0)).await.unwrap() };
    let name = "unread in 20 conversations, of whose messages none is younger than a day";
    bills.add(Part::Reads, name, world.bill(unread).await);
    for n in 1..=20 {
        world.said(n, &direct(0, n), 2).await;
    }
    let unread = async { world.app.unread(&caller(0)).await.unwrap() };
    let name = "unread in 20 conversations, three in each, the first older than a day";
    bills.add(Part::Reads, name, world.bill(unread).await);
}

async fn changes(bills: &mut Bills) {
    let world = World::new().await;
    let (group, _) = world.create(users(10)).await;
    world.online(0..11).await;
    let ana = caller(0);
    let add = async { world.app.add_members(&ana, &group, &[user(10)]).await.unwrap() };
    let name = "add a member to a group of 10, all online";
    bills.add(Part::Groups, name, world.bill(add).await);
    let leave = async { world.app.remove_members(&caller(9), &group, &[user(9)]).await.unwrap() };
    bills.add(Part::Groups, "leave a group of 11, all online", world.bill(leave).await);
    let change = |intent| world.app.change(&ana, &group, intent);
    let promote = Intent::SetRole(user(1), Role::Admin);
    let bill = world.bill(async { change(&promote).await.unwrap() }).await;
    bills.add(Part::Groups, "make a member of 10 an admin, all online", bill);
    let rename = Intent::Update {
        name: Some("tour".into()),
        post: None,
        add: None,
        avatar: None,
        retention_days: None,
    };
    let bill = world.bill(async { change(&rename).await.unwrap() }).await;
    bills.add(Part::Groups, "rename a group of 10, all online", bill);
    let c = direct(0, 1);
    world.said(0, &c, 1).await;
    let keep = Intent::Update {
        name: None,
        post: None,
        add: None,
        avatar: None,
        retention_days: Some(30),
    };
    let keep = async { world.app.change(&ana, &c, &keep).await.unwrap() };
    let name = "choose how long a direct conversation is kept, both online";
    bills.add(Part::Groups, name, world.bill(keep).await);
    let look = async { world.app.group(&ana, &c).await.unwrap() };
    bills.add(Part::Groups, "look at a direct conversation", world.bill(look).await);
    let mut code = None;
    let invite = async {
        let invite = world.app.create_invite(&ana, &group, NewInvite::default()).await.unwrap();
        code = Some(InviteCode { group: invite.group, invite: invite.id });
    };
    bills.add(Part::Groups, "make an invite to a group of 10", world.bill(invite).await);
    let code = code.unwrap();
    let eve = caller(11);
    let look = async { world.app.preview(&eve, &code).await.unwrap() };
    bills.add(Part::Groups, "look at an invite to a group of 10", world.bill(look).await);
    let code = &code;
    let join = async { world.app.join(&eve, code).await.unwrap() };
    bills.add(Part::Groups, "join a group of 10 by an invite, all online", world.bill(join).await);
    let list = async { assert_eq!(world.app.invites(&ana, &group).await.unwrap().len(), 1) };
    bills.add(Part::Groups, "list of the invites of a group of 11", world.bill(list).await);
    let revoke = async { world.app.revoke_invite(&ana, &group, &code.invite).await.unwrap() };
    bills.add(Part::Groups, "take an invite to a group of 11 back", world.bill(revoke).await);
}
