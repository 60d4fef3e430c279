//! [`Uploads`](petrel_core::ports::Uploads) and [`Files`](petrel_core::ports::Files).

use futures::FutureExt;
use petrel_core::media::{Keep, UploadState};

use super::{Op, said};
use crate::stage::{media, upload, user};

pub const OPS: &[Op] = &[
    Op::write("Uploads::announce", |app| {
        async move { said(app.uploads.announce(&upload(3)).await) }.boxed()
    }),
    Op::read("Uploads::upload", |app| {
        async move { said(app.uploads.upload(&media(1)).await) }.boxed()
    }),
    Op::write("Uploads::set_state", |app| {
        let (from, to) = ([UploadState::Waiting], UploadState::Clean);
        async move { said(app.uploads.set_state(&user("ana"), &media(1), &from, to).await) }.boxed()
    })
    .stood(&["false"]),
    // Its own lost attempt makes the condition false; what stands is read then.
    Op::write("Uploads::keep", |app| {
        let keep = Keep::Until(9_000);
        async move { said(app.uploads.keep(&user("ana"), &media(1), 1_000, keep).await) }.boxed()
    })
    .rounds(2),
    Op::write("Uploads::keep", |app| {
        async move { said(app.uploads.keep(&user("ana"), &media(1), 1_000, Keep::Shown).await) }
            .boxed()
    })
    .case(" (shown)"),
    Op::write("Uploads::forget", |app| {
        async move { said(app.uploads.forget(&user("ana"), &media(2)).await) }.boxed()
    }),
    Op::write("Uploads::lend", |app| {
        async move { said(app.uploads.lend(&media(1), &user("cy"), 200).await) }.boxed()
    }),
    Op::read("Uploads::lent", |app| {
        async move { said(app.uploads.lent(&media(1), &user("bo")).await) }.boxed()
    }),
    Op::read("Files::stored", |app| {
        async move { said(app.files.stored(&user("ana"), &media(1)).await) }.boxed()
    }),
    Op::read("Files::stored", |app| {
        async move { said(app.files.stored(&user("ana"), &media(9)).await) }.boxed()
    })
    .case(" (not)"),
    Op::write("Files::remove", |app| {
        async move { said(app.files.remove(&user("ana"), &media(1)).await) }.boxed()
    }),
    Op::read("Files::of", |app| {
        async move { said(app.files.of(&user("ana"), None, 9).await) }.boxed()
    }),
];

/// What is signed here.
pub const LOCAL: &[Op] = &[
    Op::read("Files::to_put", |app| {
        async move { said(app.files.to_put(&upload(1), 60).await) }.boxed()
    }),
    Op::read("Files::to_get", |app| {
        async move { said(app.files.to_get(&upload(1), 60).await) }.boxed()
    }),
];
