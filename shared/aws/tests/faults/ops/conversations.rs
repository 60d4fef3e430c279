//! [`Conversations`](petrel_core::ports::Conversations).

use futures::FutureExt;
use petrel_core::ids::Seq;
use petrel_core::message::{Content, GroupChange};
use petrel_core::ports::{Change, OwnState, Watermarks};

use super::{Op, said};
use crate::stage::{self, both, group, user};

/// bo goes and cy comes, by an invite.
fn membership() -> Change {
    let change = GroupChange::Added { members: vec![user("cy")] };
    Change {
        entry: stage::entry(&group(), 4, Content::System { change }),
        added: vec![user("cy")],
        removed: vec![user("bo")],
        roles: vec![],
        info: None,
        invite: Some(stage::invite(1).id),
    }
}

pub const OPS: &[Op] = &[
    Op::read("Conversations::roster", |app| {
        async move { said(app.conversations.roster(&group(), usize::MAX).await) }.boxed()
    }),
    Op::write("Conversations::open", |app| {
        async move { said(app.conversations.open(&stage::direct(), &both()).await) }.boxed()
    })
    .in_steps(),
    // It holds up to 21 transactions, one after another.
    Op::write("Conversations::found", |app| {
        let new = stage::new_group();
        async move { said(app.conversations.found(&new, &stage::info(), &stage::roles()).await) }
            .boxed()
    })
    .in_steps()
    .within_ms(15_000),
    Op::write("Conversations::change", |app| {
        async move { said(app.conversations.change(&membership()).await) }.boxed()
    })
    .stood(&["Taken"]),
    Op::write("Conversations::set_invite", |app| {
        async move { said(app.conversations.set_invite(&stage::invite(2)).await) }.boxed()
    }),
    Op::read("Conversations::invite", |app| {
        let id = stage::invite(1).id;
        async move { said(app.conversations.invite(&group(), &id).await) }.boxed()
    }),
    Op::read("Conversations::invites", |app| {
        async move { said(app.conversations.invites(&group(), 9).await) }.boxed()
    }),
    Op::write("Conversations::remove_invite", |app| {
        let id = stage::invite(1).id;
        async move { said(app.conversations.remove_invite(&group(), &id).await) }.boxed()
    }),
    Op::read("Conversations::row", |app| {
        async move { said(app.conversations.row(&user("bo"), &group()).await) }.boxed()
    }),
    Op::read("Conversations::rows", |app| {
        async move { said(app.conversations.rows(&user("bo"), None, 9).await) }.boxed()
    }),
    Op::write("Conversations::advance", |app| {
        let one = Watermarks { delivered: Seq::new(2), read: Seq::FIRST, read_ordinal: 1 };
        let none = Watermarks::default();
        async move { said(app.conversations.advance(&user("bo"), &group(), none, one).await) }
            .boxed()
    })
    .stood(&["false"]),
    Op::write("Conversations::set_own", |app| {
        let own = OwnState { version: 1, pinned: true, ..OwnState::default() };
        async move { said(app.conversations.set_own(&user("bo"), &group(), 0, own).await) }.boxed()
    })
    .stood(&["false"]),
    Op::read("Conversations::rows_of", |app| {
        async move {
            let rows = app.conversations.rows_of(&group(), &both()).await;
            said(rows.map(in_order))
        }
        .boxed()
    })
    .rounds(6),
    Op::read("Conversations::recent_rows_of", |app| {
        async move {
            let rows = app.conversations.recent_rows_of(&group(), &both()).await;
            said(rows.map(in_order))
        }
        .boxed()
    })
    .rounds(6),
    Op::read("Conversations::blocks", |app| {
        async move { said(app.conversations.blocks(&user("bo"), &user("ana")).await) }.boxed()
    }),
    Op::read("Conversations::blocks", |app| {
        async move { said(app.conversations.blocks(&user("ana"), &user("bo")).await) }.boxed()
    })
    .case(" (not)"),
    Op::write("Conversations::note_left", |app| {
        async move { said(app.conversations.note_left(&stage::new_group(), &both()).await) }.boxed()
    })
    .rounds(6)
    .in_steps()
    .within_ms(15_000),
    Op::read("Conversations::left", |app| {
        async move { said(app.conversations.left(&user("bo"), 9).await) }.boxed()
    }),
    Op::write("Conversations::forget_left", |app| {
        async move { said(app.conversations.forget_left(&user("bo"), &group()).await) }.boxed()
    }),
];

/// A batch has no order.
pub fn in_order<K: Ord, V>(mut found: Vec<(K, V)>) -> Vec<(K, V)> {
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
