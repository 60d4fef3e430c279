//! As much of S3 in the same process as Petrel uses: whole objects, put, read (also in part), listed and deleted. Behind
//! the unmodified client, and behind a port for presigned URLs; each request is held to its signature, its length and its
//! checksum as S3 does it. What it does not know it refuses.

mod client;
mod refusal;
mod signature;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, header};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use refusal::{HEAD, Refusal, escape};
use signature::{Keys, only, pairs};
use store::{Condition, Finished, Note, Object, Store};

/// A body, piece by piece.
pub type Chunks = BoxStream<'static, io::Result<Vec<u8>>>;

/// The region of an embedded bucket.
const REGION: &str = "us-east-1";
/// The longest key, bytes: S3's.
const LONGEST_KEY: usize = 1024;
/// The largest object that one put takes: S3's 5 GiB.
const LARGEST: u64 = 5 * 1024 * 1024 * 1024;
/// Bytes of a piece of an answer.
const PIECE: usize = 64 * 1024;
/// Most keys of a list: S3's.
const MOST_KEYS: usize = 1000;
/// The headers of a put that mean something and are done. Another `x-amz-*` is refused, and not passed over.
const KNOWN: [&str; 9] = [
    "x-amz-checksum-mode",
    "x-amz-checksum-sha256",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-user-agent",
    "x-amz-expected-bucket-owner",
    "x-amz-request-payer",
];

/// An object came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// In which bucket.
    pub bucket: String,
    /// Under which key.
    pub key: String,
    /// Its size, bytes.
    pub size: u64,
}

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
/// Of which bucket someone is told, and how.
type Watcher = (String, UnboundedSender<Created>);

/// The buckets.
#[derive(Clone)]
pub struct S3 {
    store: Arc<Store>,
    buckets: Arc<[String]>,
    keys: Keys,
    clock: Clock,
    watcher: Arc<Mutex<Option<Watcher>>>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3({:?})", self.buckets)
    }
}

impl S3 {
    /// Buckets in memory.
    pub fn in_memory(buckets: &[&str]) -> Self {
        Self::over(Store::in_memory(), buckets)
    }

    /// Buckets in a folder, which is made if it is absent.
    ///
    /// # Errors
    /// If the folder cannot be read or written, or a file in it is not what was written (`InvalidData`).
    pub fn on(folder: &Path, buckets: &[&str]) -> io::Result<Self> {
        Ok(Self::over(Store::on(folder)?, buckets))
    }

