//! AWS as it may behave on a bad day, behind the unmodified clients: DynamoDB is embedded, @connections, SQS and SNS write
//! down what they get, and a plan says which request meets which fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is done and answered, after a while.
    Slow,
    /// Nothing is done and nothing answered.
    Silent,
    /// It is done and not answered.
    SilentAfter,
    /// It is done when the client has long given this attempt up.
    Late,
    /// The connection is cut before anything is done …
    CutBefore,
    /// … or after.
    CutAfter,
    /// This status without a body, and nothing is done …
    Status(u16),
    /// … or it is done all the same.
    StatusAfter(u16),
    /// Refused with this code, 400; nothing is done.
    Refused(&'static str),
    /// Another write of the item is under way; of a transaction, this is the reason of its first action.
    Cancelled(&'static str),
    /// It is done, and this is what its answer says, under the status that it has.
    Garbage(&'static str),
    /// It is done; the answer breaks off in the middle.
    Truncated,
    /// It is done and answered, as text/html.
    WrongType,
    /// Only the first half of a batch is looked at, or taken.
    Partial,
}

/// Faults after which the client of AWS asks again by itself, and which did nothing.
pub const HARMLESS: &[Fault] = &[
    Fault::Slow,
    Fault::Silent,
    Fault::CutBefore,
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Status(504),
    Fault::Refused("ProvisionedThroughputExceededException"),
    Fault::Refused("ThrottlingException"),
    Fault::Refused("RequestLimitExceeded"),
    Fault::Partial,
];

/// All others.
pub const HARMFUL: &[Fault] = &[
    Fault::SilentAfter,
    Fault::Late,
    Fault::CutAfter,
    Fault::Status(301),
    Fault::Status(404),
    Fault::StatusAfter(500),
    Fault::Refused("AccessDeniedException"),
    Fault::Refused("ResourceNotFoundException"),
    Fault::Refused("ValidationException"),
    Fault::Refused("AnErrorOfTomorrow"),
    Fault::Cancelled("TransactionConflict"),
    Fault::Cancelled("ThrottlingError"),
    Fault::Cancelled("ProvisionedThroughputExceeded"),
    Fault::Cancelled("ValidationError"),
    Fault::Garbage(""),
    Fault::Garbage("{}"),
    Fault::Garbage("[]"),
    Fault::Garbage("null"),
    Fault::Garbage("<html>busy</html>"),
    Fault::Garbage("{\"Items\":7,\"Item\":7,\"Responses\":7,\"Attributes\":7}"),
    Fault::Garbage(
        "{\"Items\":[{\"seq\":{\"N\":7}}],\"Item\":{\"sk\":7},\"Responses\":{\"t\":[7]}}",
    ),
    Fault::Garbage("\u{0}\u{1}"),
    Fault::Truncated,
    Fault::WrongType,
];

/// What a plan knows of a request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The how manieth of all requests, from 0.
    pub number: usize,
    /// How many faults the same request has met in a row.
    pub met: u32,
}

type Plan = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    asked: Vec<String>,
    met: BTreeMap<u64, u32>,
    injected: usize,
    done: BTreeSet<String>,
}

/// The client that the SDK is given.
#[derive(Clone)]
pub struct Injector {
    database: SharedHttpClient,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Injector")
    }
}

