//! The contracts of [`crate::ports`] as a suite. Each function takes fresh, empty ports and panics where an
//! implementation breaks its word.

use uuid::Uuid;

use crate::error::ErrorKind;
use crate::group::{Allowed, GroupInfo, Invite, Member, Role};
use crate::ids::{
    ConnectionId, ConversationId, DeviceId, EndpointId, InviteId, MediaId, MessageId, Seq, UserId,
};
use crate::message::{Content, Entry, GroupChange, Why};
use crate::people::{Audience, DisplayName, Profile, ProfileChange};
use crate::ports::{
    Account, Archive, Change, Cold, Connection, Connections, Conversations, Devices, Endpoint,
    Floor, Log, MAX_EDITS, OwnState, People, Precondition, Put, Registered, Sockets, Watermarks,
};

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn group() -> ConversationId {
    ConversationId::group(Uuid::from_u128(7))
}

fn entry(conversation: &ConversationId, seq: u64, text: &str) -> Entry {
    Entry {
        conversation_id: conversation.clone(),
        seq: Seq::new(seq),
        ordinal: seq,
        message_id: MessageId::minted(Uuid::from_u128(u128::from(seq) | 7 << 76 | 2 << 62)),
        sender_id: user("ana"),
        sent_at: 1_000 + seq,
        content: Content::text(text),
        level: seq,
        edits: vec![],
    }
}

fn seqs(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|e| e.seq.get()).collect()
}

/// [`Log`].
pub async fn log(log: &dyn Log) {
    let c = group();
    let other = ConversationId::direct(&user("ana"), &user("bo"));
    assert!(log.newest(&c, Seq::FIRST, None, 10).await.unwrap().is_empty());
    assert!(log.after(&c, Seq::ZERO, 10).await.unwrap().is_empty());
    for seq in 1..=12 {
        assert_eq!(log.put(&entry(&c, seq, "first")).await.unwrap(), Put::Stored);
    }
    assert_eq!(log.put(&entry(&other, 1, "elsewhere")).await.unwrap(), Put::Stored);

    // A taken place stays as it is.
    assert_eq!(log.put(&entry(&c, 5, "second")).await.unwrap(), Put::Taken);
    let at_5 = log.newest(&c, Seq::new(5), Some(Seq::new(6)), 1).await.unwrap();
    assert_eq!(at_5, vec![entry(&c, 5, "first")]);

    // 10 and 9 in the order of numbers, not of text.
    let newest = log.newest(&c, Seq::new(9), None, 10).await.unwrap();
    assert_eq!(seqs(&newest), [12, 11, 10, 9]);
    assert_eq!(seqs(&log.newest(&c, Seq::FIRST, None, 2).await.unwrap()), [12, 11]);
    let below = log.newest(&c, Seq::new(2), Some(Seq::new(4)), 10).await.unwrap();
    assert_eq!(seqs(&below), [3, 2]);
    assert!(log.newest(&c, Seq::new(4), Some(Seq::new(4)), 10).await.unwrap().is_empty());
    assert!(log.newest(&c, Seq::FIRST, Some(Seq::ZERO), 10).await.unwrap().is_empty());
    assert_eq!(seqs(&log.after(&c, Seq::new(8), 3).await.unwrap()), [9, 10, 11]);
    assert!(log.after(&c, Seq::new(12), 3).await.unwrap().is_empty());
    changing(log, &c).await;
}

/// [`Log::put_changing`], above 12 entries of which each is a text.
async fn changing(log: &dyn Log, c: &ConversationId) {
    let of = |seq, content| Entry { content, ..entry(c, seq, "") };
    let edit = |seq, target: u64, text: &str| {
        of(seq, Content::Edit { target: Seq::new(target), text: text.into() })
    };
    let delete = |seq, target: u64| of(seq, Content::Delete { target: Seq::new(target) });
    let at = async |seq: u64| {
        let seq = Seq::new(seq);
        log.newest(c, seq, Some(seq.next()), 1).await.unwrap().remove(0)
    };
    // What is taken stays, and so does what would have been changed.
    for taken in [edit(12, 3, "no"), delete(12, 3)] {
        assert_eq!(log.put_changing(&taken).await.unwrap(), Put::Taken);
    }
    assert_eq!((at(3).await, at(12).await), (entry(c, 3, "first"), entry(c, 12, "first")));

    // An edit leaves its target as it is. Another message's edit stays when a message goes.
    for stored in [edit(13, 3, "one"), edit(14, 4, "other"), edit(15, 3, "two")] {
        assert_eq!(log.put_changing(&stored).await.unwrap(), Put::Stored);
        assert_eq!(at(stored.seq.get()).await, stored);
    }
    // It is noted there.
    let edits = [13, 15].map(Seq::new).to_vec();
    assert_eq!(at(3).await, Entry { edits, ..entry(c, 3, "first") });
    assert_eq!(log.put_changing(&delete(16, 3)).await.unwrap(), Put::Stored);
    assert_eq!(at(16).await, delete(16, 3));
    let gone = entry(c, 3, "first").content.deleted();
    assert_eq!(at(3).await, Entry { content: gone, ..entry(c, 3, "") });
    assert_eq!((at(13).await, at(15).await), (edit(13, 3, ""), edit(15, 3, "")));
    let other = Entry { edits: vec![Seq::new(14)], ..entry(c, 4, "first") };
    assert_eq!((at(14).await, at(4).await), (edit(14, 4, "other"), other));

    // Nothing is done to what is gone, or is not there.
    for late in [edit(17, 3, "late"), delete(17, 3), delete(17, 99)] {
        assert_eq!(log.put_changing(&late).await.unwrap(), Put::Taken);
    }
    assert_eq!(seqs(&log.after(c, Seq::new(16), 3).await.unwrap()), [0_u64; 0]);

    // No more edits than a delete can empty.
    for seq in 17..17 + MAX_EDITS as u64 {
        assert_eq!(log.put_changing(&edit(seq, 5, "again")).await.unwrap(), Put::Stored);
    }
    let last = 17 + MAX_EDITS as u64;
    assert_eq!(log.put_changing(&edit(last, 5, "too often")).await.unwrap(), Put::Taken);
    assert_eq!(log.put_changing(&delete(last, 5)).await.unwrap(), Put::Stored);
    for seq in 17..last {
        assert_eq!(at(seq).await, edit(seq, 5, ""));
    }
}

