//! [`Archive`](petrel_core::ports::Archive).

use futures::FutureExt;
use petrel_aws::archive::object;
use petrel_core::error::Result;
use petrel_core::ids::Seq;
use petrel_core::ports::{Archive, Precondition, Version};
use ring::digest::{SHA256, digest};

use super::{Op, said};
use crate::stage::{old, stretch};

/// Puts another object in the place of the one that ends with 5, which is known by its tag: of the embedded S3, the first
/// half of its SHA-256.
async fn replace(archive: &dyn Archive) -> Result<bool> {
    let stands = object::encode(&stretch(&old(), 4, 5)).unwrap();
    let hash = digest(&SHA256, &stands);
    let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut new = stretch(&old(), 4, 5);
    new[1].sent_at += 1;
    archive.put(&new, &Precondition::Is(Version(format!("\"{hex}\"")))).await
}

pub const OPS: &[Op] = &[
    Op::write("Archive::put", |app| {
        let new = stretch(&old(), 6, 9);
        async move { said(app.archive.put(&new, &Precondition::Absent).await) }.boxed()
    })
    .case(" (new)")
    .stood(&["false"]),
    Op::write("Archive::put", |app| async move { said(replace(&*app.archive).await) }.boxed())
        .case(" (in the place of another)")
        .stood(&["false"]),
    Op::read("Archive::get", |app| {
        async move { said(app.archive.get(&old(), Seq::new(5)).await) }.boxed()
    }),
    Op::read("Archive::get", |app| {
        async move { said(app.archive.get(&old(), Seq::new(6)).await) }.boxed()
    })
    .case(" (absent)"),
    Op::read("Archive::list", |app| {
        async move { said(app.archive.list(&old(), Seq::ZERO, 9).await) }.boxed()
    }),
    Op::write("Archive::delete", |app| {
        async move { said(app.archive.delete(&old(), Seq::new(3)).await) }.boxed()
    }),
];
