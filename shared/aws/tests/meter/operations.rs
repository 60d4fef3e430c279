//! What is measured: each operation with the state that it meets.

use std::collections::BTreeMap;

use petrel_core::events::Reason;
use petrel_core::group::Role;
use petrel_core::ids::{ConnectionId, ConversationId, EndpointId, InviteCode, Seq, UserId};
use petrel_core::media::{ContentType, Sha256};
use petrel_core::people::{DisplayName, ProfileChange};
use petrel_core::ports::{Connection, Endpoint, mint};
use petrel_core::services::{Intent, NewInvite, NewUpload, OwnChange};
use serde_json::{Value, json};

use crate::wire::Bill;
use crate::world::{World, caller, direct, socket, user, users};

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
    pushes(&mut bills).await;
    files(&mut bills).await;
    operators(&mut bills).await;
    people(&mut bills).await;
    archiving(&mut bills).await;
    presence(&mut bills).await;
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
        let receipts = async {
            world.app.receipts(&caller(0), &group, Seq::new(3), None).await.unwrap();
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
    bills.add(
        Part::Reads,
        "sync, 1 conversation, up to date",
        world.frame(0, sync(50), synced).await,
    );
    bills.add(Part::Reads, "sync, 1 conversation, 50 new", world.frame(0, sync(0), synced).await);
    let history = json!({"action": "history", "conversation_id": direct(0, 1), "before": 51});
    bills.add(Part::Reads, "history, 50 messages", world.frame(0, history, Some("batch")).await);

    let world = World::new().await;
    world.online(0..1).await;
    world.conversations(0, 20).await;
    let cursors: BTreeMap<_, _> = (1..=20).map(|n| (direct(0, n), Seq::FIRST)).collect();
    let sync = json!({"action": "sync", "cursors": cursors});
    bills.add(
        Part::Reads,
        "sync, 20 conversations, up to date",
        world.frame(0, sync, synced).await,
    );
    let sync = json!({"action": "sync"});
    bills.add(
        Part::Reads,
        "sync, 20 conversations, 1 new in each",
        world.frame(0, sync, synced).await,
    );
    let mute = OwnChange { muted_until: Some(1_900_000_000_000), ..OwnChange::default() };
    let mute = async { world.app.set_own(&caller(0), &direct(0, 1), mute).await.unwrap() };
    bills.add(Part::Reads, "mute a conversation, online", world.bill(mute).await);
    let unread = async { world.app.unread(&caller(0)).await.unwrap() };
    bills.add(Part::Reads, "unread in 20 conversations", world.bill(unread).await);
    let list = async { world.app.overview(&caller(0), None).await.unwrap() };
    bills.add(Part::Reads, "list of 20 conversations", world.bill(list).await);
}

async fn archiving(bills: &mut Bills) {
    let batch = Some("batch");
    let world = World::new().await;
    let of = direct(0, 1);
    world.said(1, &of, 600).await;
    let archive = async { world.app.archive(&of).await.unwrap() };
    bills.add(Part::Archive, "archive, nothing is old", world.bill(archive).await);
    world.clock.pass(40 * 86_400_000);
    let archive = async { assert_eq!(world.app.archive(&of).await.unwrap().moved, 500) };
    bills.add(Part::Archive, "archive 500 messages", world.bill(archive).await);
    let archive = async { world.app.archive(&of).await.unwrap() };
    bills.add(Part::Archive, "archive, nothing new is old", world.bill(archive).await);
    let history =
        |before: u64| json!({"action": "history", "conversation_id": of, "before": before});
    let bill = world.frame(0, history(301), batch).await;
    bills.add(Part::Archive, "history, 50 messages from the archive", bill);
    let bill = world.frame(0, history(526), batch).await;
    bills.add(Part::Archive, "history, 25 messages from the table and 25 from the archive", bill);
    let delete = |world: &World, target: u64| {
        json!({"action": "send", "conversation_id": of, "seen": 600, "message_id": mint(&*world.clock),
            "content": {"type": "delete", "target": target}})
    };
    let bill = world.frame(1, delete(&world, 300), Some("sent")).await;
    bills.add(Part::Archive, "delete a message that is archived", bill);
    let archive = async { world.app.archive(&of).await.unwrap() };
    bills.add(Part::Archive, "archive, one was deleted", world.bill(archive).await);
    let bill = world.frame(1, delete(&world, 550), Some("sent")).await;
    bills.add(Part::Archive, "delete an old message that is in the table", bill);

    let world = World::new().await;
    world.said(1, &of, 600).await;
    world.clock.pass(40 * 86_400_000);
    assert_eq!(world.app.archive(&of).await.unwrap().moved, 500);
    let erase = async {
        let erased = world.app.erase_in(&user(1), &of, None).await.unwrap();
        assert_eq!((erased.entries, erased.page), (600, None));
    };
    bills.add(Part::Archive, "erase 600 messages, 500 of them archived", world.bill(erase).await);
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
}