/// [`Cold`], over the same store as the log.
pub async fn cold(log: &dyn Log, cold: &dyn Cold) {
    let (c, other) = (group(), ConversationId::direct(&user("ana"), &user("bo")));
    for c in [&c, &other] {
        for seq in 1..=60 {
            log.put(&entry(c, seq, "first")).await.unwrap();
        }
    }
    // The floor moves from what stands, and from nothing else.
    let nothing = Floor::default();
    assert_eq!(cold.floor(&c).await.unwrap(), nothing);
    let to = |archived: u64, version: u64| Floor {
        archived: Seq::new(archived),
        closing: Seq::new(archived + 5),
        until: 9_000,
        gone: Seq::new(3),
        gone_ordinal: 2,
        version,
    };
    assert!(cold.move_floor(&c, &nothing, &to(10, 0)).await.unwrap());
    assert_eq!(cold.floor(&c).await.unwrap(), to(10, 1));
    assert!(!cold.move_floor(&c, &nothing, &to(11, 0)).await.unwrap(), "not twice from nothing");
    assert!(cold.move_floor(&c, &to(10, 1), &to(20, 1)).await.unwrap());
    assert!(!cold.move_floor(&c, &to(10, 1), &to(12, 1)).await.unwrap(), "not back");
    assert_eq!(cold.floor(&c).await.unwrap(), to(20, 2));
    assert_eq!(cold.floor(&other).await.unwrap(), nothing);

    // Rows go where they are named, and nowhere else; what is gone already does no harm.
    cold.remove(&c, Seq::new(2), Seq::new(55)).await.unwrap();
    cold.remove(&c, Seq::new(50), Seq::new(57)).await.unwrap();
    assert_eq!(seqs(&log.after(&c, Seq::ZERO, 99).await.unwrap()), [1, 58, 59, 60]);
    assert_eq!(log.after(&other, Seq::ZERO, 99).await.unwrap().len(), 60);

    // An emptied row keeps its place and all but its content. There is none where none was.
    for _ in 0..2 {
        cold.empty(&c, Seq::new(58), Why::Expired).await.unwrap();
        cold.empty(&c, Seq::new(7), Why::Expired).await.unwrap();
    }
    let rows = log.after(&c, Seq::ZERO, 99).await.unwrap();
    let emptied = Entry { content: Content::Gone { why: Why::Expired }, ..entry(&c, 58, "") };
    assert_eq!(rows[1], emptied);
    assert_eq!(seqs(&rows), [1, 58, 59, 60]);
    assert_eq!(log.put(&entry(&c, 58, "second")).await.unwrap(), Put::Taken);

    deleting(log, cold).await;

    // Timers are set again, and kept.
    cold.keep_timer(&c, 1_000_000).await.unwrap();
    cold.set_timer(&c, 2_000_000).await.unwrap();
    cold.keep_timer(&c, 3_000_000).await.unwrap();
    cold.keep_timer(&other, 3_000_000).await.unwrap();
}

