//! [`Connections`](petrel_core::ports::Connections).

use futures::FutureExt;
use petrel_core::ports::Connection;

use super::conversations::in_order;
use super::{Op, said};
use crate::stage::{both, endpoint, socket, user};

pub const OPS: &[Op] = &[
    // What meets a transaction is tried five times.
    Op::write("Connections::register", |app| {
        async move { said(app.connections.register(&socket("ana")).await) }.boxed()
    })
    .rounds(5),
    Op::write("Connections::remove", |app| {
        let Connection { user, device, id, .. } = socket("bo");
        async move { said(app.connections.remove(&user, &device, &id, 7).await) }.boxed()
    })
    .rounds(5)
    .stood(&["None"]),
    Op::read("Connections::sockets", |app| {
        async move { said(app.connections.sockets(&both()).await.map(in_order)) }.boxed()
    })
    .rounds(6),
    // Its own lost attempt makes the condition false; what stands is read then.
    Op::write("Connections::watched", |app| {
        async move { said(app.connections.watched(&user("bo"), 9_000).await) }.boxed()
    })
    .rounds(1 + 6),
    Op::write("Connections::set_away", |app| {
        async move { said(app.connections.set_away(&user("bo"), true).await) }.boxed()
    }),
    Op::write("Connections::set_away", |app| {
        async move { said(app.connections.set_away(&user("di"), false).await) }.boxed()
    })
    .case(" (here again)")
    .empty_says_nothing(),
    Op::read("Connections::of", |app| {
        async move { said(app.connections.of(&both()).await) }.boxed()
    })
    .rounds(6),
    // An endpoint reads the users in between.
    Op::write("Connections::set_endpoint", |app| {
        async move { said(app.connections.set_endpoint(&endpoint("ana")).await) }.boxed()
    })
    .rounds(6 * 5),
    Op::write("Connections::remove_endpoint", |app| {
        async move { said(app.connections.remove_endpoint(&endpoint("bo")).await) }.boxed()
    })
    .rounds(6 * 5),
    Op::write("Connections::set_disabled", |app| {
        async move { said(app.connections.set_disabled(&user("bo"), Some(9)).await) }.boxed()
    }),
    Op::write("Connections::set_disabled", |app| {
        async move { said(app.connections.set_disabled(&user("di"), None).await) }.boxed()
    })
    .case(" (enabled)")
    .empty_says_nothing(),
    Op::read("Connections::account", |app| {
        async move { said(app.connections.account(&user("bo")).await) }.boxed()
    }),
    Op::read("Connections::is_disabled", |app| {
        async move { said(app.connections.is_disabled(&user("di")).await) }.boxed()
    }),
];
