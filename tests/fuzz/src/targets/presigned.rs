//! Presigned requests, as they arrive at the embedded S3: a line with method and target, the headers, an empty line, the body.
//! What changes from run to run stands between braces, and is put in before the request is made.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, Uri};
use petrel_aws::MediaBucket;
use petrel_aws::embedded::s3::S3;
use petrel_core::ids::{MediaId, UserId};
use petrel_core::media::{ContentType, File, Sha256, Upload, UploadState};
use petrel_core::ports::{Files, SignedRequest};

use crate::scene::wait;

const URL: &str = "http://127.0.0.1:8080";
const HOST: &str = "127.0.0.1:8080";
const BUCKET: &str = "media";
const BODY: &[u8] = b"abc";
/// Of [`BODY`], base64.
const SHA256: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
const LIFE_S: u64 = 3_600;

/// One of ours: what was signed, and how.
struct Signed {
    method: Method,
    request: SignedRequest,
}

impl Signed {
    fn target(&self) -> &str {
        self.request.url.strip_prefix(URL).expect("at our address")
    }

    fn headers(&self) -> BTreeMap<String, String> {
        let mut headers: BTreeMap<_, _> = self.request.headers.iter().cloned().collect();
        headers.insert("host".to_owned(), HOST.to_owned());
        if self.method == Method::PUT {
            headers.insert("content-length".to_owned(), BODY.len().to_string());
        }
        headers
    }

    /// The value of a part of the query, still encoded.
    fn part(&self, name: &str) -> &str {
        let (_, query) = self.target().split_once('?').expect("a query");
        let value = query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.expect("a part")
    }
}

/// A bucket in which one object lies and for another an upload is expected, and what is signed: a read and a write.
fn bucket() -> (S3, [Signed; 2]) {
    let s3 = S3::in_memory(&[BUCKET]);
    let files = MediaBucket::new(s3.client(URL), BUCKET.to_owned());
    let upload = |id: &str| Upload {
        id: MediaId::parse(id).expect("an id"),
        owner: UserId::parse("ana").expect("an id"),
        file: File {
            content_type: ContentType::parse("image/png").expect("a type"),
            size: BODY.len() as u64,
            sha256: Sha256::parse(SHA256).expect("a hash"),
        },
        state: UploadState::Clean,
        avatar: false,
        expires_at_s: None,
    };
    let there = upload("00000000000000000000000000000006");
    let sign = |method, request| Signed { method, request };
    let stored = sign(Method::PUT, wait(files.to_put(&there, LIFE_S)).expect("signed"));
    // If this were refused, everything would be, and nothing looked at.
    assert_eq!(answer(&s3, text(&stored, BODY).as_bytes()).expect("a request").0, StatusCode::OK);
    let awaited = upload("00000000000000000000000000000007");
    let get = sign(Method::GET, wait(files.to_get(&there, LIFE_S)).expect("signed"));
    let put = sign(Method::PUT, wait(files.to_put(&awaited, LIFE_S)).expect("signed"));
    (s3, [get, put])
}

/// The request as it is written.
fn text(signed: &Signed, body: &[u8]) -> String {
    let mut text = format!("{} {}\n", signed.method, signed.target());
    for (name, value) in signed.headers() {
        text += &format!("{name}: {value}\n");
    }
    text + "\n" + std::str::from_utf8(body).expect("text")
}