/// [`Cold::put_delete`] and its notes.
async fn deleting(log: &dyn Log, cold: &dyn Cold) {
    let c = ConversationId::direct(&user("cy"), &user("dee"));
    let of = |seq, content| Entry { content, ..entry(&c, seq, "") };
    let edit = |seq, target: u64, text: &str| {
        of(seq, Content::Edit { target: Seq::new(target), text: text.into() })
    };
    let delete = |seq, target: u64| of(seq, Content::Delete { target: Seq::new(target) });
    let at = async |seq: u64| {
        let seq = Seq::new(seq);
        log.newest(&c, seq, Some(seq.next()), 1).await.unwrap().pop()
    };
    let noted = async || {
        let (first, last) = (Seq::FIRST, Seq::new(u64::MAX));
        let noted = cold.redactions(&c, first, last, usize::MAX).await.unwrap();
        noted.into_iter().map(Seq::get).collect::<Vec<_>>()
    };
    for seq in 1..=20 {
        log.put(&entry(&c, seq, "first")).await.unwrap();
    }
    for changed in [edit(21, 2, "one"), edit(22, 2, "two"), edit(23, 4, "other"), edit(24, 12, "x")]
    {
        assert_eq!(log.put_changing(&changed).await.unwrap(), Put::Stored);
    }
    let target = async |seq: u64| at(seq).await.unwrap();
    let nothing = Floor::default();

    // Where there is no floor, the rows change, and nothing is noted.
    let (third, five) = (target(3).await, target(5).await);
    assert_eq!(cold.put_delete(&delete(25, 3), &third, &nothing).await.unwrap(), Put::Stored);
    assert_eq!((at(3).await, at(25).await), (Some(third.deleted()), Some(delete(25, 3))));
    assert!(noted().await.is_empty());
    // Not twice, not over another entry, and not what is not there.
    let again = [
        (delete(26, 3), third.clone()),
        (delete(26, 3), third.deleted()),
        (delete(20, 5), five.clone()),
        (delete(26, 99), entry(&c, 99, "first")),
    ];
    for (delete, target) in &again {
        assert_eq!(cold.put_delete(delete, target, &nothing).await.unwrap(), Put::Taken);
    }
    assert_eq!((at(5).await, at(26).await), (Some(five.clone()), None));

    // The fence is up to 21: what lies there is noted, edits too; what does not is only changed.
    let fence = Floor { closing: Seq::new(21), until: 9, ..nothing.clone() };
    assert!(cold.move_floor(&c, &nothing, &fence).await.unwrap());
    let fence = cold.floor(&c).await.unwrap();
    let second = target(2).await;
    assert_eq!(second.edits, [21, 22].map(Seq::new));
    assert_eq!(cold.put_delete(&delete(26, 2), &second, &nothing).await.unwrap(), Put::Taken);
    let before = Entry { edits: vec![Seq::new(21)], ..second.clone() };
    assert_eq!(cold.put_delete(&delete(26, 2), &before, &fence).await.unwrap(), Put::Taken);
    assert_eq!((at(2).await, noted().await), (Some(second.clone()), vec![]));
    assert_eq!(cold.put_delete(&delete(26, 2), &second, &fence).await.unwrap(), Put::Stored);
    assert_eq!(at(2).await, Some(second.deleted()));
    assert_eq!((at(21).await, at(22).await), (Some(edit(21, 2, "")), Some(edit(22, 2, ""))));
    assert_eq!(at(23).await, Some(edit(23, 4, "other")));
    assert_eq!(noted().await, [2, 21]);
    assert_eq!(cold.put_delete(&delete(27, 2), &second, &fence).await.unwrap(), Put::Taken);

    // Of what is archived, the rows that are left change too, and none appears.
    let floor = Floor { archived: Seq::new(10), ..fence.clone() };
    assert!(cold.move_floor(&c, &fence, &floor).await.unwrap());
    let (stale, floor) = (fence, cold.floor(&c).await.unwrap());
    let (fourth, sixth, twelfth) = (target(4).await, target(6).await, target(12).await);
    cold.remove(&c, Seq::new(2), Seq::new(5)).await.unwrap();
    assert_eq!(cold.put_delete(&delete(27, 4), &fourth, &stale).await.unwrap(), Put::Taken);
    assert_eq!(cold.put_delete(&delete(27, 4), &fourth, &floor).await.unwrap(), Put::Stored);
    assert_eq!((at(4).await, at(23).await), (None, Some(edit(23, 4, ""))));
    assert_eq!(cold.put_delete(&delete(28, 6), &sixth, &floor).await.unwrap(), Put::Stored);
    assert_eq!(at(6).await, Some(sixth.deleted()));
    assert_eq!(cold.put_delete(&delete(29, 12), &twelfth, &floor).await.unwrap(), Put::Stored);
    assert_eq!((at(12).await, at(24).await), (Some(twelfth.deleted()), Some(edit(24, 12, ""))));
    assert_eq!(noted().await, [2, 4, 6, 12, 21]);
    assert_eq!(cold.put_delete(&delete(30, 4), &fourth, &floor).await.unwrap(), Put::Taken);

    // Notes are read by range, and go where they are named.
    let some = cold.redactions(&c, Seq::new(4), Seq::new(12), 2).await.unwrap();
    assert_eq!(some, [4, 6].map(Seq::new));
    assert!(cold.redactions(&c, Seq::new(7), Seq::new(11), 9).await.unwrap().is_empty());
    assert!(cold.redactions(&c, Seq::new(7), Seq::new(6), 9).await.unwrap().is_empty());
    for _ in 0..2 {
        cold.remove_redactions(&c, &[4, 6, 7].map(Seq::new)).await.unwrap();
        assert_eq!(noted().await, [2, 12, 21]);
    }

    // An erasure says nothing in the log; rows that are there are emptied, and what is archived is noted.
    let these = [target(1).await, target(7).await, target(15).await, target(28).await];
    let missing = [target(15).await, entry(&c, 99, "first")];
    assert!(!cold.erase(&c, &missing, &floor).await.unwrap());
    assert!(!cold.erase(&c, &these, &stale).await.unwrap());
    assert_eq!((at(15).await, noted().await), (Some(these[2].clone()), vec![2, 12, 21]));
    for _ in 0..2 {
        assert!(cold.erase(&c, &these, &floor).await.unwrap());
        for entry in &these {
            assert_eq!(at(entry.seq.get()).await, Some(entry.deleted()));
        }
        assert_eq!(noted().await, [1, 2, 7, 12, 15, 21]);
    }
    assert!(cold.redactions(&group(), Seq::FIRST, Seq::new(99), 9).await.unwrap().is_empty());
}

