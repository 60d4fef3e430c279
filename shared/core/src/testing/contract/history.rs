//! The log, what is old of it, and the archive.

use crate::ids::{ConversationId, Seq};
use crate::message::{Content, Entry, Why};
use crate::ports::{Archive, Cold, Floor, Log, MAX_EDITS, Precondition, Put};

use super::{entry, group, seqs, user};

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
        oldest_at: 1_700,
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
