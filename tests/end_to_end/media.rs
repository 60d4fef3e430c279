//! Files: they go up by a request that is good for nothing else, and down for those who may read an entry that has them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use petrel_test_client::client::PATIENCE;
use petrel_test_client::frames;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::look::pick;
use crate::rest::{Answer, Call};
use crate::server::{Server, endpoint};

const PICTURE: &str = "not much of a picture";

fn sha256(bytes: &str) -> String {
    STANDARD.encode(digest(&SHA256, bytes.as_bytes()))
}

/// An upload of these bytes, announced.
pub async fn announce(server: &Server, who: &str, content_type: &str, bytes: &str) -> Value {
    let body = json!({"content_type": content_type, "size": bytes.len(), "sha256": sha256(bytes)});
    server.post(who, "/api/media", &body).await.expect(201)
}

/// The request that it asks for.
fn put(announced: &Value) -> Call {
    let upload = &announced["upload"];
    let call = Call::new("PUT", upload["url"].as_str().unwrap().to_owned());
    let headers = upload["headers"].as_object().unwrap().iter();
    headers.fold(call, |call, (name, value)| call.header(name, value.as_str().unwrap()))
}

async fn complete(server: &Server, who: &str, announced: &Value) -> Answer {
    let id = announced["media_id"].as_str().unwrap();
    server.post(who, &format!("/api/media/{id}/complete"), &json!({})).await
}

/// An upload that is there.
pub async fn upload(server: &Server, who: &str, content_type: &str, bytes: &str) -> Value {
    let announced = announce(server, who, content_type, bytes).await;
    put(&announced).text(bytes).send().await.expect(200);
    complete(server, who, &announced).await.expect(200);
    announced["media_id"].clone()
}

async fn send(server: &Server, from: &str, to: &str, id: &Value) -> Answer {
    let body = json!({"to_user_id": to, "content": {"type": "media", "media_id": id}});
    server.post(from, "/api/messages", &body).await
}

fn of(conversation: &str, seq: u64) -> String {
    format!("/api/conversations/{conversation}/messages/{seq}/media")
}

/// What stands behind a URL that a client was given.
pub async fn fetch(download: &Value) -> Answer {
    Call::new("GET", download["url"].as_str().unwrap().to_owned()).send().await
}

