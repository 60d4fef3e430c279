//! [`People`](petrel_core::ports::People).

use futures::FutureExt;
use petrel_core::people::ProfileChange;

use super::conversations::in_order;
use super::{Op, said};
use crate::stage::{both, group, user};

pub const OPS: &[Op] = &[
    Op::read("People::profiles", |app| {
        async move { said(app.people.profiles(&both()).await.map(in_order)) }.boxed()
    })
    .rounds(6),
    Op::read("People::recent_profiles", |app| {
        async move { said(app.people.recent_profiles(&both()).await.map(in_order)) }.boxed()
    })
    .rounds(6),
    Op::write("People::set_profile", |app| {
        let change = ProfileChange { hide_read_receipts: Some(true), ..ProfileChange::default() };
        async move { said(app.people.set_profile(&user("ana"), &change).await) }.boxed()
    }),
    Op::read("People::row_and_profile", |app| {
        async move { said(app.people.row_and_profile(&user("bo"), &group()).await) }.boxed()
    })
    .rounds(6),
    Op::write("People::block", |app| {
        async move { said(app.people.block(&user("ana"), &user("bo")).await) }.boxed()
    }),
    Op::write("People::unblock", |app| {
        async move { said(app.people.unblock(&user("bo"), &user("ana")).await) }.boxed()
    }),
    Op::read("People::blocked", |app| {
        async move { said(app.people.blocked(&user("bo"), None, 9).await) }.boxed()
    }),
    Op::read("People::blockers", |app| {
        async move { said(app.people.blockers(&both(), &user("ana")).await) }.boxed()
    })
    .rounds(6),
    Op::read("People::regards", |app| {
        async move { said(app.people.regards(&[(user("ana"), user("bo"))]).await) }.boxed()
    })
    .rounds(6),
    Op::write("People::watch", |app| {
        async move { said(app.people.watch(&user("ana"), &user("bo"), 9_000).await) }.boxed()
    }),
    Op::read("People::watchers", |app| {
        async move { said(app.people.watchers(&user("bo"), 0, 9).await) }.boxed()
    }),
    // Reads, deletes by batches, and an update.
    Op::write("People::erase", |app| {
        async move { said(app.people.erase(&user("bo"), 99).await) }.boxed()
    })
    .rounds(6)
    .in_steps()
    .within_ms(15_000),
];
