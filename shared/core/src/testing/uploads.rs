//! The contract of [`Uploads`] as a suite.

use crate::ids::{MediaId, UserId};
use crate::media::{ContentType, File, Keep, Sha256, Upload, UploadState};
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
    assert!(!uploads.keep(ana, id, 0, Keep::Until(9)).await.unwrap());
    // Neither has made anything of it.
    assert_eq!(uploads.upload(id).await.unwrap(), None);

    uploads.announce(&first).await.unwrap();
    uploads.announce(&second).await.unwrap();
    assert_eq!(uploads.upload(id).await.unwrap(), Some(first.clone()));
    assert!(uploads.set_state(ana, id, &[Waiting], Pending).await.unwrap());
    assert!(!uploads.set_state(ana, id, &[Waiting], Clean).await.unwrap());
    let bo = UserId::parse("bo").unwrap();
    assert!(!uploads.set_state(&bo, id, &[Pending], Blocked).await.unwrap());
    for keep in [Keep::Shown, Keep::Until(9_000)] {
        assert!(!uploads.keep(&bo, id, 0, keep).await.unwrap());
    }
    uploads.forget(&bo, id).await.unwrap();
    assert!(uploads.set_state(ana, id, &[Waiting, Pending], Clean).await.unwrap());
    let mut now = Upload { state: Clean, ..first.clone() };
    assert_eq!(uploads.upload(id).await.unwrap(), Some(now.clone()));

    // The end itself is too late.
    for keep in [Keep::Shown, Keep::Until(9_000), Keep::Until(1_000)] {
        assert!(!uploads.keep(ana, id, 2_000, keep).await.unwrap());
        assert_eq!(uploads.upload(id).await.unwrap(), Some(now.clone()));
    }
    // It never comes nearer, and what is shown has none.
    for (keep, end) in [
        (Keep::Until(2_000), Some(2_000)),
        (Keep::Until(8_000), Some(8_000)),
        (Keep::Until(7_000), Some(8_000)),
        (Keep::Shown, None),
        (Keep::Until(9_000), None),
        (Keep::Shown, None),
    ] {
        assert!(uploads.keep(ana, id, 1_999, keep).await.unwrap(), "{keep:?}");
        now = Upload { expires_at_s: end, avatar: now.avatar || keep == Keep::Shown, ..now };
        assert_eq!(uploads.upload(id).await.unwrap(), Some(now.clone()));
    }
    assert!(uploads.keep(ana, id, 9_999, Keep::Until(10_000)).await.unwrap());
    assert_eq!(uploads.upload(&second.id).await.unwrap(), Some(second.clone()));

    assert!(uploads.set_state(ana, &second.id, &[Waiting], Blocked).await.unwrap());
    for keep in [Keep::Shown, Keep::Until(9_000), Keep::Until(1)] {
        assert!(!uploads.keep(ana, &second.id, 0, keep).await.unwrap(), "{keep:?}");
    }

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