/// What stands in an input for what nobody can know before.
fn secrets([get, put]: &[Signed; 2]) -> [(&'static str, String); 4] {
    let date = put.part("X-Amz-Date");
    [
        ("{get}", get.part("X-Amz-Signature").to_owned()),
        ("{put}", put.part("X-Amz-Signature").to_owned()),
        ("{date}", date.to_owned()),
        ("{day}", date[..8].to_owned()),
    ]
}

/// A request, taken apart.
struct Asked {
    method: Method,
    target: Uri,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn parse(input: &[u8]) -> Option<Asked> {
    let mut rest = input;
    let mut lines = std::iter::from_fn(|| {
        let end = rest.iter().position(|b| *b == b'\n')?;
        let (line, more) = rest.split_at(end);
        rest = &more[1..];
        std::str::from_utf8(line).ok()
    });
    let (method, target) = lines.next()?.split_once(' ')?;
    let (method, target) = (method.parse().ok()?, target.parse::<Uri>().ok()?);
    let mut headers = vec![];
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    Some(Asked { method, target, headers, body: rest.to_vec() })
}

/// What comes of it, if it is a request.
fn answer(s3: &S3, input: &[u8]) -> Option<(StatusCode, Asked)> {
    let asked = parse(input)?;
    let mut request = Request::builder().method(asked.method.clone()).uri(asked.target.clone());
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(asked.body.clone()).into_data_stream()).ok()?;
    wait(async {
        let (head, body) = s3.answer(request).await.into_parts();
        to_bytes(Body::from_stream(body), usize::MAX).await.expect("a body");
        Some((head.status, asked))
    })
}

fn parts(query: &str) -> BTreeSet<String> {
    // As `%2F` or as `%2f`, or as the letter itself: the same.
    query.split('&').filter(|part| !part.is_empty()).map(plain).collect()
}

fn plain(encoded: &str) -> String {
    let mut bytes = vec![];
    let mut rest = encoded.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let digits = more.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether it asks for what was signed: the same method, key, query, and headers that were signed, and the body's own bytes.
fn is(asked: &Asked, signed: &Signed) -> bool {
    let (path, query) = signed.target().split_once('?').expect("a query");
    let has = |(name, value): (&String, &String)| {
        let mut found = asked.headers.iter().filter(|(n, _)| n == name);
        found.next().is_some_and(|(_, v)| v.trim() == value) && found.next().is_none()
    };
    asked.method == signed.method
        && plain(asked.target.path()) == plain(path)
        && parts(asked.target.query().unwrap_or_default()) == parts(query)
        && signed.headers().iter().all(has)
        && (signed.method != Method::PUT || asked.body == BODY)
}

pub fn run(input: &[u8]) {
    let (s3, signed) = bucket();
    let mut input = input.to_vec();
    for (name, value) in secrets(&signed) {
        input = replaced(&input, name.as_bytes(), value.as_bytes());
    }
    let Some((status, asked)) = answer(&s3, &input) else { return };
    // What it does not know it says so of, as S3 does.
    assert!(status.as_u16() < 500 || status == StatusCode::NOT_IMPLEMENTED, "{status}");
    if status.is_success() {
        let ours = signed.iter().any(|signed| is(&asked, signed));
        assert!(ours, "{status} for {} {} {:?}", asked.method, asked.target, asked.headers);
    }
}

fn replaced(text: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut made = vec![];
    let mut rest = text;
    while let Some(at) = rest.windows(name.len()).position(|w| w == name) {
        made.extend_from_slice(&rest[..at]);
        made.extend_from_slice(value);
        rest = &rest[at + name.len()..];
    }
    made.extend_from_slice(rest);
    made
}

/// What was signed as it is, and what comes of using it for something else.
pub fn seeds() -> Vec<String> {
    let (_, signed) = bucket();
    let written = |signed_one: &Signed, body: &[u8]| {
        let secrets = secrets(&signed);
        secrets.iter().fold(text(signed_one, body), |text, (name, value)| text.replace(value, name))
    };
    let (get, put) = (written(&signed[0], b""), written(&signed[1], BODY));
    vec![
        get.replacen("GET", "HEAD", 1),
        get.replacen("GET", "DELETE", 1),
        get.replace("host: ", "range: bytes=0-1\nhost: "),
        put.replace("00000007", "00000008"),
        put.replace("\n\nabc", "\n\nabd"),
        put.replace("image/png", "text/html"),
        get.replace("{get}", "{put}"),
        "GET /media/YW5h/00000000000000000000000000000006\nhost: 127.0.0.1:8080\n\n".to_owned(),
        get,
        put,
    ]
}
