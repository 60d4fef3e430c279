//! Bounds of uploads that the operator sets, and which of them may be shown.

use petrel_test_client::frames;
use serde_json::{Value, json};

use crate::media::{announce, upload};
use crate::rest::Answer;
use crate::server::{Server, run};

/// Announces an upload of so many bytes.
async fn of_size(server: &Server, kind: &str, size: u64) -> Answer {
    let sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let body = json!({"content_type": kind, "size": size, "sha256": sha256});
    server.post("ana", "/api/media", &body).await
}

#[tokio::test]
async fn the_operators_bounds_hold_in_place_of_the_defaults() {
    for (photo, file) in [(1, 3), (30, 2), (5_000, 5_000)] {
        let (photos, files) = (photo.to_string(), file.to_string());
        let server =
            Server::with(&["--memory", "--max-photo", &photos, "--max-file", &files]).await;
        for (kind, most) in [
            ("image/png", photo),
            ("image/svg+xml", photo),
            ("video/mp4", file),
            ("application/pdf", file),
            ("text/plain", file),
        ] {
            let most = most * 1_000_000;
            of_size(&server, kind, most).await.expect(201);
            for size in [most + 1, most * 2, u64::MAX] {
                let refused = of_size(&server, kind, size).await;
                let answer = (refused.status, &refused.body["code"]);
                assert_eq!(answer, (413, &json!("too_large")), "{kind} {size}");
            }
        }
    }
}

#[tokio::test]
async fn what_just_fits_goes_up_and_can_be_sent() {
    let server = Server::with(&["--max-photo", "1", "--max-file", "1"]).await;
    let id = upload(&server, "ana", "image/jpeg", &"x".repeat(1_000_000)).await;
    let body = json!({"to_user_id": "bo", "content": {"type": "media", "media_id": id}});
    server.post("ana", "/api/messages", &body).await.expect(201);
}

#[tokio::test]
async fn bounds_that_make_no_sense_start_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for bound in ["--max-photo", "--max-file"] {
        for size in ["0", "5001", "-1", "1.5", "many", ""] {
            let output = run(folder.path(), &["serve", bound, size]).await;
            assert_eq!(output.status.code(), Some(2), "{bound} {size}");
        }
    }
}

#[tokio::test]
async fn an_avatar_is_a_small_picture_of_ones_own_that_can_be_read() {
    let server = Server::start().await;
    let face = upload(&server, "ana", "image/webp", "a face").await;
    let patch = async |body: &Value| {
        server.request_as("ana", "PATCH", "/api/profile").json(body).send().await
    };
    let shown = patch(&json!({"name": "Ana", "avatar": face})).await.expect(200);
    let anothers = upload(&server, "bo", "image/png", "bo's own").await;
    let document = upload(&server, "ana", "application/pdf", "no picture").await;
    let script = upload(&server, "ana", "image/svg+xml", "<svg/>").await;
    let announced = announce(&server, "ana", "image/png", "not there yet").await;
    let large = of_size(&server, "image/png", 5_000_001).await.expect(201);
    for (avatar, status, code) in [
        (anothers.clone(), 404, "not_found"),
        (json!("0123456789abcdef0123456789abcdef"), 404, "not_found"),
        (json!("x"), 404, "not_found"),
        (json!("../face"), 404, "not_found"),
        (document, 400, "bad_request"),
        (script, 400, "bad_request"),
        (large["media_id"].clone(), 400, "bad_request"),
        (announced["media_id"].clone(), 409, "not_ready"),
        (json!(""), 400, "bad_request"),
        (json!("a b"), 400, "bad_request"),
        (json!("x".repeat(129)), 400, "bad_request"),
        (json!(7), 400, "bad_request"),
        (json!(false), 400, "bad_request"),
        (json!([face]), 400, "bad_request"),
        (json!({"media_id": face}), 400, "bad_request"),
    ] {
        let answer = patch(&json!({"name": "Eve", "avatar": avatar})).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{avatar}");
    }
    // Also where it was sent to him: that lets him read it, not show it.
    let to_ana = json!({"to_user_id": "ana", "content": {"type": "media", "media_id": anothers}});
    server.post("bo", "/api/messages", &to_ana).await.expect(201);
    patch(&json!({ "avatar": anothers })).await.expect(404);
    assert_eq!(server.get("ana", "/api/profile").await.expect(200), shown);
    let text = json!({"to_user_id": "bo", "content": frames::text("still here")});
    server.post("ana", "/api/messages", &text).await.expect(201);
}