/// [`Archive`].
pub async fn archive(archive: &dyn Archive) {
    let (c, other) = (group(), ConversationId::direct(&user("ana"), &user("bo")));
    let stretch = |c: &ConversationId, first: u64, last: u64, text: &str| -> Vec<Entry> {
        (first..=last).map(|seq| entry(c, seq, text)).collect()
    };
    let absent = Precondition::Absent;
    let get = async |last: u64| {
        archive.get(&c, Seq::new(last)).await.map(|found| found.map(|object| object.entries))
    };
    let version = async |last: u64| {
        Precondition::Is(archive.get(&c, Seq::new(last)).await.unwrap().unwrap().version)
    };
    assert_eq!(get(10).await.unwrap(), None);
    assert!(archive.list(&c, Seq::ZERO, 9).await.unwrap().is_empty());
    archive.delete(&c, Seq::new(10)).await.unwrap();
    for (first, last) in [(1, 9), (10, 100), (101, 1_000)] {
        assert!(archive.put(&stretch(&c, first, last, "first"), &absent).await.unwrap());
    }
    assert!(archive.put(&stretch(&other, 1, 50, "elsewhere"), &absent).await.unwrap());
    assert_eq!(get(100).await.unwrap(), Some(stretch(&c, 10, 100, "first")));
    assert_eq!(get(99).await.unwrap(), None);

    // In the order of numbers, and of one conversation only.
    let list = |from: u64, limit: usize| archive.list(&c, Seq::new(from), limit);
    let named = |seqs: &[u64]| seqs.iter().map(|seq| Seq::new(*seq)).collect::<Vec<_>>();
    assert_eq!(list(0, 9).await.unwrap(), named(&[9, 100, 1_000]));
    assert_eq!(list(9, 2).await.unwrap(), named(&[9, 100]));
    assert_eq!(list(10, 1).await.unwrap(), named(&[100]));
    assert_eq!(list(101, 9).await.unwrap(), named(&[1_000]));
    assert!(list(1_001, 9).await.unwrap().is_empty());

    // A put takes the place of what it names and of nothing else, and is seen at once.
    let second = stretch(&c, 50, 100, "second");
    assert!(!archive.put(&second, &absent).await.unwrap());
    assert!(!archive.put(&second, &version(9).await).await.unwrap());
    assert_eq!(get(100).await.unwrap(), Some(stretch(&c, 10, 100, "first")));
    let first = version(100).await;
    assert_eq!(version(100).await, first, "as long as nothing is written");
    assert!(archive.put(&second, &first).await.unwrap());
    assert_eq!(get(100).await.unwrap(), Some(second.clone()));
    assert!(!archive.put(&stretch(&c, 60, 100, "third"), &first).await.unwrap());
    assert_eq!(get(100).await.unwrap(), Some(second.clone()));
    let edits = vec![Seq::new(101)];
    let noted = Entry { edits, ..entry(&c, 100, "second") };
    let noted: Vec<Entry> = second[..50].iter().cloned().chain([noted]).collect();
    let second = version(100).await;
    assert!(archive.put(&noted, &second).await.unwrap());
    assert_eq!(get(100).await.unwrap(), Some(noted.clone()), "edits stay noted");
    let noted = version(100).await;
    for _ in 0..2 {
        archive.delete(&c, Seq::new(100)).await.unwrap();
        assert_eq!(get(100).await.unwrap(), None);
    }
    assert!(!archive.put(&stretch(&c, 50, 100, "late"), &noted).await.unwrap(), "it is gone");
    assert_eq!(list(0, 9).await.unwrap(), named(&[9, 1_000]));
    assert_eq!(archive.list(&other, Seq::ZERO, 9).await.unwrap(), named(&[50]));
    assert!(archive.put(&[], &absent).await.is_err());
}

