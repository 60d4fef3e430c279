//! [`Cold`](petrel_core::ports::Cold).

use futures::FutureExt;
use petrel_core::ids::Seq;
use petrel_core::message::{Content, Why};
use petrel_core::ports::Floor;

use super::{Op, said};
use crate::stage::{self, floor, old};

pub const OPS: &[Op] = &[
    Op::read("Cold::floor", |app| async move { said(app.cold.floor(&old()).await) }.boxed()),
    Op::write("Cold::move_floor", |app| {
        let new = Floor { archived: Seq::new(6), ..floor() };
        async move { said(app.cold.move_floor(&old(), &floor(), &new).await) }.boxed()
    })
    .stood(&["false"]),
    // A row that is at the fence, and is noted.
    Op::write("Cold::put_delete", |app| {
        let delete = stage::entry(&old(), 31, Content::Delete { target: Seq::new(7) });
        let target = stage::said(&old(), 7);
        async move { said(app.cold.put_delete(&delete, &target, &floor()).await) }.boxed()
    })
    .stood(&["Taken"]),
    // One that is archived, one at the fence and one above it. Refused when another write is under way.
    Op::write("Cold::erase", |app| {
        let entries = [2, 7, 9].map(|seq| stage::said(&old(), seq));
        async move { said(app.cold.erase(&old(), &entries, &floor()).await) }.boxed()
    })
    .stood(&["false"]),
    Op::read("Cold::redactions", |app| {
        async move { said(app.cold.redactions(&old(), Seq::FIRST, Seq::new(9), 9).await) }.boxed()
    }),
    Op::write("Cold::remove_redactions", |app| {
        async move { said(app.cold.remove_redactions(&old(), &[3, 4].map(Seq::new)).await) }.boxed()
    })
    .rounds(6)
    .in_steps()
    .within_ms(15_000),
    Op::write("Cold::set_timer", |app| {
        async move { said(app.cold.set_timer(&stage::group(), 7_000_000).await) }.boxed()
    }),
    Op::write("Cold::keep_timer", |app| {
        async move { said(app.cold.keep_timer(&old(), 7_000_000).await) }.boxed()
    }),
    // Two batches.
    Op::write("Cold::remove", |app| {
        async move { said(app.cold.remove(&old(), Seq::new(2), Seq::new(29)).await) }.boxed()
    })
    .rounds(6)
    .in_steps()
    .within_ms(15_000),
    Op::write("Cold::empty", |app| {
        async move { said(app.cold.empty(&old(), Seq::new(10), Why::Expired).await) }.boxed()
    }),
];
