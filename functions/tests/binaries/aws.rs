//! What a function reaches: DynamoDB (embedded, over HTTP), @connections, SQS and SNS that write down what they get,
//! and an issuer of tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, head, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use petrel_aws::archive::object;
use petrel_aws::{Dynamo, Tables, embedded};
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::Entry;
use petrel_core::ports::{Object, Precondition, Version};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Serves on a free port of the loopback interface and returns the address.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The jobs as SQS hands them to a function; the message ids are 0, 1, 2 …
pub fn batch(jobs: &[String]) -> Value {
    let record = |(n, body): (usize, &String)| {
        json!({"messageId": n.to_string(), "receiptHandle": "r", "body": body, "attributes": {},
            "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "eu-central-1"})
    };
    json!({"Records": jobs.iter().enumerate().map(record).collect::<Vec<_>>()})
}

#[derive(Default)]
struct Seen {
    posts: Vec<(String, Value)>,
    jobs: BTreeMap<String, Vec<String>>,
    pushes: Vec<String>,
    pushes_refused: bool,
    objects: BTreeMap<String, Vec<u8>>,
}

/// The services around the functions.
pub struct Aws {
    /// The address of DynamoDB.
    pub dynamo: String,
    /// The address of everything else.
    pub other: String,
    seen: Arc<Mutex<Seen>>,
}

impl Aws {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dynamo = listener.local_addr().unwrap().to_string();
        let database = dynoxide::Database::memory().unwrap();
        tokio::spawn(dynoxide::server::serve_on(listener, database));

        let seen = Arc::new(Mutex::new(Seen::default()));
        let router = Router::new()
            .route("/@connections/{id}", post(posted).delete(closed))
            .route("/", post(called))
            .route("/archive/", get(listed))
            .route("/archive/{*key}", get(read).put(written).delete(deleted))
            // S3: an object whose id begins with 0 is not there.
            .route(
                "/media/{owner}/{id}",
                head(looked_at).delete(|| async { StatusCode::NO_CONTENT }),
            )
            .route("/media/", get(one_file))
            .with_state(seen.clone());
        let aws = Self { dynamo, other: serve(router).await, seen };
        aws.create_tables().await;
        aws
    }

    async fn create_tables(&self) {
        let (client, tables) = self.client();
        embedded::create_tables(&client, &tables).await.unwrap();
    }

    fn client(&self) -> (aws_sdk_dynamodb::Client, Tables) {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(format!("http://{}", self.dynamo))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let tables = Tables {
            messages: "messages".into(),
            conversations: "conversations".into(),
            connections: "connections".into(),
        };
        (aws_sdk_dynamodb::Client::from_conf(config), tables)
    }

    /// The tables, past every function.
    pub fn tables(&self) -> Dynamo {
        let (client, tables) = self.client();
        Dynamo::new(client, tables)
    }

    /// The archive, past every function.
    pub fn archive(&self) -> impl petrel_core::ports::Archive {
        Objects(self.seen.clone())
    }

    /// The environment that the template would give.
    pub fn env(&self) -> Vec<(String, String)> {
        let url = format!("http://{}", self.other);
        let application = |kind: &str| format!("arn:aws:sns:eu-central-1:1:app/{kind}/petrel");
        [
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "a".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "b".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{}", self.dynamo)),
            ("AWS_ENDPOINT_URL_S3", url.clone()),
            ("AWS_ENDPOINT_URL_SQS", url.clone()),
            ("AWS_ENDPOINT_URL_SNS", url.clone()),
            ("AWS_ENDPOINT_URL_S3", url.clone()),
            ("PETREL_MEDIA_BUCKET", "media".to_owned()),
            ("PETREL_MAX_PHOTO_MB", "25".to_owned()),
            ("PETREL_MAX_FILE_MB", "100".to_owned()),
            ("PETREL_MEDIA_SCAN", "false".to_owned()),
            ("PETREL_WEBSOCKET_ENDPOINT", url.clone()),
            ("PETREL_MESSAGES_TABLE", "messages".to_owned()),
            ("PETREL_CONVERSATIONS_TABLE", "conversations".to_owned()),
            ("PETREL_CONNECTIONS_TABLE", "connections".to_owned()),
            ("PETREL_ARCHIVE_BUCKET", "archive".to_owned()),
            ("PETREL_FANOUT_QUEUE_URL", format!("{url}/1/fanout")),
            ("PETREL_PUSH_QUEUE_URL", format!("{url}/1/push")),
            ("PETREL_WEBHOOK_QUEUE_URL", format!("{url}/1/webhook")),
            // Nothing answers there: whatever is told comes back to the queue.
            ("PETREL_WEBHOOK_URL", "https://receiver.invalid/hook".to_owned()),
            ("PETREL_WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
            ("PETREL_MODERATION_TOPIC_ARN", "arn:aws:sns:eu-central-1:1:reports".to_owned()),
            ("PETREL_LIMITS", "all=0".to_owned()),
            ("PETREL_OPERATOR_SCOPE", "petrel/admin".to_owned()),
            ("PETREL_APNS_ARN", application("APNS")),
            ("PETREL_APNS_SANDBOX_ARN", application("APNS_SANDBOX")),
            ("PETREL_FCM_ARN", application("GCM")),
            ("PETREL_METRICS_NAMESPACE", "Petrel/test".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO".to_owned()),
            ("RUST_LOG", "INFO".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Every frame that was posted to a connection, in order.
    pub fn posts(&self) -> Vec<(String, Value)> {
        self.seen.lock().unwrap().posts.clone()
    }

    /// The keys of the archive's objects.
    pub fn objects(&self) -> Vec<String> {
        self.seen.lock().unwrap().objects.keys().cloned().collect()
    }

    /// The bodies in a queue, which is empty then.
    pub fn take_jobs(&self, queue: &str) -> Vec<String> {
        self.seen.lock().unwrap().jobs.remove(queue).unwrap_or_default()
    }

    /// From now on the functions may not push, and SNS says so.
    pub fn refuse_pushes(&self) {
        self.seen.lock().unwrap().pushes_refused = true;
    }

    /// Every publish to a phone, as the form that SNS got.
    pub fn pushes(&self) -> Vec<String> {
        self.seen.lock().unwrap().pushes.clone()
    }
}

/// The socket of the user `gone` is gone, that of `busy` takes no more for now.
async fn posted(
    State(seen): State<Arc<Mutex<Seen>>>,
    Path(id): Path<String>,
    body: String,
) -> StatusCode {
    match id.as_str() {
        "socket-gone" => return StatusCode::GONE,
        "socket-busy" => return StatusCode::TOO_MANY_REQUESTS,
        _ => {}
    }
    seen.lock().unwrap().posts.push((id, serde_json::from_str(&body).unwrap()));
    StatusCode::OK
}

/// S3 with one bucket, addressed by its path, as far as the archive uses it.
async fn listed(
    State(seen): State<Arc<Mutex<Seen>>>,
    Query(asked): Query<BTreeMap<String, String>>,
) -> String {
    let (prefix, after) = (asked["prefix"].as_str(), asked["start-after"].as_str());
    let most: usize = asked["max-keys"].parse().unwrap();
    let seen = seen.lock().unwrap();
    let keys = seen.objects.keys().filter(|k| k.starts_with(prefix) && k.as_str() > after);
    list(keys.take(most).map(String::as_str))
}

async fn read(
    State(seen): State<Arc<Mutex<Seen>>>,
    Path(key): Path<String>,
) -> (StatusCode, [(&'static str, String); 1], Vec<u8>) {
    match seen.lock().unwrap().objects.get(&key) {
        Some(object) => (StatusCode::OK, [("etag", etag(object))], object.clone()),
        None => {
            let none = b"<Error><Code>NoSuchKey</Code></Error>".to_vec();
            (StatusCode::NOT_FOUND, [("etag", String::new())], none)
        }
    }
}

fn etag(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(7_u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(*b)));
    format!("\"{sum:016x}\"")
}

async fn written(
    State(seen): State<Arc<Mutex<Seen>>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let mut seen = seen.lock().unwrap();
    let stands = seen.objects.get(&key).map(|object| etag(object));
    let holds = match (headers.get("if-match"), headers.get("if-none-match")) {
        (Some(it), None) => stands.as_deref() == it.to_str().ok(),
        (None, Some(_)) => stands.is_none(),
        _ => panic!("the archive is written under a condition"),
    };
    if !holds {
        let refused = "<Error><Code>PreconditionFailed</Code></Error>";
        return (StatusCode::PRECONDITION_FAILED, refused);
    }
    seen.objects.insert(key, body.to_vec());
    (StatusCode::OK, "")
}

async fn deleted(State(seen): State<Arc<Mutex<Seen>>>, Path(key): Path<String>) -> StatusCode {
    seen.lock().unwrap().objects.remove(&key);
    StatusCode::NO_CONTENT
}

/// An operator closes a socket.
async fn closed(Path(id): Path<String>) -> StatusCode {
    if id == "socket-gone" { StatusCode::GONE } else { StatusCode::NO_CONTENT }
}

/// Everyone has one file.
async fn one_file(Query(asked): Query<BTreeMap<String, String>>) -> String {
    let key = format!("{}{}", asked["prefix"], "9".repeat(32));
    list([key.as_str()])
}

/// A list of these objects, which are all that there are.
fn list<'a>(keys: impl IntoIterator<Item = &'a str>) -> String {
    let keys: Vec<_> = keys.into_iter().collect();
    let contents: String =
        keys.iter().map(|k| format!("<Contents><Key>{k}</Key></Contents>")).collect();
    format!(
        "<ListBucketResult><KeyCount>{}</KeyCount><IsTruncated>false</IsTruncated>{contents}\
         </ListBucketResult>",
        keys.len(),
    )
}

async fn looked_at(Path((_, id)): Path<(String, String)>) -> StatusCode {
    if id.starts_with('0') { StatusCode::NOT_FOUND } else { StatusCode::OK }
}

/// SQS speaks JSON and names its action in a header; SNS sends a form.
async fn called(
    State(seen): State<Arc<Mutex<Seen>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    if !headers.contains_key("x-amz-target") {
        return published(&seen, body);
    }
    assert_eq!(headers["x-amz-target"], "AmazonSQS.SendMessageBatch");
    let request: Value = serde_json::from_str(&body).unwrap();
    let queue = request["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let entries = request["Entries"].as_array().unwrap();
    let mut seen = seen.lock().unwrap();
    let jobs = seen.jobs.entry(queue).or_default();
    jobs.extend(entries.iter().map(|e| e["MessageBody"].as_str().unwrap().to_owned()));
    let successful: Vec<Value> = entries
        .iter()
        .map(|e| json!({"Id": e["Id"], "MessageId": "m", "MD5OfMessageBody": "x"}))
        .collect();
    (StatusCode::OK, json!({"Successful": successful, "Failed": []}).to_string())
}

/// The stand-in's objects as the port.
struct Objects(Arc<Mutex<Seen>>);

#[async_trait::async_trait]
impl petrel_core::ports::Archive for Objects {
    async fn put(&self, stretch: &[Entry], _: &Precondition) -> petrel_core::Result<bool> {
        let last = &stretch[stretch.len() - 1];
        let key = petrel_aws::keys::object(&last.conversation_id, last.seq);
        self.0.lock().unwrap().objects.insert(key, object::encode(stretch).unwrap());
        Ok(true)
    }

    async fn get(&self, of: &ConversationId, last: Seq) -> petrel_core::Result<Option<Object>> {
        let seen = self.0.lock().unwrap();
        let found = seen.objects.get(&petrel_aws::keys::object(of, last));
        Ok(found.map(|bytes| Object {
            version: Version(etag(bytes)),
            entries: object::decode(of, last, bytes).unwrap(),
        }))
    }

    async fn list(&self, _: &ConversationId, _: Seq, _: usize) -> petrel_core::Result<Vec<Seq>> {
        unreachable!("no test asks")
    }

    async fn delete(&self, _: &ConversationId, _: Seq) -> petrel_core::Result<()> {
        unreachable!("no test asks")
    }
}

/// The fields of a form.
pub fn form(body: &[u8]) -> BTreeMap<String, String> {
    serde_urlencoded::from_bytes(body).unwrap()
}

/// An endpoint is named after its token; `disabled` and `throttled` are what they say.
fn published(seen: &Mutex<Seen>, body: String) -> (StatusCode, String) {
    let fields = form(body.as_bytes());
    let action = fields["Action"].as_str();
    let result = match action {
        "CreatePlatformEndpoint" => {
            let application = fields["PlatformApplicationArn"].replace(":app/", ":endpoint/");
            format!("<EndpointArn>{application}/{}</EndpointArn>", fields["Token"])
        }
        "SetEndpointAttributes" | "DeleteEndpoint" => String::new(),
        "Publish" if seen.lock().unwrap().pushes_refused => {
            let arn = &fields["TargetArn"];
            let message = format!(
                "User: arn:aws:sts::1:assumed-role/push is not authorized to perform: SNS:Publish \
                 on resource: {arn}"
            );
            return refused(StatusCode::FORBIDDEN, "AuthorizationError", &message);
        }
        // A report.
        "Publish" if fields.contains_key("TopicArn") => "<MessageId>m</MessageId>".to_owned(),
        "Publish" if fields["TargetArn"].ends_with("/disabled") => {
            return refused(StatusCode::BAD_REQUEST, "EndpointDisabled", "m");
        }
        "Publish" if fields["TargetArn"].ends_with("/throttled") => {
            return refused(StatusCode::TOO_MANY_REQUESTS, "Throttled", "m");
        }
        "Publish" => {
            seen.lock().unwrap().pushes.push(body);
            "<MessageId>m</MessageId>".to_owned()
        }
        other => panic!("the action {other}"),
    };
    let answer = format!(
        "<{action}Response xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
         <{action}Result>{result}</{action}Result></{action}Response>"
    );
    (StatusCode::OK, answer)
}

fn refused(status: StatusCode, code: &str, message: &str) -> (StatusCode, String) {
    let error = format!(
        "<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    (status, format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>"))
}

/// An identity provider with one ES256 key.
pub struct Issuer {
    key: EcdsaKeyPair,
    url: String,
}

impl Issuer {
    pub async fn start() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap();
        // An uncompressed point: 4, x, y.
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
        let keys = get(move || async move { Json(json!({"keys": [jwk]})) });
        let router = Router::new().route("/.well-known/jwks.json", keys);
        let url = format!("http://{}", serve(router).await);
        Self { key, url }
    }

    pub fn env(&self) -> Vec<(String, String)> {
        [("PETREL_TOKEN_ISSUER", self.url.as_str()), ("PETREL_TOKEN_AUDIENCE", "petrel")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    pub fn token(&self, user: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let header = json!({"alg": "ES256", "kid": "k"});
        let claims = json!({"sub": user, "iss": self.url, "aud": "petrel", "exp": now + 60});
        let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = parts.join(".");
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