/// [`Conversations`], over the same store as the log.
pub async fn conversations(log: &dyn Log, conversations: &dyn Conversations) {
    let (ana, bo, cy) = (user("ana"), user("bo"), user("cy"));
    let g = group();
    let founders = [(ana.clone(), Role::Owner), (bo.clone(), Role::Member)];
    let info = GroupInfo {
        name: "trip".into(),
        post: Allowed::All,
        add: Allowed::Admins,
        avatar: None,
        retention_days: None,
    };
    assert!(conversations.roster(&g, usize::MAX).await.unwrap().members.is_empty());
    assert_eq!(conversations.row(&ana, &g).await.unwrap(), None);
    assert_eq!(conversations.found(&g, &info, &founders[..1]).await.unwrap(), Put::Stored);
    assert_eq!(conversations.found(&g, &info, &founders).await.unwrap(), Put::Stored);
    log.put(&entry(&g, 1, "created")).await.unwrap();

    // A watermark moves only from what stands.
    let zero = Watermarks::default();
    let one = Watermarks { delivered: Seq::FIRST, read: Seq::FIRST, read_ordinal: 1 };
    assert!(conversations.advance(&bo, &g, zero, one).await.unwrap());
    assert!(!conversations.advance(&bo, &g, zero, one).await.unwrap());
    assert!(!conversations.advance(&cy, &g, zero, one).await.unwrap());

    // Once the first entry stands, nobody is founded any more.
    let late = [(bo.clone(), Role::Admin), (cy.clone(), Role::Member)];
    assert_eq!(conversations.found(&g, &info, &late).await.unwrap(), Put::Taken);
    assert_eq!(conversations.row(&cy, &g).await.unwrap(), None);
    let members = conversations.roster(&g, usize::MAX).await.unwrap().members;
    let found: Vec<_> = members.iter().map(|m| (&m.user, m.role, m.joined.get())).collect();
    assert_eq!(found, [(&ana, Role::Owner, 1), (&bo, Role::Member, 1)]);
    assert_eq!(conversations.roster(&g, 2).await.unwrap().members, members);
    assert_eq!(conversations.roster(&g, 1).await.unwrap().members, members[..1]);
    assert_eq!(conversations.row(&bo, &g).await.unwrap().unwrap().marks, one);
    assert_eq!(conversations.roster(&g, 1).await.unwrap().members, members[..1]);

    // A change whose place is taken changes nothing.
    let change = |seq: u64, added: &[&UserId], removed: &[&UserId]| Change {
        entry: Entry {
            content: Content::System { change: GroupChange::Added { members: vec![cy.clone()] } },
            ..entry(&g, seq, "")
        },
        added: added.iter().map(|u| (*u).clone()).collect(),
        removed: removed.iter().map(|u| (*u).clone()).collect(),
        roles: vec![],
        info: None,
        invite: None,
    };
    let taken = conversations.change(&change(1, &[&cy], &[&bo])).await.unwrap();
    assert_eq!(taken, Put::Taken);
    assert_eq!(conversations.roster(&g, usize::MAX).await.unwrap().members, members);

    // A change is the entry and the rows, or nothing.
    let stored = conversations.change(&change(2, &[&cy], &[&bo])).await.unwrap();
    assert_eq!(stored, Put::Stored);
    let members = conversations.roster(&g, usize::MAX).await.unwrap().members;
    let found: Vec<_> = members.iter().map(|m| (&m.user, m.joined.get())).collect();
    assert_eq!(found, [(&ana, 1), (&cy, 2)]);
    assert_eq!(conversations.row(&bo, &g).await.unwrap(), None);
    let row = conversations.row(&cy, &g).await.unwrap().unwrap();
    // Whoever comes again begins above what he held before.
    let own = OwnState::anew(entry(&g, 2, "").sent_at);
    assert_eq!((row.joined, row.own), (Seq::new(2), own));
    let muted = OwnState { version: own.version + 1, muted_until: 5, ..own };
    assert!(!conversations.set_own(&cy, &g, 0, muted).await.unwrap());
    assert!(conversations.set_own(&cy, &g, own.version, muted).await.unwrap());
    assert_eq!(seqs(&log.newest(&g, Seq::FIRST, None, 9).await.unwrap()), [2, 1]);

    // Roles and what holds for the group change with the entry, and not without it.
    let cy_owns = Member { user: cy.clone(), role: Role::Owner, joined: Seq::new(2) };
    let renamed = GroupInfo {
        name: "tour".into(),
        post: Allowed::Admins,
        add: Allowed::All,
        avatar: Some(MediaId::new(9)),
        retention_days: Some(30),
    };

    let handed_over = |seq| Change {
        roles: vec![cy_owns.clone()],
        info: Some(renamed.clone()),
        ..change(seq, &[], &[])
    };
    assert_eq!(conversations.change(&handed_over(2)).await.unwrap(), Put::Taken);
    assert_eq!(conversations.roster(&g, 9).await.unwrap().info, Some(info));
    assert_eq!(conversations.change(&handed_over(3)).await.unwrap(), Put::Stored);
    let roster = conversations.roster(&g, 9).await.unwrap();
    assert_eq!(roster.info.as_ref(), Some(&renamed));
    assert_eq!(roster.members[1], cy_owns);

    // A change that rests on an invite needs it to be there still.
    let invite = Invite {
        id: InviteId::new(7),
        group: g.clone(),
        created_by: ana.clone(),
        created_at: 1_000,
        expires_at: 2_000,
    };
    let joins = Change { invite: Some(invite.id.clone()), ..change(4, &[&bo], &[]) };
    assert_eq!(conversations.change(&joins).await.unwrap(), Put::Taken);
    assert_eq!(conversations.row(&bo, &g).await.unwrap(), None);
    assert_eq!(conversations.invite(&g, &invite.id).await.unwrap(), None);
    conversations.set_invite(&invite).await.unwrap();
    let other = Invite { id: InviteId::new(8), ..invite.clone() };
    conversations.set_invite(&other).await.unwrap();
    assert_eq!(conversations.invite(&g, &invite.id).await.unwrap(), Some(invite.clone()));
    assert_eq!(conversations.invites(&g, 9).await.unwrap(), [invite.clone(), other.clone()]);
    assert_eq!(conversations.invites(&g, 1).await.unwrap().len(), 1);
    assert_eq!(conversations.change(&joins).await.unwrap(), Put::Stored);
    assert_eq!(conversations.row(&bo, &g).await.unwrap().unwrap().joined, Seq::new(4));
    conversations.remove_invite(&g, &invite.id).await.unwrap();
    conversations.remove_invite(&g, &invite.id).await.unwrap();
    assert_eq!(conversations.invites(&g, 9).await.unwrap(), [other]);
    let roster = conversations.roster(&g, 9).await.unwrap();
    assert_eq!((roster.info, roster.members.len()), (Some(renamed), 3));

    // A direct conversation has rows and no member rows; the list pages in order.
    let direct = ConversationId::direct(&ana, &bo);
    let pair = [ana.clone(), bo.clone()];
    conversations.open(&direct, &pair).await.unwrap();
    assert!(conversations.advance(&bo, &direct, zero, one).await.unwrap());
    // Opening again leaves what is there.
    conversations.open(&direct, &pair).await.unwrap();
    assert_eq!(conversations.row(&bo, &direct).await.unwrap().unwrap().marks, one);
    let first = conversations.rows(&ana, None, 1).await.unwrap();
    assert_eq!(first[0].conversation, direct);
    let second = conversations.rows(&ana, Some(&direct), 9).await.unwrap();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].conversation, g);
    // The rows of several users, those who have one.
    let users = [ana.clone(), bo.clone(), cy.clone()];
    let mut rows = conversations.rows_of(&direct, &users).await.unwrap();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let found: Vec<_> = rows.iter().map(|(u, row)| (u, row.marks)).collect();
    assert_eq!(found, [(&ana, zero), (&bo, one)]);
    assert!(!conversations.blocks(&ana, &bo).await.unwrap());

    // What a user chose changes by its version, and the watermarks beside it by themselves.
    let own = OwnState { version: 1, muted_until: 5, pinned: true, ..OwnState::default() };
    assert!(!conversations.set_own(&bo, &direct, 1, own).await.unwrap());
    assert!(!conversations.set_own(&cy, &direct, 0, own).await.unwrap());
    assert_eq!(conversations.row(&cy, &direct).await.unwrap(), None);
    assert!(conversations.set_own(&bo, &direct, 0, own).await.unwrap());
    assert!(!conversations.set_own(&bo, &direct, 0, own).await.unwrap());
    let two = Watermarks { delivered: Seq::new(2), ..one };
    assert!(conversations.advance(&bo, &direct, one, two).await.unwrap());
    let row = conversations.row(&bo, &direct).await.unwrap().unwrap();
    assert_eq!((row.own, row.marks), (own, two));
    let other = OwnState { version: 2, archived: true, marked_unread: true, ..OwnState::default() };
    assert!(conversations.set_own(&bo, &direct, 1, other).await.unwrap());
    let row = conversations.rows(&bo, None, 1).await.unwrap().remove(0);
    assert_eq!((row.own, row.marks), (other, two));
}