impl Injector {
    pub fn new(database: SharedHttpClient) -> Self {
        Self { database, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on requests meet what the plan says; counting starts anew.
    pub fn plan(&self, plan: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        let mut state = self.state();
        state.plan = Some(Box::new(plan));
        state.asked.clear();
        state.met.clear();
        state.injected = 0;
    }

    /// From now on all is well; counting starts anew.
    pub fn heal(&self) {
        self.plan(|_| None);
    }

    /// The operations that were asked for since.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// How many faults were met since.
    pub fn injected(&self) -> usize {
        self.state().injected
    }

    /// Everything that the queues, the sockets and the phones were given, each once: the bodies.
    pub fn taken(&self) -> BTreeSet<String> {
        self.state().done.clone()
    }

    fn next(&self, operation: &str, request: &HttpRequest) -> Option<Fault> {
        let mut state = self.state();
        let mut hasher = DefaultHasher::new();
        (operation, request.uri(), request.body().bytes()).hash(&mut hasher);
        let same = hasher.finish();
        let asked = Asked {
            number: state.asked.len(),
            met: state.met.get(&same).copied().unwrap_or_default(),
        };
        state.asked.push(operation.to_owned());
        let fault = state.plan.as_mut().and_then(|plan| plan(&asked));
        match fault {
            Some(fault) if applies(fault, operation) => {
                state.injected += 1;
                *state.met.entry(same).or_default() += 1;
                Some(fault)
            }
            _ => {
                state.met.remove(&same);
                None
            }
        }
    }

    /// Does what is asked, and answers.
    async fn done(
        &self,
        database: &SharedHttpConnector,
        operation: &str,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let body = text(&request);
        match operation {
            "PostToConnection" => {
                self.state().done.insert(format!("{} {body}", request.uri()));
                Ok(response(200, String::new()))
            }
            "SendMessageBatch" => {
                let batch: Value = serde_json::from_str(&body).unwrap();
                let entries = batch["Entries"].as_array().unwrap();
                Ok(response(200, self.queue(entries, &[]).to_string()))
            }
            "Publish" => {
                self.state().done.insert(values(&body));
                let published = "<PublishResponse><PublishResult><MessageId>1</MessageId>\
                                 </PublishResult></PublishResponse>";
                Ok(response(200, published.to_owned()))
            }
            "CreatePlatformEndpoint" => Ok(response(
                200,
                format!(
                    "<CreatePlatformEndpointResponse><CreatePlatformEndpointResult><EndpointArn>\
                     {ENDPOINT}</EndpointArn></CreatePlatformEndpointResult>\
                     </CreatePlatformEndpointResponse>"
                ),
            )),
            "SetEndpointAttributes" => {
                self.state().done.insert(values(&body));
                Ok(response(200, "<SetEndpointAttributesResponse/>".to_owned()))
            }
            "DeleteEndpoint" => {
                self.state().done.insert(values(&body));
                Ok(response(200, "<DeleteEndpointResponse/>".to_owned()))
            }
            _ => database.call(request).await,
        }
    }

    /// Queues the first entries and refuses the others.
    fn queue(&self, taken: &[Value], refused: &[Value]) -> Value {
        let mut state = self.state();
        state.done.extend(taken.iter().map(|e| e["MessageBody"].as_str().unwrap().to_owned()));
        let successful: Vec<_> = taken
            .iter()
            .map(|e| json!({"Id": e["Id"], "MessageId": "1", "MD5OfMessageBody": "0"}))
            .collect();
        let failed: Vec<_> = refused
            .iter()
            .map(|e| json!({"Id": e["Id"], "Code": "InternalError", "SenderFault": false}))
            .collect();
        json!({"Successful": successful, "Failed": failed})
    }

    /// Does the first half of a batch.
    async fn half(
        &self,
        database: &SharedHttpConnector,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let mut asked: Value = serde_json::from_str(&text(&request)).unwrap();
        if let Some(entries) = asked["Entries"].as_array() {
            let (taken, refused) = entries.split_at(entries.len() / 2);
            return Ok(response(200, self.queue(taken, refused).to_string()));
        }
        let (table, wanted) =
            asked["RequestItems"].as_object_mut().unwrap().iter_mut().next().unwrap();
        let table = table.clone();
        let keys = wanted["Keys"].as_array_mut().unwrap();
        let left = keys.split_off(keys.len() / 2);
        let left = json!({table.as_str(): {"Keys": left, "ConsistentRead": true}});
        if keys.is_empty() {
            let nothing = json!({"Responses": {table: []}, "UnprocessedKeys": left});
            return Ok(response(200, nothing.to_string()));
        }
        let mut smaller = HttpRequest::new(SdkBody::from(asked.to_string()));
        smaller.headers_mut().insert("x-amz-target", "DynamoDB_20120810.BatchGetItem");
        let answer = database.call(smaller).await?;
        let mut found: Value = serde_json::from_slice(answer.body().bytes().unwrap()).unwrap();
        found["UnprocessedKeys"] = left;
        Ok(response(200, found.to_string()))
    }

    async fn meet(
        self,
        database: SharedHttpConnector,
        operation: String,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let fault = self.next(&operation, &request);
        let service = service(&operation);
        let actions = text(&request).matches("TableName").count();
        let done = self.done(&database, &operation, request.try_clone().unwrap());
        match fault {
            None => done.await,
            Some(Fault::Slow) => {
                tokio::time::sleep(Duration::from_millis(600)).await;
                done.await
            }
            Some(Fault::Silent) => std::future::pending().await,
            Some(Fault::SilentAfter) => {
                done.await?;
                std::future::pending().await
            }
            Some(Fault::Late) => {
                let (this, database) = (self.clone(), database.clone());
                let operation = operation.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    let _ = this.done(&database, &operation, request).await;
                });
                std::future::pending().await
            }
            Some(Fault::CutBefore) => Err(ConnectorError::io("the connection was reset".into())),
            Some(Fault::CutAfter) => {
                done.await?;
                Err(ConnectorError::io("the connection was reset".into()))
            }
            Some(Fault::Status(status)) => Ok(response(status, String::new())),
            Some(Fault::StatusAfter(status)) => {
                done.await?;
                Ok(response(status, String::new()))
            }
            Some(Fault::Refused(code)) => Ok(response(400, refusal(service, code))),
            Some(Fault::Cancelled(reason)) => {
                Ok(response(400, cancelled(&operation, reason, actions)))
            }
            Some(Fault::Garbage(answer)) => {
                let status = done.await?.status().as_u16();
                Ok(response(status, answer.to_owned()))
            }
            Some(Fault::Truncated) => {
                let answer = done.await?;
                let whole = answer.body().bytes().unwrap();
                let half = String::from_utf8_lossy(&whole[..whole.len() / 2]).into_owned();
                // Of an empty answer there is no half.
                let half = if half.is_empty() { "{".to_owned() } else { half };
                Ok(response(answer.status().as_u16(), half))
            }
            Some(Fault::WrongType) => {
                let mut answer = done.await?;
                answer.headers_mut().insert("content-type", "text/html");
                Ok(answer)
            }
            Some(Fault::Partial) => self.half(&database, request).await,
        }
    }
}

