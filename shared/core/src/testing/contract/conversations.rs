//! Members, rows, groups and invites.

use uuid::Uuid;

use crate::group::{Allowed, GroupInfo, Invite, Member, Role};
use crate::ids::{ConversationId, InviteId, MediaId, Seq, UserId};
use crate::message::{Content, Entry, GroupChange};
use crate::ports::{Change, Conversations, Log, OwnState, Put, Watermarks};

use super::{entry, group, seqs, user};

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

    // Where someone may have written before he left; no row of his list.
    let later = ConversationId::group(Uuid::from_u128(8));
    conversations.note_left(&later, &[ana.clone(), bo.clone()]).await.unwrap();
    conversations.note_left(&g, std::slice::from_ref(&ana)).await.unwrap();
    conversations.note_left(&g, std::slice::from_ref(&ana)).await.unwrap();
    assert_eq!(conversations.left(&ana, 9).await.unwrap(), [g.clone(), later.clone()]);
    assert_eq!(conversations.left(&ana, 1).await.unwrap(), std::slice::from_ref(&g));
    assert_eq!(conversations.left(&bo, 9).await.unwrap(), std::slice::from_ref(&later));
    assert_eq!(conversations.row(&bo, &later).await.unwrap(), None);
    assert_eq!(conversations.rows(&ana, None, 9).await.unwrap().len(), 1);
    conversations.forget_left(&ana, &g).await.unwrap();
    conversations.forget_left(&ana, &g).await.unwrap();
    assert_eq!(conversations.left(&ana, 9).await.unwrap(), std::slice::from_ref(&later));
    assert!(conversations.left(&cy, 9).await.unwrap().is_empty());

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
