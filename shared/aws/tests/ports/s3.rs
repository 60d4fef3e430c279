//! The embedded S3, through the SDK's client and through what it presigns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt, stream};
use petrel_aws::archive;
use petrel_aws::embedded::s3::{Created, S3};
use petrel_core::testing::contract;
use ring::digest::{SHA256, digest};

const URL: &str = "http://127.0.0.1:8080";
const PICTURE: &[u8] = b"\x89PNG, or so it says";

fn sha256(bytes: &[u8]) -> String {
    STANDARD.encode(digest(&SHA256, bytes))
}

fn ten_minutes() -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_secs(600)).unwrap()
}

async fn to_put(client: &Client, key: &str, bytes: &[u8]) -> PresignedRequest {
    let put = client
        .put_object()
        .bucket("media")
        .key(key)
        .content_type("image/png")
        .content_length(bytes.len().try_into().unwrap())
        .checksum_sha256(sha256(bytes));
    put.presigned(ten_minutes()).await.unwrap()
}

async fn to_get(client: &Client, key: &str) -> String {
    let get = client.get_object().bucket("media").key(key);
    get.presigned(ten_minutes()).await.unwrap().uri().to_owned()
}

/// What a stranger with a URL gets: status, and body.
async fn ask(
    s3: &S3,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Vec<u8>) {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = stream::iter([Ok::<_, std::io::Error>(body.to_vec())]);
    let (head, body) = s3.answer(request.body(body).unwrap()).await.into_parts();
    (head.status.as_u16(), body.try_concat().await.unwrap())
}

fn headers(request: &PresignedRequest) -> Vec<(&str, &str)> {
    request.headers().filter(|(name, _)| *name != "host").collect()
}

fn code(body: &[u8]) -> String {
    let xml = String::from_utf8_lossy(body);
    let code = xml.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map(|(code, _)| code.to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn the_sdk_puts_reads_lists_and_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::on(folder.path(), &["media", "archive"]).unwrap();
    let client = s3.client(URL);
    for key in ["g:1/0002", "g:1/0001", "g:1/0003", "g:10/0001", "d:a|b:c d+/é"] {
        let put = client.put_object().bucket("archive").key(key);
        put.body(key.as_bytes().to_vec().into()).metadata("floor", "7").send().await.unwrap();
    }
    // A restart finds everything again.
    drop((s3, client));
    let client = S3::on(folder.path(), &["media", "archive"]).unwrap().client(URL);
    let get = client.get_object().bucket("archive").key("d:a|b:c d+/é").send().await.unwrap();
    assert_eq!(get.metadata().unwrap()["floor"], "7");
    assert_eq!(get.body.collect().await.unwrap().to_vec(), "d:a|b:c d+/é".as_bytes());
    let list = client.list_objects_v2().bucket("archive").prefix("g:1/");
    let first = list.clone().max_keys(2).send().await.unwrap();
    let keys = |page: &[aws_sdk_s3::types::Object]| -> Vec<String> {
        page.iter().map(|object| object.key().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(first.contents()), ["g:1/0001", "g:1/0002"]);
    assert_eq!(first.is_truncated(), Some(true));
    let rest = list.clone().continuation_token(first.next_continuation_token().unwrap());
    assert_eq!(keys(rest.send().await.unwrap().contents()), ["g:1/0003"]);
    let later = list.start_after("g:1/0001").send().await.unwrap();
    assert_eq!(keys(later.contents()), ["g:1/0002", "g:1/0003"]);
    for _ in 0..2 {
        client.delete_object().bucket("archive").key("g:1/0001").send().await.unwrap();
    }
    let gone = client.get_object().bucket("archive").key("g:1/0001").send().await;
    assert!(gone.unwrap_err().into_service_error().is_no_such_key());
    let gone = client.head_object().bucket("archive").key("g:1/0001").send().await;
    assert!(gone.unwrap_err().into_service_error().is_not_found());
    let other = client.get_object().bucket("other").key("a").send().await;
    assert!(format!("{:?}", other.unwrap_err()).contains("NoSuchBucket"));
    let absent = client.put_object().bucket("archive").key("g:1/0002").if_none_match("*");
    let taken = absent.body(vec![].into()).send().await;
    assert!(format!("{:?}", taken.unwrap_err()).contains("PreconditionFailed"));
}

#[tokio::test]
async fn a_put_takes_the_place_of_what_it_names_and_of_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for s3 in [S3::in_memory(&["archive"]), S3::on(folder.path(), &["archive"]).unwrap()] {
        let client = s3.client(URL);
        let put = |words: &'static str| {
            let put = client.put_object().bucket("archive").key("a");
            put.body(words.as_bytes().to_vec().into())
        };
        let refusal = async |put: PutObjectFluentBuilder| {
            let error = put.send().await.unwrap_err();
            error.code().unwrap_or_default().to_owned()
        };
        assert_eq!(refusal(put("late").if_match("\"1\"")).await, "NoSuchKey");
        let first = put("first").if_none_match("*").send().await.unwrap();
        let first = first.e_tag().unwrap();
        assert_eq!(refusal(put("again").if_none_match("*")).await, "PreconditionFailed");
        assert_eq!(refusal(put("other").if_match("\"1\"")).await, "PreconditionFailed");
        let second = put("second").if_match(first).send().await.unwrap();
        assert_ne!(second.e_tag(), Some(first));
        assert_eq!(refusal(put("third").if_match(first)).await, "PreconditionFailed");
        let stands = client.get_object().bucket("archive").key("a").send().await.unwrap();
        assert_eq!(stands.e_tag(), second.e_tag());
        assert_eq!(stands.body.collect().await.unwrap().to_vec(), b"second");
        // What S3 does and this does not is refused, and not passed over.
        for unknown in [
            put("no").if_none_match("\"1\""),
            put("no").if_match("*"),
            put("no").if_match(first).if_none_match("*"),
        ] {
            assert_eq!(refusal(unknown).await, "NotImplemented");
        }
    }
}