    fn over(store: Store, buckets: &[&str]) -> Self {
        // Nobody else signs for these, and no longer than this process runs.
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Self {
            store: Arc::new(store),
            buckets: buckets.iter().map(|bucket| (*bucket).to_owned()).collect(),
            keys: Keys { id: "LOCAL".to_owned(), secret, region: REGION.to_owned() },
            clock: Arc::new(SystemTime::now),
            watcher: Arc::default(),
        }
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// The same buckets for whoever has this key.
    #[must_use]
    pub fn for_key(&self, id: &str, secret: &str, region: &str) -> Self {
        let keys = Keys { id: id.to_owned(), secret: secret.to_owned(), region: region.to_owned() };
        Self { keys, ..self.clone() }
    }

    /// Tells of every object that is put into this bucket from now on, as S3 does by its events; of all others no longer.
    pub fn watch(&self, bucket: &str) -> UnboundedReceiver<Created> {
        let (sender, receiver) = unbounded_channel();
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        *watcher = Some((bucket.to_owned(), sender));
        receiver
    }

    /// Answers one request. It names bucket and key in its path. A body that is not read to its end was refused before.
    pub async fn answer<B, T, E>(&self, request: Request<B>) -> Response<Chunks>
    where
        B: Stream<Item = Result<T, E>> + Send + Unpin,
        T: AsRef<[u8]> + Send,
        E: Send,
    {
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        match self.try_answer(&head, body).await {
            Ok(response) => response,
            Err(refusal) => {
                let xml = if is_head { String::new() } else { refusal.xml() };
                let body = stream::iter([Ok(xml.into_bytes())]).boxed();
                let mut response = Response::new(body);
                *response.status_mut() = refusal.status.try_into().unwrap_or_default();
                set(response.headers_mut(), header::CONTENT_TYPE, "application/xml");
                response
            }
        }
    }

    async fn try_answer<B, T, E>(&self, head: &Parts, body: B) -> Result<Response<Chunks>, Refusal>
    where
        B: Stream<Item = Result<T, E>> + Send + Unpin,
        T: AsRef<[u8]> + Send,
        E: Send,
    {
        let payload = signature::verify(&self.keys, (self.clock)(), head)?;
        let path = signature::decode(head.uri.path())?;
        let (bucket, key) =
            path.trim_start_matches('/').split_once('/').unwrap_or((&path[1..], ""));
        if !self.buckets.iter().any(|known| known == bucket) {
            return Err(Refusal::new(404, "NoSuchBucket", "there is no such bucket"));
        }
        if key.len() > LONGEST_KEY {
            return Err(Refusal::new(400, "KeyTooLongError", "the key is too long"));
        }
        let query = pairs(head.uri.query().unwrap_or_default())?;
        let asked = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let known = |name: &str| {
            let list = ["list-type", "prefix", "max-keys", "start-after", "continuation-token"];
            name.starts_with("X-Amz-")
                || name == "x-id"
                || (name.starts_with("response-") && head.method == Method::GET)
                || (list.contains(&name) && key.is_empty())
        };
        if let Some((name, _)) = query.iter().find(|(name, _)| !known(name)) {
            return Err(Refusal::unknown(name));
        }
        match (&head.method, key.is_empty()) {
            (&Method::PUT, false) => self.put(bucket, key, &head.headers, payload, body).await,
            (&Method::GET | &Method::HEAD, false) => {
                let object =
                    self.store.get(bucket, key).map_err(|error| Refusal::failed(&error))?;
                read(object.ok_or_else(Refusal::absent)?, head, &query)
            }
            (&Method::DELETE, false) => {
                self.store.delete(bucket, key).map_err(|error| Refusal::failed(&error))?;
                Ok(respond(204, vec![]))
            }
            (&Method::GET, true) if asked("list-type") == Some("2") => {
                let limit = asked("max-keys").map_or(Some(MOST_KEYS), |n| n.parse().ok());
                let limit = limit.ok_or_else(|| Refusal::bad("max-keys is no number"))?;
                let after = asked("continuation-token").or(asked("start-after"));
                let prefix = asked("prefix").unwrap_or_default();
                Ok(self.list(bucket, prefix, after.unwrap_or_default(), limit.min(MOST_KEYS)))
            }
            _ => Err(Refusal::unknown("this operation")),
        }
    }

    async fn put<B, T, E>(
        &self,
        bucket: &str,
        key: &str,
        headers: &HeaderMap,
        payload: Option<String>,
        mut body: B,
    ) -> Result<Response<Chunks>, Refusal>
    where
        B: Stream<Item = Result<T, E>> + Send + Unpin,
        T: AsRef<[u8]> + Send,
        E: Send,
    {
        let unknown = headers.keys().map(http::HeaderName::as_str).find(|name| {
            let other = name.starts_with("x-amz-") && !name.starts_with("x-amz-meta-");
            (other && !KNOWN.contains(name)) || *name == "content-md5"
        });
        if let Some(name) = unknown {
            return Err(Refusal::unknown(name));
        }
        let length = only(headers, "content-length").and_then(|length| length.parse().ok());
        let length: u64 = length.ok_or_else(|| {
            Refusal::new(411, "MissingContentLength", "the length must be in a header")
        })?;
        if length > LARGEST {
            return Err(Refusal::new(400, "EntityTooLarge", "that is more than one put takes"));
        }
        let failed = |error: io::Error| Refusal::failed(&error);
        let incomplete = || Refusal::new(400, "IncompleteBody", "the body is not so long");
        let mut object = self.store.begin().map_err(failed)?;
        while let Some(chunk) = body.next().await {
            object.write(chunk.map_err(|_| incomplete())?.as_ref()).map_err(failed)?;
            if object.size() > length {
                break;
            }
        }
        if object.size() != length {
            return Err(incomplete());
        }
        let (object, sha256) = object.end();
        let hex = signature::hex(&sha256);
        if payload.is_some_and(|stated| stated != hex) {
            let words = "the body is not what was signed";
            return Err(Refusal::new(400, "XAmzContentSHA256Mismatch", words));
        }
        if let Some(stated) = only(headers, "x-amz-checksum-sha256")
            && stated != STANDARD.encode(&sha256)
        {
            let words = "the body does not have this SHA-256";
            return Err(Refusal::new(400, "BadDigest", words));
        }
        let only_if = condition(headers)?;
        let since = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let note = Note {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            size: length,
            sha256: hex,
            modified: since.as_secs(),
            content_type: only(headers, "content-type").map(str::to_owned),
            metadata: metadata(headers),
        };
        let tag = note.tag();
        match self.store.finish(object, note, &only_if).map_err(failed)? {
            Finished::Stored => {}
            Finished::Refused => {
                let words = "another object stands there than must";
                return Err(Refusal::new(412, "PreconditionFailed", words));
            }
            Finished::Missing => return Err(Refusal::absent()),
        }
        self.tell(Created { bucket: bucket.to_owned(), key: key.to_owned(), size: length });
        let mut response = respond(200, vec![]);
        set(response.headers_mut(), header::ETAG, &tag);
        Ok(response)
    }

    fn tell(&self, created: Created) {
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((bucket, sender)) = &*watcher
            && *bucket == created.bucket
        {
            // Nobody listens any more when the server stops.
            let _ = sender.send(created);
        }
    }

    fn list(&self, bucket: &str, prefix: &str, after: &str, limit: usize) -> Response<Chunks> {
        let mut notes = self.store.list(bucket, prefix, after, limit + 1);
        let more = notes.len() > limit;
        notes.truncate(limit);
        let mut xml = format!(
            "{HEAD}<ListBucketResult><Name>{}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount>\
             <MaxKeys>{limit}</MaxKeys><IsTruncated>{more}</IsTruncated>",
            escape(bucket),
            escape(prefix),
            notes.len(),
        );
        if let Some(last) = notes.last().filter(|_| more) {
            let token = escape(&last.key);
            xml.push_str(&format!("<NextContinuationToken>{token}</NextContinuationToken>"));
        }
        for note in &notes {
            let key = escape(&note.key);
            let (modified, tag, size) = (date(note, false), escape(&note.tag()), note.size);
            xml.push_str(&format!(
                "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>{tag}</ETag>\
                 <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            ));
        }
        xml.push_str("</ListBucketResult>");
        let mut response = respond(200, xml.into_bytes());
        set(response.headers_mut(), header::CONTENT_TYPE, "application/xml");
        response
    }
}

/// An object, or a part of it.
fn read(
    object: Object,
    head: &Parts,
    query: &[(String, String)],
) -> Result<Response<Chunks>, Refusal> {
    let Object { note, bytes } = object;
    let range = match only(&head.headers, "range").and_then(|range| range.strip_prefix("bytes=")) {
        // Several at once are answered with all of it, as by S3.
        Some(range) if !range.contains(',') => Some(part(range, note.size)?),
        _ => None,
    };
    let (from, length) = range.unwrap_or((0, note.size));
    let body = if head.method == Method::HEAD {
        stream::empty().boxed()
    } else {
        pieces(bytes.read(&note, from).map_err(|error| Refusal::failed(&error))?, length)
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        if range.is_some() { http::StatusCode::PARTIAL_CONTENT } else { http::StatusCode::OK };
    let headers = response.headers_mut();
    set(headers, header::CONTENT_LENGTH, &length.to_string());
    set(headers, header::ETAG, &note.tag());
    set(headers, header::ACCEPT_RANGES, "bytes");
    set(headers, header::LAST_MODIFIED, &date(&note, true));
    if range.is_some() {
        let span = format!("bytes {from}-{}/{}", (from + length).saturating_sub(1), note.size);
        set(headers, header::CONTENT_RANGE, &span);
    }
    let kind = note.content_type.as_deref().unwrap_or("binary/octet-stream");
    set(headers, header::CONTENT_TYPE, kind);
    for (name, value) in &note.metadata {
        if let Ok(name) = http::HeaderName::try_from(format!("x-amz-meta-{name}")) {
            set(headers, name, value);
        }
    }
    if only(&head.headers, "x-amz-checksum-mode").is_some() && range.is_none() {
        let sha256 = hex_to_base64(&note.sha256);
        set(headers, http::HeaderName::from_static("x-amz-checksum-sha256"), &sha256);
    }
    for (name, value) in query {
        let name = match name.as_str() {
            "response-content-type" => header::CONTENT_TYPE,
            // Nothing is kept of how an object was packed.
            "response-content-encoding" => header::CONTENT_ENCODING,
            "response-content-disposition" => header::CONTENT_DISPOSITION,
            "response-cache-control" => header::CACHE_CONTROL,
            other if other.starts_with("response-") => return Err(Refusal::unknown(other)),
            _ => continue,
        };
        set(headers, name, value);
    }
    Ok(response)
}

/// From where, and how many bytes.
fn part(range: &str, size: u64) -> Result<(u64, u64), Refusal> {
    let unsatisfiable = || Refusal::new(416, "InvalidRange", "the object is not so long");
    let (first, last) = range.split_once('-').ok_or_else(unsatisfiable)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| unsatisfiable());
    let (first, last) = match (first, last) {
        ("", last) => (size.saturating_sub(number(last)?), size.saturating_sub(1)),
        (first, "") => (number(first)?, size.saturating_sub(1)),
        (first, last) => (number(first)?, number(last)?.min(size.saturating_sub(1))),
    };
    if first >= size || first > last {
        return Err(unsatisfiable());
    }
    Ok((first, last - first + 1))
}

/// An error takes the place of a piece that cannot be read, and of the last if the bytes are not what was written: whoever
/// was told the length finds fewer.
fn pieces(from: Box<dyn Read + Send>, length: u64) -> Chunks {
    stream::unfold(Some((from, length)), |state| async move {
        let (mut from, left) = state?;
        if left == 0 {
            return None;
        }
        let mut piece = vec![0; usize::try_from(left).map_or(PIECE, |left| left.min(PIECE))];
        match from.read_exact(&mut piece) {
            Ok(()) => {
                let left = left - piece.len() as u64;
                Some((Ok(piece), Some((from, left))))
            }
            Err(error) => {
                tracing::error!(%error, "an object cannot be read: its answer is cut off");
                Some((Err(error), None))
            }
        }
    })
    .boxed()
}

fn metadata(headers: &HeaderMap) -> BTreeMap<String, String> {
    let all = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("x-amz-meta-")?;
        Some((name.to_owned(), value.to_str().ok()?.to_owned()))
    });
    all.collect()
}

/// What a put demands of what stands there: S3 takes these two, and not both.
fn condition(headers: &HeaderMap) -> Result<Condition, Refusal> {
    let stated = |name| headers.contains_key(name).then(|| only(headers, name).unwrap_or_default());
    match (stated("if-match"), stated("if-none-match")) {
        (None, None) => Ok(Condition::None),
        (None, Some("*")) => Ok(Condition::Absent),
        (Some(tag), None) if tag.starts_with('"') => Ok(Condition::Is(tag.to_owned())),
        _ => Err(Refusal::unknown("this condition")),
    }
}

fn date(note: &Note, http: bool) -> String {
    use aws_smithy_types::date_time::Format;
    let seconds = i64::try_from(note.modified).unwrap_or_default();
    let date = aws_smithy_types::DateTime::from_secs(seconds);
    date.fmt(if http { Format::HttpDate } else { Format::DateTime }).unwrap_or_default()
}

fn hex_to_base64(hex: &str) -> String {
    let digits = hex.as_bytes().chunks(2).filter_map(|two| std::str::from_utf8(two).ok());
    let bytes: Vec<u8> = digits.filter_map(|two| u8::from_str_radix(two, 16).ok()).collect();
    STANDARD.encode(bytes)
}

fn respond(status: u16, body: Vec<u8>) -> Response<Chunks> {
    let mut response = Response::new(stream::iter([Ok(body)]).boxed());
    *response.status_mut() = status.try_into().unwrap_or_default();
    response
}

/// Sets a header, unless the value cannot stand in one.
fn set(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = value.try_into() {
        headers.insert(name, value);
    }
}
