//! What is measured beside messages: phones, files, operators, people, the archive and presence.

use petrel_core::events::{Event, Reason};
use petrel_core::ids::{Seq, UserId};
use petrel_core::media::{ContentType, Sha256};
use petrel_core::people::{DisplayName, ProfileChange};
use petrel_core::ports::{Platform, mint};
use petrel_core::services::{NewGroup, NewUpload, Verdict};
use serde_json::json;

use super::{Bills, Part};
use crate::world::{World, caller, direct, socket, user, users};

pub async fn archiving(bills: &mut Bills) {
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

    let world = World::new().await;
    let (belongs, left) = (world.create(users(10)).await.0, world.create(users(10)).await.0);
    for group in [&belongs, &left] {
        world.said(1, group, 10).await;
    }
    world.said(1, &of, 10).await;
    world.app.remove_members(&caller(1), &left, &[user(1)]).await.unwrap();
    world.app.erase(&user(1), None).await.unwrap_err();
    world.clock.pass(30_000);
    let erase = async {
        let erased = world.app.erase(&user(1), None).await.unwrap();
        assert_eq!((erased.entries, erased.page), (30, None));
    };
    let name = "erase a user with 10 messages in each of a direct conversation, a group and one that he left";
    bills.add(Part::Archive, name, world.bill(erase).await);

    let world = World::new().await;
    world.said(1, &of, 600).await;
    world.clock.pass(40 * 86_400_000);
    assert_eq!(world.app.archive(&of).await.unwrap().moved, 500);
    world.clock.pass(360 * 86_400_000);
    let expire = async { assert_eq!(world.app.archive(&of).await.unwrap().expired, 600) };
    let bill = world.bill(expire).await;
    bills.add(
        Part::Archive,
        "archive, the time of 600 messages is over, 500 of them archived",
        bill,
    );
}

pub async fn pushes(bills: &mut Bills) {
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
    let set = async |n: usize, token: &str| {
        let device = socket(n).device;
        let set = async {
            world.app.set_push(&caller(n), device, Platform::Fcm, token).await.unwrap();
        };
        world.bill(set).await
    };
    bills.add(Part::Pushes, "set a push endpoint", set(5, "5").await);
    bills.add(Part::Pushes, "set the same push endpoint", set(5, "5").await);
    bills.add(Part::Pushes, "take a push endpoint over", set(6, "5").await);
    set(7, "7").await;
    bills.add(Part::Pushes, "set a push endpoint in place of another", set(7, "8").await);
    let remove = async { world.app.remove_push(&caller(7), &socket(7).device).await.unwrap() };
    bills.add(Part::Pushes, "take no more pushes", world.bill(remove).await);
}

/// What goes beyond the members: what operators ask, what moderators and receivers are told.
pub async fn operators(bills: &mut Bills) {
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
    let look = async { world.app.account(&user(1)).await.unwrap() };
    bills.add(Part::Operators, "look at a user's account", world.bill(look).await);
    let out = async { world.app.sign_out(&user(0), &socket(0).device).await.unwrap() };
    bills.add(Part::Operators, "sign a device out", world.bill(out).await);
    let disable = async { assert_eq!(world.app.disable(&user(1)).await.unwrap(), 1) };
    bills.add(Part::Operators, "disable a user with one socket", world.bill(disable).await);
    let enable = async { world.app.enable(&user(1)).await.unwrap() };
    bills.add(Part::Operators, "enable a user", world.bill(enable).await);
    world.online(0..10).await;
    let cut = async { assert_eq!(world.app.cut(&user(1)).await.unwrap(), 1) };
    bills.add(Part::Operators, "cut a user's one socket", world.bill(cut).await);
    world.online(1..2).await;
    let found = async {
        let group = NewGroup { name: "trip".into(), members: users(10), request_id: None };
        world.app.create_group_for(user(0), group).await.unwrap()
    };
    bills.add(
        Part::Operators,
        "found a group of 10 for a user, all online",
        world.bill(found).await,
    );

    let told = World::telling().await;
    told.online(0..2).await;
    told.said(0, &c, 1).await;
    let bill = told.frame(0, told.send(&c).await, sent).await;
    bills.add(Part::Operators, "send 1:1, both online, with webhooks", bill);
    let event = Event::Stored(told.head(&c).await.unwrap());
    let app = told.taken();
    let tell = async { app.tell(event.clone(), 0).await.unwrap() };
    bills.add(Part::Operators, "webhook job, the receiver takes it", told.bill(tell).await);
    let tell = async { told.app.tell(event.clone(), 0).await.unwrap() };
    bills.add(Part::Operators, "webhook job, the receiver refuses it", told.bill(tell).await);
}

pub async fn files(bills: &mut Bills) {
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
    let judge = async { world.app.judge(&ana.user, &other, Verdict::Blocked).await.unwrap() };
    bills.add(Part::Media, "a scanner's verdict", world.bill(judge).await);

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
    world.clock.pass(8 * 86_400_000);
    let over = async { world.app.upload_expired(&ana.user, &other).await.unwrap() };
    bills.add(Part::Media, "an upload that runs out", world.bill(over).await);
}

pub async fn people(bills: &mut Bills) {
    let world = World::new().await;
    let ana = caller(0);
    let name = Some(DisplayName::parse("Ana").unwrap());
    let change = ProfileChange { name: Some(name), ..ProfileChange::default() };
    let set = async { world.app.set_profile(&ana, &change).await.unwrap() };
    bills.add(Part::People, "change one's profile", world.bill(set).await);
    let look = async { world.app.own_profile(&ana).await.unwrap() };
    bills.add(Part::People, "look at one's own profile", world.bill(look).await);
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

pub async fn presence(bills: &mut Bills) {
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
