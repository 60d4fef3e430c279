//! The contract of [`Uploads`] as a suite.

use crate::ids::{MediaId, UserId};
use crate::media::{ContentType, File, Sha256, Upload, UploadState};
use crate::ports::Uploads;

/// An upload of ana's that ends at 2,000 s.
pub fn an_upload(number: u128) -> Upload {
    Upload {
        id: MediaId::new(number),
        owner: UserId::parse("ana").unwrap(),
        file: File {
            content_type: ContentType::parse("image/png").unwrap(),
            size: 19,
            sha256: Sha256::parse("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").unwrap(),
        },
        state: UploadState::Waiting,
        avatar: false,
        expires_at_s: Some(2_000),
    }
}

/// [`Uploads`]. Panics where an implementation breaks its word.
pub async fn uploads(uploads: &dyn Uploads) {
    use UploadState::{Blocked, Clean, Pending, Waiting};
    let (first, second) = (an_upload(1), an_upload(2));
    let (ana, id) = (&first.owner, &first.id);
    assert_eq!(uploads.upload(id).await.unwrap(), None);
    assert!(!uploads.set_state(ana, id, &[Waiting], Clean).await.unwrap());
    assert!(!uploads.keep(ana, id, 0, false).await.unwrap());
    // Neither has made anything of it.
    assert_eq!(uploads.upload(id).await.unwrap(), None);

    uploads.announce(&first).await.unwrap();
    uploads.announce(&second).await.unwrap();
    assert_eq!(uploads.upload(id).await.unwrap(), Some(first.clone()));
    assert!(uploads.set_state(ana, id, &[Waiting], Pending).await.unwrap());
    assert!(!uploads.set_state(ana, id, &[Waiting], Clean).await.unwrap());
    let bo = UserId::parse("bo").unwrap();
    assert!(!uploads.set_state(&bo, id, &[Pending], Blocked).await.unwrap());
    assert!(!uploads.keep(&bo, id, 0, true).await.unwrap());
    uploads.forget(&bo, id).await.unwrap();
    assert!(uploads.set_state(ana, id, &[Waiting, Pending], Clean).await.unwrap());
    let mut now = Upload { state: Clean, ..first.clone() };
    assert_eq!(uploads.upload(id).await.unwrap(), Some(now.clone()));

    // The end itself is too late.
    assert!(!uploads.keep(ana, id, 2_000, true).await.unwrap());
    assert_eq!(uploads.upload(id).await.unwrap(), Some(now.clone()));
    for avatar in [false, true, false] {
        assert!(uploads.keep(ana, id, 1_999, avatar).await.unwrap());
        now = Upload { expires_at_s: None, avatar: now.avatar || avatar, ..now };
        assert_eq!(uploads.upload(id).await.unwrap(), Some(now.clone()));
    }
    // What is kept has no end.
    assert!(uploads.keep(ana, id, 9_999, false).await.unwrap());
    assert_eq!(uploads.upload(&second.id).await.unwrap(), Some(second.clone()));

    assert!(uploads.set_state(ana, &second.id, &[Waiting], Blocked).await.unwrap());
    assert!(!uploads.keep(ana, &second.id, 0, false).await.unwrap());

    let cy = UserId::parse("cy").unwrap();
    assert_eq!(uploads.lent(id, &bo).await.unwrap(), None);
    uploads.lend(id, &bo, 100).await.unwrap();
    uploads.lend(id, &bo, 200).await.unwrap();
    assert_eq!(uploads.lent(id, &bo).await.unwrap(), Some(200));
    assert_eq!(uploads.lent(id, &cy).await.unwrap(), None);
    assert_eq!(uploads.lent(&second.id, &bo).await.unwrap(), None);

    for _ in 0..2 {
        uploads.forget(ana, id).await.unwrap();
        assert_eq!(uploads.upload(id).await.unwrap(), None);
    }
    assert!(uploads.upload(&second.id).await.unwrap().is_some());
}