/// [`People`], over the same store as the conversations.
pub async fn people(conversations: &dyn Conversations, people: &dyn People) {
    let (ana, bo, cy) = (user("ana"), user("bo"), user("cy"));
    let everyone = [bo.clone(), ana.clone(), bo.clone(), cy.clone()];
    assert!(people.profiles(&everyone).await.unwrap().is_empty());

    // What a change does not name stays, and `None` inside takes away.
    let name = |n: &str| Some(DisplayName::parse(n).unwrap());
    let avatar = Some(MediaId::parse("0123456789abcdef0123456789abcdef").unwrap());
    let change = ProfileChange {
        name: Some(name("Ana")),
        avatar: Some(avatar.clone()),
        ..ProfileChange::default()
    };
    let mut ana_is = Profile { name: name("Ana"), avatar, ..Profile::default() };
    for _ in 0..2 {
        assert_eq!(people.set_profile(&ana, &change).await.unwrap(), ana_is);
    }
    let change = ProfileChange {
        avatar: Some(None),
        hide_read_receipts: Some(true),
        hide_previews: Some(true),
        presence: Some(Audience::Nobody),
        ..ProfileChange::default()
    };
    ana_is = Profile {
        avatar: None,
        hide_read_receipts: true,
        hide_previews: true,
        presence: Audience::Nobody,
        ..ana_is
    };
    assert_eq!(people.set_profile(&ana, &change).await.unwrap(), ana_is);
    for presence in [Audience::Everyone, Audience::Contacts] {
        let change = ProfileChange { presence: Some(presence), ..ProfileChange::default() };
        let set = people.set_profile(&bo, &change).await.unwrap();
        assert_eq!(set, Profile { presence, ..Profile::default() });
    }
    let mut found = people.profiles(&everyone).await.unwrap();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let profiles = [(ana.clone(), ana_is.clone()), (bo.clone(), Profile::default())];
    assert_eq!(found, profiles);

    // The row and the profile, each as it is there or not.
    let direct = ConversationId::direct(&ana, &cy);
    let both = people.row_and_profile(&ana, &direct).await.unwrap();
    assert_eq!(both, (None, ana_is.clone()));
    conversations.open(&direct, &[ana.clone(), cy.clone()]).await.unwrap();
    for (who, profile) in [(&ana, ana_is), (&cy, Profile::default())] {
        let row = conversations.row(who, &direct).await.unwrap();
        assert!(row.is_some());
        assert_eq!(people.row_and_profile(who, &direct).await.unwrap(), (row, profile));
    }
    // Neither the profile nor a block is a conversation.
    people.block(&ana, &cy).await.unwrap();
    assert_eq!(conversations.rows(&ana, None, 9).await.unwrap().len(), 1);

    // A block has one direction.
    for _ in 0..2 {
        people.block(&ana, &bo).await.unwrap();
        assert!(conversations.blocks(&ana, &bo).await.unwrap());
        assert!(!conversations.blocks(&bo, &ana).await.unwrap());
    }
    people.block(&cy, &bo).await.unwrap();
    assert_eq!(people.blocked(&ana, None, 9).await.unwrap(), [bo.clone(), cy.clone()]);
    assert_eq!(people.blocked(&ana, None, 1).await.unwrap(), std::slice::from_ref(&bo));
    assert_eq!(people.blocked(&ana, Some(&bo), 9).await.unwrap(), std::slice::from_ref(&cy));
    assert!(people.blocked(&bo, None, 9).await.unwrap().is_empty());
    let blockers = people.blockers(&everyone, &bo).await.unwrap();
    assert_eq!(blockers, [ana.clone(), cy.clone()].into());
    assert!(people.blockers(&everyone, &user("di")).await.unwrap().is_empty());
    for _ in 0..2 {
        people.unblock(&ana, &bo).await.unwrap();
        assert!(!conversations.blocks(&ana, &bo).await.unwrap());
    }
    assert_eq!(people.blocked(&ana, None, 9).await.unwrap(), std::slice::from_ref(&cy));

    // How one looks at another: ana blocks cy, cy blocks bo, and ana and cy have a conversation.
    let pairs = [(&ana, &cy), (&cy, &ana), (&bo, &ana), (&ana, &bo), (&bo, &cy), (&ana, &ana)];
    let pairs = pairs.map(|(who, user)| (who.clone(), user.clone()));
    let regards = people.regards(&pairs).await.unwrap();
    let found: Vec<_> = regards.iter().map(|r| (r.presence, r.contact, r.blocked)).collect();
    let (nobody, contacts) = (Audience::Nobody, Audience::Contacts);
    let expected = [
        (contacts, true, true),
        (nobody, true, true),
        (nobody, false, false),
        (contacts, false, false),
        (contacts, false, true),
        (nobody, false, false),
    ];
    assert_eq!(found, expected);

    // Who watches, each until then.
    for (watcher, until) in [(&cy, 20), (&ana, 10), (&cy, 30)] {
        people.watch(&bo, watcher, until).await.unwrap();
    }
    let watchers = async |now, limit| people.watchers(&bo, now, limit).await.unwrap();
    assert_eq!(watchers(9, 9).await, [ana.clone(), cy.clone()]);
    assert_eq!(watchers(9, 1).await, std::slice::from_ref(&ana));
    assert_eq!(watchers(10, 9).await, std::slice::from_ref(&cy));
    assert_eq!(watchers(10, 1).await, std::slice::from_ref(&cy));
    assert!(watchers(30, 9).await.is_empty());
    assert!(people.watchers(&ana, 0, 9).await.unwrap().is_empty());
    assert_eq!(conversations.rows(&bo, None, 9).await.unwrap(), []);

    // What is a user's own goes, some at a time, and what is others' stays.
    people.watch(&ana, &bo, 9_000).await.unwrap();
    people.block(&bo, &ana).await.unwrap();
    let info = GroupInfo {
        name: "trip".into(),
        post: Allowed::All,
        add: Allowed::All,
        avatar: None,
        retention_days: None,
    };
    let founder = (ana.clone(), Role::Owner);
    assert_eq!(conversations.found(&group(), &info, &[founder]).await.unwrap(), Put::Stored);
    let mut calls = 1;
    while people.erase(&ana, 1).await.unwrap() {
        calls += 1;
    }
    assert!(calls > 3, "a row, a profile, and a watcher at least: {calls}");
    assert!(!people.erase(&ana, 9).await.unwrap());
    // His row of a group goes with the member's, and with nothing else.
    let rows = conversations.rows(&ana, None, 9).await.unwrap();
    assert_eq!(rows.into_iter().map(|row| row.conversation).collect::<Vec<_>>(), [group()]);
    assert_eq!(people.row_and_profile(&ana, &direct).await.unwrap(), (None, Profile::default()));
    assert!(people.blocked(&ana, None, 9).await.unwrap().is_empty());
    assert!(people.watchers(&ana, 1, 9).await.unwrap().is_empty());
    assert!(conversations.blocks(&bo, &ana).await.unwrap());
    assert!(conversations.row(&cy, &direct).await.unwrap().is_some());
}

