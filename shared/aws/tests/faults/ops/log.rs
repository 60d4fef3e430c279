//! [`Log`](petrel_core::ports::Log).

use futures::FutureExt;
use petrel_core::ids::Seq;
use petrel_core::message::Content;

use super::{Op, said};
use crate::stage::{self, group};

pub const OPS: &[Op] = &[
    Op::read("Log::newest", |app| {
        async move { said(app.log.newest(&group(), Seq::FIRST, None, 2).await) }.boxed()
    }),
    Op::read("Log::after", |app| {
        async move { said(app.log.after(&group(), Seq::ZERO, 9).await) }.boxed()
    }),
    Op::read("Log::after", |app| {
        async move { said(app.log.after(&stage::old(), Seq::ZERO, 99).await) }.boxed()
    })
    .case(" (many)"),
    Op::write("Log::put", |app| {
        async move { said(app.log.put(&stage::said(&group(), 4)).await) }.boxed()
    })
    .stood(&["Taken"]),
    Op::write("Log::put", |app| {
        let entry = stage::entry(&group(), 3, Content::text("?"));
        async move { said(app.log.put(&entry).await) }.boxed()
    })
    .case(" (taken)"),
    Op::write("Log::put_changing", |app| {
        let edit = Content::Edit { target: Seq::new(2), text: "!".into() };
        let edit = stage::entry(&group(), 4, edit);
        async move { said(app.log.put_changing(&edit).await) }.boxed()
    })
    .case(" (edit)")
    .stood(&["Taken"]),
    Op::write("Log::put_changing", |app| {
        let delete = stage::entry(&group(), 4, Content::Delete { target: Seq::new(2) });
        async move { said(app.log.put_changing(&delete).await) }.boxed()
    })
    .case(" (delete)")
    .stood(&["Taken"]),
];
