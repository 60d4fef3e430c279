//! What the services answer when they do what they are asked, all of it or a part; and how they refuse.

use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::fault::{Service, service};
use crate::injector::Injector;

/// The endpoint that SNS gives to every token.
pub const ENDPOINT: &str = "arn:aws:sns:eu-west-1:1:endpoint/APNS/petrel/5e3e9847";

impl Injector {
    /// Does what is asked, and answers.
    pub async fn done(
        &self,
        operation: &str,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let body = text(&request);
        let sns = |words: &str| {
            Ok(response(200, format!("<{operation}Response>{words}</{operation}Response>")))
        };
        match operation {
            "PostToConnection" => {
                self.take(format!("{} {body}", request.uri()));
                Ok(response(200, String::new()))
            }
            "DeleteConnection" => {
                let open = self.take(format!("closed: {}", request.uri()));
                Ok(response(if open { 204 } else { 410 }, String::new()))
            }
            "SendMessageBatch" => {
                let batch: Value = serde_json::from_str(&body).unwrap();
                let entries = batch["Entries"].as_array().unwrap();
                Ok(response(200, self.queue(entries, &[]).to_string()))
            }
            "Publish" => {
                self.take(values(&body));
                sns("<PublishResult><MessageId>1</MessageId></PublishResult>")
            }
            "CreatePlatformEndpoint" => sns(&format!(
                "<CreatePlatformEndpointResult><EndpointArn>{ENDPOINT}</EndpointArn>\
                 </CreatePlatformEndpointResult>"
            )),
            "SetEndpointAttributes" | "DeleteEndpoint" => {
                self.take(values(&body));
                sns("")
            }
            "Deliver" => {
                self.take(body);
                Ok(response(204, String::new()))
            }
            _ if service(operation) == Service::S3 => self.backends().buckets.call(request).await,
            _ => self.backends().database.call(request).await,
        }
    }

    /// Queues the first entries and refuses the others.
    fn queue(&self, taken: &[Value], refused: &[Value]) -> Value {
        for entry in taken {
            self.take(entry["MessageBody"].as_str().unwrap().to_owned());
        }
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

    /// Does the first half of a batch, or reads the first part of what a query asks for.
    pub async fn half(
        &self,
        operation: &str,
        request: &HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let mut asked: Value = serde_json::from_str(&text(request)).unwrap();
        match operation {
            "SendMessageBatch" => {
                let entries = asked["Entries"].as_array().unwrap();
                let (taken, refused) = entries.split_at(entries.len() / 2);
                Ok(response(200, self.queue(taken, refused).to_string()))
            }
            "Query" => {
                // DynamoDB ends a page where it is full, whatever the limit is.
                let page = asked["Limit"].as_u64().unwrap_or(u64::MAX).min(2);
                asked["Limit"] = json!(page);
                self.backends().database.call(json_request(operation, &asked)).await
            }
            _ => self.half_batch(operation, asked).await,
        }
    }

    async fn half_batch(
        &self,
        operation: &str,
        mut asked: Value,
    ) -> Result<HttpResponse, ConnectorError> {
        let reads = operation == "BatchGetItem";
        let tables = asked["RequestItems"].as_object_mut().unwrap();
        assert_eq!(tables.len(), 1, "a batch over several tables");
        let (table, wanted) = tables.iter_mut().next().unwrap();
        let table = table.clone();
        let all = if reads { &mut wanted["Keys"] } else { &mut *wanted };
        let all = all.as_array_mut().unwrap();
        let left = all.split_off(all.len() / 2);
        let nothing = all.is_empty();
        let (name, left) = if reads {
            let strong = wanted["ConsistentRead"].clone();
            ("UnprocessedKeys", json!({table.as_str(): {"Keys": left, "ConsistentRead": strong}}))
        } else {
            ("UnprocessedItems", json!({table.as_str(): left}))
        };
        if nothing {
            return Ok(response(200, json!({"Responses": {table: []}, name: left}).to_string()));
        }
        let answer = self.backends().database.call(json_request(operation, &asked)).await?;
        let mut done: Value = serde_json::from_slice(answer.body().bytes().unwrap()).unwrap();
        done[name] = left;
        Ok(response(200, done.to_string()))
    }
}

/// A request of DynamoDB.
pub fn json_request(operation: &str, body: &Value) -> HttpRequest {
    let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
    request.headers_mut().insert("x-amz-target", format!("DynamoDB_20120810.{operation}"));
    request
}

/// What is asked for.
pub fn operation(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    if let Some((_, operation)) = target.split_once('.') {
        return operation.to_owned();
    }
    let (uri, method) = (request.uri(), request.method());
    let name = match method {
        "POST" if uri.contains("/@connections/") => "PostToConnection",
        "DELETE" if uri.contains("/@connections/") => "DeleteConnection",
        "POST" if request.headers().get("webhook-id").is_some() => "Deliver",
        "POST" => {
            let form = text(request);
            let action = form.split('&').find_map(|field| field.strip_prefix("Action="));
            return action.unwrap().to_owned();
        }
        "GET" if uri.contains("list-type=2") => "ListObjectsV2",
        "GET" => "GetObject",
        "HEAD" => "HeadObject",
        "PUT" => "PutObject",
        "DELETE" => "DeleteObject",
        other => panic!("{other} {uri}"),
    };
    name.to_owned()
}

/// What a form says, without the order of its attributes, which changes.
fn values(form: &str) -> String {
    let mut values: Vec<_> = form.split('&').filter_map(|f| Some(f.split_once('=')?.1)).collect();
    values.sort_unstable();
    values.join(" ")
}

/// A request's body; nothing if it is no text.
pub fn text(request: &HttpRequest) -> String {
    String::from_utf8(request.body().bytes().unwrap_or_default().to_vec()).unwrap_or_default()
}

pub fn response(status: u16, body: String) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}

pub fn refusal(service: Service, code: &str) -> String {
    match service {
        Service::Sns => format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message>\
             </Error></ErrorResponse>"
        ),
        Service::S3 => xml(code),
        _ => json!({"__type": format!("com.amazonaws#{code}"), "message": "no"}).to_string(),
    }
}

/// As S3 refuses.
pub fn xml(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>no</Message><RequestId>1</RequestId></Error>"
    )
}

pub fn cancelled(operation: &str, reason: &str, actions: usize) -> String {
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
