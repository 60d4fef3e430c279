//! AWS as the SDK's clients see it: DynamoDB is the embedded database, the other services take everything. Each request
//! is noted with what AWS charges for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{
    AsyncSleep, BehaviorVersion, Credentials, Region, SharedAsyncSleep, SharedCredentialsProvider,
    Sleep,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// What some requests cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bill {
    /// How often each API was called.
    pub calls: BTreeMap<String, u64>,
    /// Write units.
    pub writes: f64,
    /// Read units.
    pub reads: f64,
    /// Messages as API Gateway meters them: of 32 KiB.
    pub messages: u64,
    /// Requests as SQS meters them: of 64 KiB.
    pub queued: u64,
    /// Jobs that were queued.
    pub jobs: u64,
    /// Pushes.
    pub pushes: u64,
}

impl Bill {
    pub fn called(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// Notes what passes it.
#[derive(Clone)]
pub struct Meter {
    database: SharedHttpClient,
    bill: Arc<Mutex<Bill>>,
    objects: Objects,
}

/// What lies in the bucket, by its key.
type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meter")
    }
}

impl Meter {
    /// A meter before the database of this client.
    pub fn over(client: &Client) -> Self {
        let database = client.config().http_client().unwrap();
        Self { database, bill: Arc::default(), objects: Arc::default() }
    }

    /// What was noted since this was called last.
    pub fn read(&self) -> Bill {
        std::mem::take(&mut self.bill.lock().unwrap())
    }

    /// A configuration whose every client passes the meter.
    pub fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .sleep_impl(SharedAsyncSleep::new(Timer))
            .retry_config(RetryConfig::standard())
            .http_client(self.clone())
            .build()
    }
}

/// Only ever asked for time-outs that do not come.
#[derive(Debug)]
struct Timer;

impl AsyncSleep for Timer {
    fn sleep(&self, time: std::time::Duration) -> Sleep {
        Sleep::new(tokio::time::sleep(time))
    }
}

impl HttpClient for Meter {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let database = self.database.http_connector(settings, components);
        let (bill, objects) = (self.bill.clone(), self.objects.clone());
        SharedHttpConnector::new(Connector { database, bill, objects })
    }
}

#[derive(Debug)]
struct Connector {
    database: SharedHttpConnector,
    bill: Arc<Mutex<Bill>>,
    objects: Objects,
}

impl HttpConnector for Connector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let Some((service, operation)) = target.split_once('.') else {
            return match request.uri().split_once(BUCKET) {
                Some((_, key)) => self.s3(key, &request),
                None => self.other(&request),
            };
        };
        let operation = operation.to_owned();
        let body = request.body().bytes().unwrap();
        if service == "AmazonSQS" {
            let mut bill = self.bill.lock().unwrap();
            bill.note(&operation);
            bill.queue(&serde_json::from_slice(body).unwrap());
            return answer(r#"{"Successful":[],"Failed":[]}"#);
        }
        // The database reckons the units by AWS's rules if it is asked to. The product does not ask.
        let mut asked: Value = serde_json::from_slice(body).unwrap();
        asked["ReturnConsumedCapacity"] = "TOTAL".into();
        *request.body_mut() = SdkBody::from(asked.to_string());
        let call = self.database.call(request);
        let bill = self.bill.clone();
        HttpConnectorFuture::new(async move {
            let response = call.await?;
            let body = serde_json::from_slice(response.body().bytes().unwrap()).unwrap();
            let mut bill = bill.lock().unwrap();
            bill.note(&operation);
            bill.consume(&operation, &asked, &body);
            Ok(response)
        })
    }
}

/// Where the bucket `archive` answers.
const BUCKET: &str = "archive.s3.us-east-1.amazonaws.com/";

