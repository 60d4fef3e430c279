//! Edits, deletes and reactions: who may, how long, and what is left.

use petrel_core::ErrorKind;
use petrel_core::ids::Seq;
use petrel_core::message::{Content, MAX_MENTIONS, Why};
use petrel_core::ports::mint;
use petrel_core::services::Sent;

use crate::world::{World, direct, kind, user};

fn edit(target: Seq, text: &str) -> Content {
    Content::Edit { target, text: text.into() }
}

impl World {
    fn put(
        &self,
        from: &str,
        to: &petrel_core::ids::ConversationId,
        content: Content,
    ) -> Result<Sent, petrel_core::Error> {
        self.send_as(from, to, None, mint(&*self.memory), content)
    }

    fn contents(&self, who: &str, c: &petrel_core::ids::ConversationId) -> Vec<Content> {
        let synced = self.sync(who, &[(c, 0)], 200);
        synced.batches.into_iter().flat_map(|b| b.messages).map(|e| e.content).collect()
    }
}

#[test]
fn a_message_is_edited_by_its_author_while_the_window_is_open() {
    let mut world = World::new();
    let c = direct("ana", "bo");
    let sent = world.say("ana", &c, "helo");
    assert_eq!(kind(world.put("bo", &c, edit(sent.seq, "no"))), ErrorKind::Forbidden);
    world.memory.pass(900_000);
    let id = mint(&*world.memory);
    let first = world.send_as("ana", &c, None, id, edit(sent.seq, "hello")).unwrap();
    world.memory.pass(1);
    assert_eq!(kind(world.put("ana", &c, edit(sent.seq, "late"))), ErrorKind::Forbidden);
    // The same edit again is the same edit, however late.
    let again = world.send_as("ana", &c, None, id, edit(sent.seq, "hello")).unwrap();
    assert_eq!((again.seq, again.duplicate), (first.seq, true));
    // Deletes have no window, nor have edits where the operator sets none.
    world.app.settings.edit_window_s = 0;
    world.memory.pass(1_000_000_000);
    world.put("ana", &c, edit(sent.seq, "still")).unwrap();
    world.app.settings.edit_window_s = 900;
    world.put("ana", &c, Content::Delete { target: sent.seq }).unwrap();
}

#[test]
fn what_is_deleted_reaches_no_device_that_comes_later() {
    let world = World::new();
    let c = direct("ana", "bo");
    let sent = world.say("ana", &c, "secret");
    let other = world.say("ana", &c, "other");
    world.put("ana", &c, edit(sent.seq, "secret 2")).unwrap();
    world.put("ana", &c, edit(other.seq, "other 2")).unwrap();
    let id = mint(&*world.memory);
    let delete = Content::Delete { target: sent.seq };
    let deleted = world.send_as("ana", &c, None, id, delete.clone()).unwrap();
    let gone = Content::Gone { why: Why::Deleted };
    let left = [
        gone.clone(),
        Content::text("other"),
        edit(sent.seq, ""),
        edit(other.seq, "other 2"),
        delete.clone(),
    ];
    assert_eq!(world.contents("bo", &c), left);
    // Its place, its sender and what counts as unread stay.
    let synced = world.sync("bo", &[(&c, 0)], 200);
    let first = &synced.batches[0].messages[0];
    assert_eq!((first.message_id, first.sender_id.as_str()), (sent.message_id, "ana"));
    assert_eq!((first.ordinal, synced.conversations[0].unread), (1, 2));
    // Who sends it again gets its place, and delivers nothing of it.
    let again = world.send_as("ana", &c, None, sent.message_id, Content::text("secret")).unwrap();
    assert_eq!((again.seq, again.duplicate), (sent.seq, true));
    assert_eq!(world.contents("bo", &c), left);
    // What is gone cannot be a target; the same delete again is the same.
    let reply = Content::Reply { target: sent.seq, text: "?".into(), mentions: vec![] };
    let reaction = Content::Reaction { target: sent.seq, emoji: "+".into(), remove: false };
    for late in [edit(sent.seq, "back"), reply, reaction, delete.clone()] {
        assert_eq!(kind(world.put("ana", &c, late)), ErrorKind::NotFound);
    }
    let again = world.send_as("ana", &c, None, id, delete).unwrap();
    assert_eq!((again.seq, again.duplicate), (deleted.seq, true));
}

#[test]
fn only_what_people_say_counts_as_unread() {
    let world = World::new();
    let c = direct("ana", "bo");
    let target = world.say("ana", &c, "hi").seq;
    let sealed = |push| Content::Sealed { ciphertext: "c2VhbGVk".into(), push };
    let reaction = |remove| Content::Reaction { target, emoji: "+".into(), remove };
    for (content, unread) in [
        (edit(target, "ho"), 1),
        (reaction(false), 1),
        (reaction(true), 1),
        (sealed(false), 1),
        (sealed(true), 2),
        (Content::Delete { target }, 2),
    ] {
        world.put("ana", &c, content.clone()).unwrap();
        let synced = world.sync("bo", &[], 200);
        assert_eq!(synced.conversations[0].unread, unread, "{content:?}");
    }
    // What nobody sees as a message is no target either, but that its author takes back what he sealed, which may be an edit.
    let sealed_edit = Seq::new(5);
    let delete = |target| Content::Delete { target };
    for target in [2, 3, 4] {
        assert_eq!(kind(world.put("ana", &c, delete(Seq::new(target)))), ErrorKind::NotFound);
    }
    let reply = Content::Reply { target: sealed_edit, text: "to that".into(), mentions: vec![] };
    for refused in [edit(sealed_edit, "ho"), reply] {
        assert_eq!(kind(world.put("ana", &c, refused)), ErrorKind::NotFound);
    }
    assert_eq!(kind(world.put("bo", &c, delete(sealed_edit))), ErrorKind::Forbidden);
    world.put("ana", &c, delete(sealed_edit)).unwrap();
    let synced = world.sync("bo", &[(&c, 4)], 200);
    assert_eq!(synced.batches[0].messages[0].content, Content::Gone { why: Why::Deleted });
    assert_eq!(synced.conversations[0].unread, 2);
    assert_eq!(kind(world.put("ana", &c, delete(sealed_edit))), ErrorKind::NotFound);
}

#[test]
fn mentions_are_bounded_and_the_server_alone_says_what_is_gone() {
    let world = World::new();
    let c = direct("ana", "bo");
    let mention = |n: usize| Content::Text { text: "hi".into(), mentions: vec![user("bo"); n] };
    world.put("ana", &c, mention(MAX_MENTIONS)).unwrap();
    assert_eq!(kind(world.put("ana", &c, mention(MAX_MENTIONS + 1))), ErrorKind::BadRequest);
    let gone = Content::Gone { why: Why::Deleted };
    assert_eq!(kind(world.put("ana", &c, gone)), ErrorKind::BadRequest);
    assert_eq!(kind(world.put("ana", &c, edit(Seq::FIRST, ""))), ErrorKind::BadRequest);
    let read = |json: &str| serde_json::from_str::<Content>(json);
    assert_eq!(read(r#"{"type":"text","text":"hi"}"#).unwrap(), Content::text("hi"));
    assert!(read(r#"{"type":"text","text":"hi","mentions":["a b"]}"#).is_err());
    assert!(read(r#"{"type":"text","text":"hi","mentions":"bo"}"#).is_err());
    assert_eq!(
        read(r#"{"type":"sealed","ciphertext":"YQ=="}"#).unwrap(),
        Content::Sealed { ciphertext: "YQ==".into(), push: true }
    );
}