#[tokio::test]
async fn the_archive_keeps_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    for s3 in [S3::in_memory(&["archive"]), S3::on(folder.path(), &["archive"]).unwrap()] {
        contract::archive(&archive::S3::new(s3.client(URL), "archive".into())).await;
    }
}

#[tokio::test]
async fn a_presigned_put_takes_these_bytes_of_this_type_under_this_key_and_nothing_else() {
    let s3 = S3::in_memory(&["media", "archive"]);
    let client = s3.client(URL);
    let mut created = s3.watch("media");
    let put = to_put(&client, "a/1", PICTURE).await;
    let signed: Vec<_> = headers(&put);
    let with = |name: &'static str, value: &'static str| -> Vec<(&str, &str)> {
        let others = signed.iter().filter(|(n, _)| *n != name).copied();
        others.chain([(name, value)]).collect()
    };
    let uri = put.uri();
    let other_key = uri.replace("/a/1", "/a/2");
    let longer = [PICTURE, b"!"].concat();
    let mut others = PICTURE.to_vec();
    others[0] ^= 1;
    let other_sum = with("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    for (what, method, uri, headers, body, status, expected) in [
        ("another key", "PUT", &*other_key, signed.clone(), PICTURE, 403, "SignatureDoesNotMatch"),
        ("another method", "GET", uri, signed.clone(), b"", 403, "SignatureDoesNotMatch"),
        (
            "another type",
            "PUT",
            uri,
            with("content-type", "text/html"),
            PICTURE,
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "another length",
            "PUT",
            uri,
            with("content-length", "20"),
            &*longer,
            403,
            "SignatureDoesNotMatch",
        ),
        ("more than it says", "PUT", uri, signed.clone(), &*longer, 400, "IncompleteBody"),
        ("less than it says", "PUT", uri, signed.clone(), &PICTURE[1..], 400, "IncompleteBody"),
        ("other bytes", "PUT", uri, signed.clone(), &*others, 400, "BadDigest"),
        ("another checksum", "PUT", uri, other_sum, PICTURE, 403, "SignatureDoesNotMatch"),
        ("one header more", "PUT", uri, with("x-amz-meta-a", "b"), PICTURE, 403, "AccessDenied"),
        ("no headers", "PUT", uri, vec![], PICTURE, 403, "SignatureDoesNotMatch"),
        (
            "no signature",
            "PUT",
            "http://127.0.0.1:8080/media/a/1",
            signed.clone(),
            PICTURE,
            403,
            "AccessDenied",
        ),
    ] {
        let (got, answer) = ask(&s3, method, uri, &headers, body).await;
        assert_eq!((got, &*code(&answer)), (status, expected), "{what}");
    }
    assert!(created.try_recv().is_err(), "an object came to be");
    assert_eq!(ask(&s3, "PUT", uri, &signed, PICTURE).await.0, 200);
    let expected = Created { bucket: "media".into(), key: "a/1".into(), size: 19 };
    assert_eq!(created.try_recv().unwrap(), expected);
}