/// The endpoint that SNS gives to every token.
pub const ENDPOINT: &str = "arn:aws:sns:eu-west-1:1:endpoint/APNS/petrel/5e3e9847";

/// Whether the service can do that to the operation.
fn applies(fault: Fault, operation: &str) -> bool {
    match fault {
        Fault::Partial => matches!(operation, "BatchGetItem" | "SendMessageBatch"),
        Fault::Cancelled("TransactionConflict") => {
            matches!(operation, "PutItem" | "UpdateItem" | "TransactWriteItems")
        }
        // This is how DynamoDB says that there is no such item; TLS and the length keep an answer from becoming it.
        Fault::Garbage("" | "{}") => operation != "GetItem",
        Fault::Cancelled(_) => operation == "TransactWriteItems",
        _ => true,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    DynamoDb,
    Sqs,
    Gateway,
    Sns,
}

fn service(operation: &str) -> Service {
    match operation {
        "SendMessageBatch" => Service::Sqs,
        "PostToConnection" => Service::Gateway,
        "Publish" | "CreatePlatformEndpoint" | "SetEndpointAttributes" | "DeleteEndpoint" => {
            Service::Sns
        }
        _ => Service::DynamoDb,
    }
}

fn operation(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    if let Some((_, operation)) = target.split_once('.') {
        return operation.to_owned();
    }
    if request.uri().contains("connections/") {
        return "PostToConnection".to_owned();
    }
    let form = text(request);
    let action = form.split('&').find_map(|field| field.strip_prefix("Action="));
    action.unwrap().to_owned()
}

/// What a form says, without the order of its attributes, which changes.
fn values(form: &str) -> String {
    let mut values: Vec<_> = form.split('&').filter_map(|f| Some(f.split_once('=')?.1)).collect();
    values.sort_unstable();
    values.join(" ")
}

fn text(request: &HttpRequest) -> String {
    String::from_utf8(request.body().bytes().unwrap_or_default().to_vec()).unwrap()
}

fn response(status: u16, body: String) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}

fn refusal(service: Service, code: &str) -> String {
    match service {
        Service::Sns => format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message>\
             </Error></ErrorResponse>"
        ),
        _ => json!({"__type": format!("com.amazonaws#{code}"), "message": "no"}).to_string(),
    }
}

fn cancelled(operation: &str, reason: &str, actions: usize) -> String {
    if operation != "TransactWriteItems" {
        return refusal(Service::DynamoDb, "TransactionConflictException");
    }
    let mut reasons = vec![json!({"Code": reason, "Message": "no"})];
    reasons.resize(actions, json!({"Code": "None"}));
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "no",
        "CancellationReasons": reasons,
    })
    .to_string()
}

impl HttpClient for Injector {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let database = self.database.http_connector(settings, components);
        SharedHttpConnector::new(Connector { database, injector: self.clone() })
    }
}

#[derive(Debug)]
struct Connector {
    database: SharedHttpConnector,
    injector: Injector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = operation(&request);
        let met = self.injector.clone().meet(self.database.clone(), operation, request);
        HttpConnectorFuture::new(met)
    }
}