async fn pushes(bills: &mut Bills) {
    let world = World::new().await;
    let (group, _) = world.create(users(101)).await;
    world.said(0, &group, 1).await;
    world.phones(0..100).await;
    let mut to = users(101).split_off(1);
    let push = async { world.app.push(to.clone(), &group, Seq::new(2), 0).await.unwrap() };
    let bill = world.bill(push).await;
    bills.add(Part::Pushes, "push job of 100, 99 with a phone", bill);
    to.truncate(1);
    let push = async { world.app.push(to, &group, Seq::new(2), 0).await.unwrap() };
    bills.add(Part::Pushes, "push job of 1", world.bill(push).await);
    let world = World::new().await;
    world.conversations(1, 20).await;
    world.phones(1..2).await;
    let (to, c) = (vec![user(1)], direct(1, 2));
    let push = async { world.app.push(to.clone(), &c, Seq::FIRST, 0).await.unwrap() };
    let bill = world.bill(push).await;
    bills.add(Part::Pushes, "push job of 1 with 20 conversations", bill);
    let mut without = world.app.clone();
    without.settings.push_badge = false;
    let push = async { without.push(to, &c, Seq::FIRST, 0).await.unwrap() };
    let bill = world.bill(push).await;
    bills.add(Part::Pushes, "push job of 1 with 20 conversations, `PushBadge` false", bill);
    let endpoint = |n: usize, id: &str| Endpoint {
        user: user(n),
        device: socket(n).device,
        id: EndpointId::parse(id).unwrap(),
    };
    let set = async |endpoint: Endpoint| {
        let set = async { world.app.connections.set_endpoint(&endpoint).await.unwrap() };
        world.bill(set).await
    };
    bills.add(Part::Pushes, "set a push endpoint", set(endpoint(5, "arn:5")).await);
    bills.add(Part::Pushes, "set the same push endpoint", set(endpoint(5, "arn:5")).await);
    bills.add(Part::Pushes, "take a push endpoint over", set(endpoint(6, "arn:5")).await);
    set(endpoint(7, "arn:aws:sns:us-east-1:1:endpoint/GCM/petrel/7")).await;
    let remove = async { world.app.remove_push(&caller(7), &socket(7).device).await.unwrap() };
    bills.add(Part::Pushes, "take no more pushes", world.bill(remove).await);
}

/// What goes beyond the members: what operators ask, what moderators and receivers are told.
async fn operators(bills: &mut Bills) {
    let sent = Some("sent");
    let world = World::new().await;
    let c = direct(0, 1);
    world.online(0..2).await;
    world.said(0, &c, 20).await;
    let notice = async {
        let id = mint(&*world.app.world);
        world.app.post_notice(c.clone(), id, "x".repeat(200)).await.unwrap()
    };
    bills.add(Part::Operators, "a notice, 1:1, both online", world.bill(notice).await);
    let bo = caller(1);
    let report =
        async { world.app.report(&bo, &c, Seq::new(10), Reason::Spam, None).await.unwrap() };
    bills.add(
        Part::Operators,
        "report a message, 5 before and 5 after it",
        world.bill(report).await,
    );
    let check = async { world.app.check_enabled(&user(1)).await.unwrap() };
    bills.add(
        Part::Operators,
        "whether a user is disabled, at each HTTP request",
        world.bill(check).await,
    );
    let out = async { world.app.sign_out(&user(0), &socket(0).device).await.unwrap() };
    bills.add(Part::Operators, "sign a device out", world.bill(out).await);
    let disable = async { assert_eq!(world.app.disable(&user(1)).await.unwrap(), 1) };
    bills.add(Part::Operators, "disable a user with one socket", world.bill(disable).await);

    let told = World::telling().await;
    told.online(0..2).await;
    told.said(0, &c, 1).await;
    let bill = told.frame(0, told.send(&c).await, sent).await;
    bills.add(Part::Operators, "send 1:1, both online, with webhooks", bill);
}