fn code(answer: Answer) -> (u16, String) {
    let code = match &answer.body {
        Value::String(xml) => xml.split_once("<Code>").and_then(|(_, r)| r.split_once("</Code>")),
        body => body["code"].as_str().map(|code| (code, "")),
    };
    (answer.status, code.map(|(code, _)| code.to_owned()).unwrap_or_default())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_picture_goes_up_is_sent_and_comes_down() {
    let server = Server::start().await;
    let mut bo = server.connect("bo").await;
    let id = upload(&server, "ana", "image/png", PICTURE).await;
    let sent = send(&server, "ana", "bo", &id).await.expect(201);
    let arrived = bo.wait_for_message(sent["message_id"].as_str().unwrap()).await;
    let file =
        json!({"content_type": "image/png", "size": PICTURE.len(), "sha256": sha256(PICTURE)});
    assert_eq!(arrived["content"], json!({"type": "media", "media_id": id, "file": file}));
    let download = server.get("bo", &of("d:ana:bo", 1)).await.expect(200);
    assert_eq!(
        pick(&download, &["media_id", "content_type", "size"]),
        json!({"media_id": id, "content_type": "image/png", "size": PICTURE.len()})
    );
    let read = fetch(&download).await;
    assert_eq!(read.headers["content-type"], "image/png");
    assert_eq!(read.headers.get("content-disposition"), None, "it may be shown");
    assert_eq!(read.expect(200), PICTURE);
}

#[tokio::test]
async fn what_could_run_is_for_saving_and_never_on_the_pages_origin() {
    let server = Server::start().await;
    for kind in ["text/html", "image/svg+xml", "application/pdf"] {
        let id = upload(&server, "ana", kind, "<script>alert(1)</script>").await;
        let sent = send(&server, "ana", "ana", &id).await.expect(201);
        let path = of("d:ana:ana", sent["seq"].as_u64().unwrap());
        let read = fetch(&server.get("ana", &path).await.expect(200)).await;
        assert_eq!(read.headers["content-disposition"], "attachment", "{kind}");
        if endpoint().is_none() {
            let policy = read.headers["content-security-policy"].to_str().unwrap().to_owned();
            assert!(
                policy.contains("sandbox") && policy.contains("default-src 'none'"),
                "{policy}"
            );
            assert_eq!(read.headers["x-content-type-options"], "nosniff");
        }
    }
}

#[tokio::test]
async fn the_request_for_an_upload_is_good_for_nothing_else() {
    if endpoint().is_some() {
        // Emulators look at less.
        return;
    }
    let server = Server::start().await;
    let announced = announce(&server, "ana", "image/png", PICTURE).await;
    let other = announce(&server, "ana", "image/png", PICTURE).await;
    let url = |announced: &Value| announced["upload"]["url"].as_str().unwrap().to_owned();
    let key = |announced: &Value| {
        let url = url(announced);
        url.split_once('?').unwrap().0.to_owned()
    };
    let elsewhere = url(&announced).replace(&key(&announced), &key(&other));
    let headers = |call: Call, kind: &str, hash: &str| {
        call.header("content-type", kind)
            .header("x-amz-checksum-sha256", hash)
            .header("if-none-match", "*")
    };
    let hash = sha256(PICTURE);
    let at =
        |method: &str, url: &str| headers(Call::new(method, url.to_owned()), "image/png", &hash);
    let same = url(&announced);
    let forged = same.replace("X-Amz-Expires=3600", "X-Amz-Expires=36000");
    assert_ne!(forged, same);
    for (what, call, expected) in [
        ("another key", at("PUT", &elsewhere).text(PICTURE), refused(403, "SignatureDoesNotMatch")),
        ("another method", at("GET", &same), refused(403, "SignatureDoesNotMatch")),
        ("to delete", at("DELETE", &same), refused(403, "SignatureDoesNotMatch")),
        ("for longer", at("PUT", &forged).text(PICTURE), refused(403, "SignatureDoesNotMatch")),
        ("unsigned", at("PUT", &key(&announced)).text(PICTURE), refused(403, "AccessDenied")),
        (
            "more",
            at("PUT", &same).text(&format!("{PICTURE}!")),
            refused(403, "SignatureDoesNotMatch"),
        ),
        ("less", at("PUT", &same).text(&PICTURE[1..]), refused(403, "SignatureDoesNotMatch")),
        (
            "other bytes",
            at("PUT", &same).text(&PICTURE.replace('m', "M")),
            refused(400, "BadDigest"),
        ),
        (
            "another hash",
            headers(Call::new("PUT", same.clone()), "image/png", &sha256("other")).text(PICTURE),
            refused(403, "SignatureDoesNotMatch"),
        ),
        (
            "another type",
            headers(Call::new("PUT", same.clone()), "text/html", &hash).text(PICTURE),
            refused(403, "SignatureDoesNotMatch"),
        ),
        (
            "no headers",
            Call::new("PUT", same.clone()).text(PICTURE),
            refused(403, "SignatureDoesNotMatch"),
        ),
        (
            "a header more",
            at("PUT", &same).header("x-amz-acl", "public-read").text(PICTURE),
            refused(403, "AccessDenied"),
        ),
    ] {
        assert_eq!(code(call.send().await), expected, "{what}");
    }
    for upload in [&announced, &other] {
        assert_eq!(code(complete(&server, "ana", upload).await), refused(409, "not_ready"));
    }
    // What leads into the bucket leads nowhere else: not to another bucket, not to a list.
    let bucket = format!("http://{}", server.addr());
    for path in [
        "/media/",
        "/media",
        "/archive/",
        "/archive/a",
        "/media/../petrel.db",
        "/media/?list-type=2",
    ] {
        let answer = Call::new("GET", format!("{bucket}{path}")).send().await;
        assert!([403, 404].contains(&answer.status), "{path}: {}", answer.status);
    }
    put(&announced).text(PICTURE).send().await.expect(200);
    assert_eq!(
        code(put(&announced).text(PICTURE).send().await),
        refused(412, "PreconditionFailed")
    );
    complete(&server, "ana", &announced).await.expect(200);
}

#[tokio::test]
async fn a_bad_announcement_is_refused() {
    let server = Server::start().await;
    let good = json!({"content_type": "image/png", "size": 5, "sha256": sha256("12345")});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (body, expected) in [
        (json!({}), refused(400, "bad_request")),
        (with("size", json!(0)), refused(400, "bad_request")),
        (with("size", json!(-1)), refused(400, "bad_request")),
        (with("size", json!("5")), refused(400, "bad_request")),
        (with("size", json!(1.5)), refused(400, "bad_request")),
        (with("size", json!(25_000_001)), refused(413, "too_large")),
        (with("size", json!(u64::MAX)), refused(413, "too_large")),
        (with("sha256", json!("abc")), refused(400, "bad_request")),
        (with("sha256", json!(null)), refused(400, "bad_request")),
        (with("content_type", json!("png")), refused(400, "bad_request")),
        (
            with("content_type", json!("image/png\r\nx-amz-acl: public-read")),
            refused(400, "bad_request"),
        ),
        (with("content_type", json!("image/png; a=b")), refused(400, "bad_request")),
    ] {
        assert_eq!(code(server.post("ana", "/api/media", &body).await), expected, "{body}");
    }
    let answer = server.request("POST", "/api/media").json(&good).send().await;
    assert_eq!(code(answer), refused(401, "unauthenticated"));
}

#[tokio::test]
async fn nobody_sends_or_reads_what_is_not_theirs() {
    let server = Server::start().await;
    let id = upload(&server, "ana", "image/png", PICTURE).await;
    send(&server, "ana", "bo", &id).await.expect(201);
    let unknown = json!("0123456789abcdef0123456789abcdef");
    for id in [&id, &unknown] {
        let text = id.as_str().unwrap();
        assert_eq!(code(send(&server, "eve", "bo", id).await), refused(404, "not_found"));
        let complete = server.post("eve", &format!("/api/media/{text}/complete"), &json!({})).await;
        assert_eq!(code(complete), refused(404, "not_found"));
        let avatar = server.get("eve", &format!("/api/media/{text}/avatar")).await;
        assert_eq!(code(avatar), refused(404, "not_found"));
    }
    for (who, path, expected) in [
        ("eve", of("d:ana:bo", 1), refused(403, "not_a_member")),
        ("eve", of("d:ana:eve", 1), refused(403, "not_a_member")),
        ("bo", of("d:ana:bo", 2), refused(404, "not_found")),
        ("bo", of("d:ana:bo", 0), refused(404, "not_found")),
        ("bo", "/api/conversations/d:ana:bo/messages/x/media".into(), refused(400, "bad_request")),
        ("bo", "/api/conversations/nonsense/messages/1/media".into(), refused(400, "bad_request")),
        ("bo", "/api/media/x/avatar".into(), refused(404, "not_found")),
        ("bo", format!("/api/media/{}/avatar", "x".repeat(129)), refused(400, "bad_request")),
    ] {
        assert_eq!(code(server.get(who, &path).await), expected, "{who} {path}");
        if path.contains("/messages/") {
            let forward = path.replace("/media", "/forward");
            let answer = server.post(who, &forward, &json!({})).await;
            assert_eq!(code(answer), expected, "{who} {forward}");
        }
    }
    // bo passes it on, and only then may.
    assert_eq!(code(send(&server, "bo", "cy", &id).await), refused(404, "not_found"));
    let path = "/api/conversations/d:ana:bo/messages/1/forward";
    let lent = server.post("bo", path, &json!({})).await.expect(200);
    assert_eq!(lent, json!({"media_id": id}));
    send(&server, "bo", "cy", &id).await.expect(201);
    assert_eq!(
        fetch(&server.get("cy", &of("d:bo:cy", 1)).await.expect(200)).await.expect(200),
        PICTURE
    );
    // ana takes hers back; bo's stays.
    let delete = json!({"to_user_id": "bo", "content": {"type": "delete", "target": 1}});
    server.post("ana", "/api/messages", &delete).await.expect(201);
    for who in ["ana", "bo"] {
        assert_eq!(code(server.get(who, &of("d:ana:bo", 1)).await), refused(404, "not_found"));
    }
    server.get("cy", &of("d:bo:cy", 1)).await.expect(200);
}

#[tokio::test]
async fn the_buckets_own_event_completes_an_upload_too() {
    if endpoint().is_some() {
        return;
    }
    let server = Server::start().await;
    let announced = announce(&server, "ana", "image/png", PICTURE).await;
    let id = &announced["media_id"];
    assert_eq!(code(send(&server, "ana", "bo", id).await), refused(409, "not_ready"));
    put(&announced).text(PICTURE).send().await.expect(200);
    let trying = async {
        let mut again = interval(std::time::Duration::from_millis(10));
        loop {
            again.tick().await;
            if send(&server, "ana", "bo", id).await.status == 201 {
                return;
            }
        }
    };
    timeout(PATIENCE, trying).await.unwrap();
}

#[tokio::test]
async fn a_scanner_decides_what_can_be_read() {
    let server = Server::with(&["--scan"]).await;
    let verdict = async |key: &str, verdict: &str| {
        let event = json!({"source": "petrel.scanner", "detail-type": "Media Verdict",
            "detail": {"bucket": "media", "key": key, "verdict": verdict}});
        server.request("POST", "/local/events").json(&event).send().await.expect(204);
    };
    let key = |announced: &Value| {
        let url = announced["upload"]["url"].as_str().unwrap().to_owned();
        let path = url.split_once('?').unwrap().0.to_owned();
        path.rsplit('/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/")
    };
    let (good, bad) = (
        announce(&server, "ana", "image/png", PICTURE).await,
        announce(&server, "ana", "image/png", PICTURE).await,
    );
    for announced in [&good, &bad] {
        put(announced).text(PICTURE).send().await.expect(200);
        let state = complete(&server, "ana", announced).await.expect(200);
        assert_eq!(state["state"], "pending");
        send(&server, "ana", "bo", &announced["media_id"]).await.expect(201);
    }
    assert_eq!(code(server.get("bo", &of("d:ana:bo", 1)).await), refused(409, "not_ready"));
    verdict(&key(&good), "clean").await;
    verdict(&key(&bad), "blocked").await;
    verdict(&key(&bad), "clean").await;
    let download = server.get("bo", &of("d:ana:bo", 1)).await.expect(200);
    fetch(&download).await.expect(200);
    assert_eq!(code(server.get("bo", &of("d:ana:bo", 2)).await), refused(403, "forbidden"));
    assert_eq!(code(send(&server, "ana", "bo", &bad["media_id"]).await), refused(403, "forbidden"));
}

#[tokio::test]
async fn what_was_uploaded_and_sent_survives_a_kill() {
    let mut server = Server::start().await;
    let id = upload(&server, "ana", "image/png", PICTURE).await;
    send(&server, "ana", "bo", &id).await.expect(201);
    // One that is complete and unsent too.
    let unsent = upload(&server, "ana", "video/mp4", "a film").await;
    server.kill().await;
    server.start_again().await;
    let download = server.get("bo", &of("d:ana:bo", 1)).await.expect(200);
    assert_eq!(fetch(&download).await.expect(200), PICTURE);
    send(&server, "ana", "bo", &unsent).await.expect(201);
}

#[tokio::test]
async fn a_preview_goes_along_and_a_bad_one_is_refused() {
    let server = Server::start().await;
    let id = upload(&server, "ana", "image/png", PICTURE).await;
    let mut ana = server.connect("ana").await;
    let content = |preview: Value| json!({"type": "media", "media_id": id, "preview": preview});
    let good = json!({"name": "us.png", "width": 640, "height": 480, "duration_ms": 5,
        "blurhash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj", "thumbnail": "/9j/4AAQ"});
    let sent =
        ana.ask(&frames::send("d:ana:bo", 0, &frames::new_id(), content(good.clone()))).await;
    assert_eq!(sent["type"], "sent", "{sent}");
    let history =
        server.get("bo", "/api/conversations/d:ana:bo/messages?after=0").await.expect(200);
    assert_eq!(history["messages"][0]["content"]["preview"], good);
    for (preview, expected) in [
        (json!({"width": 0}), "bad_request"),
        (json!({"width": "wide"}), "bad_request"),
        (json!({"name": "a/b"}), "bad_request"),
        (json!({"thumbnail": "PHN2Zz4="}), "bad_request"),
        (json!({"thumbnail": format!("/9j/{}", "A".repeat(8192))}), "too_large"),
    ] {
        let frame = frames::send("d:ana:bo", 1, &frames::new_id(), content(preview.clone()));
        assert_eq!(ana.ask(&frame).await["code"], expected, "{preview}");
    }
}

#[tokio::test]
async fn pages_that_were_named_may_upload_and_no_others() {
    if endpoint().is_some() {
        return;
    }
    let server = Server::with(&["--allow-origin", "https://chat.example.com"]).await;
    let announced = announce(&server, "ana", "image/png", PICTURE).await;
    let preflight = |origin: &str| {
        let url = announced["upload"]["url"].as_str().unwrap().to_owned();
        let call = Call::new("OPTIONS", url).header("origin", origin);
        call.header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "content-type,x-amz-checksum-sha256")
    };
    let allowed = preflight("https://chat.example.com").send().await;
    assert_eq!(allowed.headers["access-control-allow-origin"], "https://chat.example.com");
    let headers = allowed.headers["access-control-allow-headers"].to_str().unwrap().to_owned();
    assert!(headers.contains("x-amz-checksum-sha256"), "{headers}");
    let other = preflight("https://evil.example.com").send().await;
    assert_eq!(other.headers.get("access-control-allow-origin"), None);
}