/// [`Connections`].
pub async fn connections(connections: &dyn Connections) {
    let (ana, bo) = (user("ana"), user("bo"));
    let phone = DeviceId::parse("phone").unwrap();
    let socket = |id: &str, connected_at: u64| Connection {
        user: ana.clone(),
        device: phone.clone(),
        id: ConnectionId::parse(id).unwrap(),
        connected_at,
    };
    let of = |users: Vec<UserId>| async move { connections.of(&users).await.unwrap() };
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await, Devices::default());
    let has = |connections: &[Connection]| Sockets {
        connections: connections.to_vec(),
        ..Sockets::default()
    };
    let new = |sockets: Sockets| Some(Registered { sockets, displaced: None });
    let registered = connections.register(&socket("c2", 2)).await.unwrap();
    assert_eq!(registered, new(has(&[socket("c2", 2)])));
    // An older $connect that comes late does not take the place of the newer one.
    assert_eq!(connections.register(&socket("c1", 1)).await.unwrap(), None);
    assert_eq!(of(vec![ana.clone()]).await.connections, [socket("c2", 2)]);
    // Nor does its $disconnect remove it.
    assert_eq!(connections.remove(&ana, &phone, &socket("c1", 1).id, 9).await.unwrap(), None);
    assert_eq!(of(vec![ana.clone()]).await.connections.len(), 1);
    assert_eq!(of(vec![bo.clone()]).await, Devices::default());
    // A second device stands beside the first.
    let tablet = Connection { device: DeviceId::parse("tablet").unwrap(), ..socket("c3", 3) };
    let both = [socket("c2", 2), tablet.clone()];
    assert_eq!(connections.register(&tablet).await.unwrap(), new(has(&both)));
    assert_eq!(of(vec![ana.clone()]).await.connections, both);
    let left = connections.remove(&ana, &tablet.device, &tablet.id, 10).await.unwrap();
    let mut ana_has = Sockets { last_seen: Some(10), ..has(&[socket("c2", 2)]) };
    assert_eq!(left, Some(ana_has.clone()));

    // Who is watched, and what the watchers were told, stands beside the sockets and comes with every write.
    let both_users = [bo.clone(), ana.clone(), bo.clone()];
    let known = connections.sockets(&both_users).await.unwrap();
    assert_eq!(known, [(ana.clone(), ana_has.clone())]);
    for (until, stands) in [(70, 70), (60, 70), (80, 80)] {
        ana_has.watched_until = stands;
        assert_eq!(connections.watched(&ana, until).await.unwrap(), ana_has);
    }
    for away in [true, true, false, true] {
        ana_has.away = away;
        assert_eq!(connections.set_away(&ana, away).await.unwrap(), ana_has);
    }
    assert_eq!(connections.register(&socket("c2", 2)).await.unwrap(), new(ana_has.clone()));
    let bo_has = Sockets { watched_until: 5, ..Sockets::default() };
    assert_eq!(connections.watched(&bo, 5).await.unwrap(), bo_has);
    let mut known = connections.sockets(&both_users).await.unwrap();
    known.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(known, [(ana.clone(), ana_has.clone()), (bo.clone(), bo_has)]);

    // Where a device takes pushes outlives its socket.
    let endpoint = |id: &str| Endpoint {
        user: ana.clone(),
        device: phone.clone(),
        id: EndpointId::parse(id).unwrap(),
    };
    connections.set_endpoint(&endpoint("e1")).await.unwrap();
    connections.set_endpoint(&endpoint("e2")).await.unwrap();
    ana_has = Sockets { connections: vec![], last_seen: Some(11), ..ana_has };
    let left = connections.remove(&ana, &phone, &socket("c2", 2).id, 11).await.unwrap();
    assert_eq!(left, Some(ana_has));
    let devices = of(vec![ana.clone()]).await;
    assert_eq!(devices, Devices { connections: vec![], endpoints: vec![endpoint("e2")] });
    // Only the endpoint that is named goes.
    connections.remove_endpoint(&endpoint("e1")).await.unwrap();
    assert_eq!(of(vec![ana.clone()]).await.endpoints, [endpoint("e2")]);
    // A phone that changes hands takes its endpoint along.
    let taken = Endpoint { user: bo.clone(), ..endpoint("e2") };
    for _ in 0..2 {
        connections.set_endpoint(&taken).await.unwrap();
        assert_eq!(of(vec![ana.clone(), bo.clone()]).await.endpoints, std::slice::from_ref(&taken));
    }
    connections.set_endpoint(&endpoint("e2")).await.unwrap();
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await.endpoints, [endpoint("e2")]);
    // It moves between the devices of one user too, and what the device had before is free again.
    let mine = Endpoint { device: tablet.device.clone(), ..endpoint("e3") };
    connections.set_endpoint(&mine).await.unwrap();
    connections.set_endpoint(&endpoint("e3")).await.unwrap();
    assert_eq!(of(vec![ana.clone()]).await.endpoints, [endpoint("e3")]);
    let freed = Endpoint { user: bo.clone(), ..endpoint("e2") };
    connections.set_endpoint(&freed).await.unwrap();
    let both = of(vec![ana.clone(), bo.clone()]).await.endpoints;
    assert_eq!(both, [endpoint("e3"), freed.clone()]);
    // What was removed is nobody's: who takes it next takes it from no one, and it can be taken from them.
    connections.remove_endpoint(&freed).await.unwrap();
    connections.remove_endpoint(&freed).await.unwrap();
    connections.set_endpoint(&endpoint("e2")).await.unwrap();
    connections.set_endpoint(&freed).await.unwrap();
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await.endpoints, std::slice::from_ref(&freed));
    // A device that lost its endpoint to another does not remove it there.
    connections.remove_endpoint(&endpoint("e2")).await.unwrap();
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await.endpoints, std::slice::from_ref(&freed));
    connections.remove_endpoint(&freed).await.unwrap();
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await, Devices::default());

    // Who is disabled registers nothing and is reached by nothing; what stood there is told and stays.
    connections.register(&socket("c4", 4)).await.unwrap();
    connections.set_endpoint(&endpoint("e3")).await.unwrap();
    let devices = Devices { connections: vec![socket("c4", 4)], endpoints: vec![endpoint("e3")] };
    let last_seen = connections.sockets(std::slice::from_ref(&ana)).await.unwrap()[0].1.last_seen;
    assert!(last_seen.is_some());
    let enabled = Account { disabled_at: None, last_seen, devices: devices.clone() };
    assert_eq!(connections.account(&ana).await.unwrap(), enabled);
    assert!(!connections.is_disabled(&ana).await.unwrap());
    let disabled = Account { disabled_at: Some(7), ..enabled.clone() };
    for since in [7, 9] {
        assert_eq!(connections.set_disabled(&ana, Some(since)).await.unwrap(), disabled);
    }
    assert!(connections.is_disabled(&ana).await.unwrap());
    let one = std::slice::from_ref(&ana);
    assert_eq!(connections.sockets(one).await.unwrap()[0].1.connections, []);
    assert!(!connections.is_disabled(&bo).await.unwrap());
    for socket in [socket("c5", 5), socket("c3", 3), tablet.clone()] {
        let refused = connections.register(&socket).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Disabled);
    }
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await, Devices::default());
    assert_eq!(connections.account(&ana).await.unwrap(), disabled);
    for _ in 0..2 {
        assert_eq!(connections.set_disabled(&ana, None).await.unwrap(), enabled);
    }
    assert_eq!(of(vec![ana.clone()]).await, devices);
    let registered = connections.register(&socket("c5", 5)).await.unwrap().unwrap();
    assert_eq!(registered.sockets.connections, [socket("c5", 5)]);
    // Whose place it took is told, so that it can be closed.
    assert_eq!(registered.displaced, Some(socket("c4", 4)));
    connections.remove(&ana, &phone, &socket("c5", 5).id, 12).await.unwrap();
    // Nobody knows him, and he is disabled all the same.
    let stranger = user("stranger");
    assert_eq!(connections.account(&stranger).await.unwrap(), Account::default());
    let marked = connections.set_disabled(&stranger, Some(7)).await.unwrap();
    assert_eq!(marked, Account { disabled_at: Some(7), ..Account::default() });
    assert_eq!(connections.set_disabled(&stranger, None).await.unwrap(), Account::default());
}