async fn files(bills: &mut Bills) {
    let (sent, c, ana, bo) = (Some("sent"), direct(0, 1), caller(0), caller(1));
    let world = World::new().await;
    world.online(0..2).await;
    world.said(0, &c, 1).await;
    let new = || NewUpload {
        content_type: ContentType::parse("image/jpeg").unwrap(),
        size: 2_000_000,
        sha256: Sha256::parse("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").unwrap(),
    };
    let mut id = None;
    let announce = async { id = Some(world.app.new_upload(&ana, new()).await.unwrap().id) };
    bills.add(Part::Media, "announce an upload", world.bill(announce).await);
    let id = id.unwrap();
    let complete = async { world.app.complete_upload(&ana, &id).await.unwrap() };
    bills.add(Part::Media, "complete an upload", world.bill(complete).await);
    let other = world.app.new_upload(&ana, new()).await.unwrap().id;
    let stored = async { world.app.uploaded(&ana.user, &other).await.unwrap() };
    bills.add(Part::Media, "the bucket's event of an upload", world.bill(stored).await);

    let with_file = async || {
        let mut frame = world.send(&c).await;
        frame["content"] = json!({"type": "media", "media_id": id});
        frame
    };
    let first = with_file().await;
    let bill = world.frame(0, first, sent).await;
    bills.add(Part::Media, "send 1:1, an upload for the first time, both online", bill);
    let again = with_file().await;
    let bill = world.frame(0, again, sent).await;
    bills.add(Part::Media, "send 1:1, an upload again, both online", bill);
    let read = async { world.app.media(&bo, &c, Seq::new(2)).await.unwrap() };
    bills.add(Part::Media, "read the media of a message", world.bill(read).await);
    let forward = async { world.app.borrow_media(&bo, &c, Seq::new(2)).await.unwrap() };
    bills.add(Part::Media, "forward the media of a message", world.bill(forward).await);
    let passed = json!({"action": "send", "conversation_id": direct(1, 2), "seen": 0,
        "message_id": "0192f3c4-0000-7000-9000-000000000001",
        "content": {"type": "media", "media_id": id}});
    world.said(1, &direct(1, 2), 1).await;
    let bill = world.frame(1, passed, sent).await;
    bills.add(Part::Media, "send 1:1, another's upload, peer offline", bill);
    let mut delete = world.send(&c).await;
    delete["content"] = json!({"type": "delete", "target": 2});
    let bill = world.frame(0, delete, sent).await;
    bills.add(Part::Media, "delete a message with media, both online", bill);
    let show = async { world.app.use_as_avatar(&ana, &id).await.unwrap() };
    bills.add(Part::Media, "use an upload as an avatar", world.bill(show).await);
    let look = async { world.app.avatar(&ana, &id).await.unwrap() };
    bills.add(Part::Media, "read an avatar", world.bill(look).await);
}

async fn people(bills: &mut Bills) {
    let world = World::new().await;
    let ana = caller(0);
    let name = Some(DisplayName::parse("Ana").unwrap());
    let change = ProfileChange { name: Some(name), ..ProfileChange::default() };
    let set = async { world.app.set_profile(&ana, &change).await.unwrap() };
    bills.add(Part::People, "change one's profile", world.bill(set).await);
    let all = users(100);
    let look = async { world.app.profiles(&all).await.unwrap() };
    bills.add(Part::People, "profiles of 100", world.bill(look).await);
    let (group, _) = world.create(users(10)).await;
    let look = async { world.app.group(&ana, &group).await.unwrap() };
    bills.add(Part::People, "look at a group of 10", world.bill(look).await);
    let block = async { world.app.block(&ana, &user(1)).await.unwrap() };
    bills.add(Part::People, "block a user, the first", world.bill(block).await);
    let unblock = async { world.app.unblock(&ana, &user(1)).await.unwrap() };
    bills.add(Part::People, "block a user no more", world.bill(unblock).await);
    let list = async { world.app.blocked(&ana, None).await.unwrap() };
    bills.add(Part::People, "list of whom one blocks, none", world.bill(list).await);
}

async fn presence(bills: &mut Bills) {
    let asks = |users: Vec<UserId>, watch: bool| json!({"action": "presence", "user_ids": users, "watch": watch});
    let answer = Some("presence");
    let world = World::new().await;
    world.conversations(0, 99).await;
    world.online(0..2).await;
    let one = asks(vec![user(1)], false);
    bills.add(Part::Presence, "presence of 1", world.frame(0, one, answer).await);
    let all = world.frame(0, asks(users(100), false), answer).await;
    bills.add(Part::Presence, "presence of 100", all);
    let watch = || asks(vec![user(1)], true);
    let bill = world.frame(0, watch(), answer).await;
    bills.add(Part::Presence, "presence of 1, watched from now on", bill);
    let bill = world.frame(0, watch(), answer).await;
    bills.add(Part::Presence, "presence of 1, watched already", bill);
    let bo = socket(1);
    let leave = async { world.app.disconnect(&bo.user, &bo.device, &bo.id).await.unwrap() };
    bills.add(Part::Presence, "disconnect, watched", world.bill(leave).await);
    let settle = async || {
        let settle = world.app.settle_presence(&bo.user);
        world.bill(async { settle.await.unwrap() }).await
    };
    bills.add(Part::Presence, "presence job, 1 watcher is told", settle().await);
    bills.add(Part::Presence, "presence job, nothing to tell", settle().await);
    let come = async { world.app.connect(&bo).await.unwrap() };
    bills.add(Part::Presence, "connect, watched", world.bill(come).await);
}