#[tokio::test]
async fn a_presigned_get_reads_this_object_for_a_while() {
    let passed = Arc::new(AtomicU64::new(0));
    let clock = {
        let passed = passed.clone();
        move || SystemTime::now() + Duration::from_secs(passed.load(Ordering::Relaxed))
    };
    let s3 = S3::in_memory(&["media"]).with_clock(clock);
    let client = s3.client(URL);
    let put = to_put(&client, "a/1", PICTURE).await;
    assert_eq!(ask(&s3, "PUT", put.uri(), &headers(&put), PICTURE).await.0, 200);
    let uri = to_get(&client, "a/1").await;
    assert_eq!(ask(&s3, "GET", &uri, &[], b"").await, (200, PICTURE.to_vec()));
    for (range, status, body) in [
        ("bytes=1-3", 206, &PICTURE[1..4]),
        ("bytes=16-", 206, &PICTURE[16..]),
        ("bytes=-2", 206, &PICTURE[17..]),
        ("bytes=5-99", 206, &PICTURE[5..]),
    ] {
        let (got, read) = ask(&s3, "GET", &uri, &[("range", range)], b"").await;
        assert_eq!((got, &*read), (status, body), "{range}");
    }
    assert_eq!(ask(&s3, "GET", &uri, &[("range", "bytes=19-")], b"").await.0, 416);
    for bad in [uri.replace("a/1", "a/2"), format!("{uri}&response-content-type=text%2Fhtml")] {
        assert_eq!(ask(&s3, "GET", &bad, &[], b"").await.0, 403, "{bad}");
    }
    assert_eq!(ask(&s3, "DELETE", &uri, &[], b"").await.0, 403);
    passed.store(601, Ordering::Relaxed);
    let (status, answer) = ask(&s3, "GET", &uri, &[], b"").await;
    assert_eq!((status, &*code(&answer)), (403, "AccessDenied"));
}

#[tokio::test]
async fn what_is_not_embedded_is_refused() {
    let s3 = S3::in_memory(&["media"]);
    let client = s3.client(URL);
    let tagged = client.put_object().bucket("media").key("a").tagging("a=b").body(vec![].into());
    assert!(format!("{:?}", tagged.send().await.unwrap_err()).contains("NotImplemented"));
    let copy = client.copy_object().bucket("media").key("b").copy_source("media/a").send().await;
    assert!(format!("{:?}", copy.unwrap_err()).contains("NotImplemented"));
    let other = S3::in_memory(&["media"]).client(URL);
    let (status, answer) = ask(&s3, "GET", &to_get(&other, "a").await, &[], b"").await;
    assert_eq!((status, &*code(&answer)), (403, "SignatureDoesNotMatch"));
}

#[tokio::test]
async fn bytes_that_changed_are_cut_off_before_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::on(folder.path(), &["media"]).unwrap();
    let client = s3.client(URL);
    for size in [1, 1_000, 64 * 1024, 200_000] {
        let bytes = vec![7; size];
        let put = client.put_object().bucket("media").key("a").body(bytes.clone().into());
        put.send().await.unwrap();
        let uri = to_get(&client, "a").await;
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let written = std::fs::read(&file).unwrap();
        for at in [0, size / 2, size - 1] {
            let mut changed = written.clone();
            changed[at] ^= 1;
            std::fs::write(&file, &changed).unwrap();
            let request = http::Request::get(&uri);
            let request = request.body(stream::empty::<std::io::Result<Vec<u8>>>()).unwrap();
            let (head, body) = s3.answer(request).await.into_parts();
            assert_eq!(head.headers["content-length"], size.to_string());
            let pieces: Vec<_> = body.collect().await;
            let (last, others) = pieces.split_last().unwrap();
            let error = last.as_ref().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(&file.display().to_string()), "{error}");
            let got: usize = others.iter().map(|piece| piece.as_ref().unwrap().len()).sum();
            assert!(got < size, "{got} of {size}");
            assert!(client.get_object().bucket("media").key("a").send().await.is_err());
            // A part has no sum of its own.
            if size > 1 {
                let part = ask(&s3, "GET", &uri, &[("range", "bytes=0-0")], b"").await;
                assert_eq!(part, (206, changed[..1].to_vec()));
            }
        }
        std::fs::write(&file, &written).unwrap();
        assert_eq!(ask(&s3, "GET", &uri, &[], b"").await, (200, bytes));
    }
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let client = S3::on(folder.path(), &["media"]).unwrap().client(URL);
    client
        .put_object()
        .bucket("media")
        .key("a")
        .body(PICTURE.to_vec().into())
        .send()
        .await
        .unwrap();
    std::fs::write(folder.path().join("unfinished-1"), "half").unwrap();
    assert!(S3::on(folder.path(), &["media"]).is_ok());
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "what was not finished is gone");
    let bytes = std::fs::read(&files[0]).unwrap();
    let mut without_an_end = bytes.clone();
    without_an_end[PICTURE.len()..]
        .iter_mut()
        .for_each(|b| *b = if *b == b'}' { b' ' } else { *b });
    for damaged in [&bytes[..bytes.len() - 1], &bytes[1..], &bytes[..7], b"", &without_an_end] {
        std::fs::write(&files[0], damaged).unwrap();
        let error = S3::on(folder.path(), &["media"]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    }
}