impl Connector {
    /// S3, with the one bucket.
    fn s3(&self, key: &str, request: &HttpRequest) -> HttpConnectorFuture {
        let mut bill = self.bill.lock().unwrap();
        let mut objects = self.objects.lock().unwrap();
        let (path, query) = key.split_once('?').unwrap_or((key, ""));
        let path = path.replace("%3A", ":");
        let body = match request.method() {
            "PUT" => {
                bill.note("PutObject");
                objects.insert(path, request.body().bytes().unwrap().to_vec());
                vec![]
            }
            "GET" if query.contains("list-type=2") => {
                bill.note("ListObjectsV2");
                let after = query.split('&').find_map(|p| p.strip_prefix("start-after=")).unwrap();
                let after = after.replace("%2F", "/").replace("%3A", ":");
                let found = objects.keys().find(|key| **key > after);
                let key = |key: &String| format!("<Contents><Key>{key}</Key></Contents>");
                let count = usize::from(found.is_some());
                let found = found.map(key).unwrap_or_default();
                format!(
                    "<ListBucketResult><KeyCount>{count}</KeyCount><IsTruncated>false\
                     </IsTruncated>{found}</ListBucketResult>"
                )
                .into_bytes()
            }
            "GET" => {
                bill.note("GetObject");
                objects[&path].clone()
            }
            "DELETE" => {
                bill.note("DeleteObject");
                objects.remove(&path);
                vec![]
            }
            other => panic!("not metered: {other} {key}"),
        };
        let mut etag = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&body, &mut etag);
        let etag = format!("\"{:x}\"", std::hash::Hasher::finish(&etag));
        let mut response = HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body));
        response.headers_mut().insert("etag", etag);
        HttpConnectorFuture::ready(Ok(response))
    }

    /// @connections and SNS.
    fn other(&self, request: &HttpRequest) -> HttpConnectorFuture {
        let mut bill = self.bill.lock().unwrap();
        if request.uri().contains("/@connections/") {
            if request.method() == "DELETE" {
                bill.note("DeleteConnection");
                return answer("");
            }
            bill.note("PostToConnection");
            bill.messages += units(request.body().bytes().unwrap().len(), 32);
            return answer("");
        }
        if request.uri().contains(".s3.") {
            bill.note(match request.method() {
                "HEAD" => "HeadObject",
                "DELETE" => "DeleteObject",
                // Nothing was uploaded.
                "GET" if request.uri().contains("list-type=2") => {
                    bill.note("ListObjectsV2");
                    return answer("<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>");
                }
                other => panic!("not metered: {other} {}", request.uri()),
            });
            return answer("");
        }
        let form = std::str::from_utf8(request.body().bytes().unwrap()).unwrap();
        if form.starts_with("Action=DeleteEndpoint&") {
            bill.note("DeleteEndpoint");
            return answer("<DeleteEndpointResponse/>");
        }
        // Who had the token costs nothing more: SNS names its endpoint then too, in a refusal.
        if form.starts_with("Action=CreatePlatformEndpoint&") {
            bill.note("CreatePlatformEndpoint");
            let token = form.split('&').find_map(|p| p.strip_prefix("Token=")).unwrap();
            return answer(format!(
                "<CreatePlatformEndpointResponse><CreatePlatformEndpointResult><EndpointArn>\
                 arn:aws:sns:us-east-1:1:endpoint/GCM/petrel/{token}</EndpointArn>\
                 </CreatePlatformEndpointResult></CreatePlatformEndpointResponse>"
            ));
        }
        if form.starts_with("Action=SetEndpointAttributes&") {
            bill.note("SetEndpointAttributes");
            return answer("<SetEndpointAttributesResponse/>");
        }
        assert!(form.starts_with("Action=Publish&"), "not metered: {} {form}", request.uri());
        bill.note("Publish");
        bill.pushes += 1;
        answer(
            "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>",
        )
    }
}

impl Bill {
    fn note(&mut self, operation: &str) {
        *self.calls.entry(operation.to_owned()).or_default() += 1;
    }

    fn queue(&mut self, batch: &Value) {
        let entries = batch["Entries"].as_array().unwrap();
        let bytes = entries.iter().map(|e| e["MessageBody"].as_str().unwrap().len()).sum();
        self.jobs += u64::try_from(entries.len()).unwrap();
        self.queued += units(bytes, 64);
    }

    fn consume(&mut self, operation: &str, asked: &Value, answer: &Value) {
        let consumed = match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().map(capacity).sum(),
            Value::Null => {
                // AWS charges a write whose condition does not hold by the larger of the two items. Here both are
                // small: what is asked is longer than the item in it.
                let refused = answer["__type"].as_str().unwrap_or_default();
                assert!(refused.ends_with("#ConditionalCheckFailedException"), "{answer}");
                assert!(asked.to_string().len() <= 1_024, "{asked}");
                1.0
            }
            table => capacity(table),
        };
        match operation {
            "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => {
                self.writes += consumed
            }
            _ => self.reads += consumed,
        }
    }
}

fn capacity(table: &Value) -> f64 {
    table["CapacityUnits"].as_f64().unwrap()
}

fn units(bytes: usize, kib: usize) -> u64 {
    u64::try_from(bytes.div_ceil(kib * 1_024).max(1)).unwrap()
}

fn answer(body: impl Into<SdkBody>) -> HttpConnectorFuture {
    let response = HttpResponse::new(200.try_into().unwrap(), body.into());
    HttpConnectorFuture::ready(Ok(response))
}
