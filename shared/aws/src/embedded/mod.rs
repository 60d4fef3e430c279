//! A DynamoDB and an S3 in the same process, behind the unmodified clients: for tests and for a local server.

mod check;
pub mod s3;
mod wal;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use petrel_core::error::{Error, Result};

use crate::keys::Tables;

pub use check::{Unusable, check};

/// No one looks it up.
const ENDPOINT: &str = "http://embedded";

/// Carries the client's requests to a database in this process.
#[derive(Clone)]
struct Embedded {
    database: Database,
    /// The last one that had to be done could not be: the disk is full, say.
    failing: Arc<AtomicBool>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Embedded")
    }
}

impl Embedded {
    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let (status, body) = match self.run(operation, body) {
            Ok(body) => (200, body),
            Err(error) => (error.status_code(), error.to_json()),
        };
        self.note(operation, status, &body);
        let status = status.try_into().map_err(|e| ConnectorError::other(Box::new(e), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        Ok(response)
    }

    /// Tells the operator once that the database does not work, and once that it does again; each caller gets his error.
    fn note(&self, operation: &str, status: u16, body: &str) {
        let writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];
        if status >= 500 && !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                operation,
                answer = body,
                "the database does not work: what needs it is answered busy until it does"
            );
        } else if status == 200
            && writes.contains(&operation)
            && self.failing.swap(false, Ordering::Relaxed)
        {
            tracing::info!("the database works again");
        }
    }

    fn run(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        /// Calls a method of the database with JSON in and JSON out.
        macro_rules! json {
            ($method:ident) => {{
                let request = serde_json::from_slice(body)
                    .map_err(|e| DynoxideError::SerializationException(e.to_string()))?;
                serde_json::to_string(&self.database.$method(request)?)
                    .map_err(|e| DynoxideError::InternalServerError(e.to_string()))
            }};
        }
        match operation {
            "CreateTable" => json!(create_table),
            "DescribeTable" => json!(describe_table),
            "PutItem" => json!(put_item),
            "GetItem" => json!(get_item),
            "UpdateItem" => json!(update_item),
            "DeleteItem" => json!(delete_item),
            "Query" => json!(query),
            "Scan" => json!(scan),
            "BatchGetItem" => json!(batch_get_item),
            "TransactWriteItems" => json!(transact_write_items),
            other => Err(DynoxideError::ValidationException(format!("{other} is not embedded"))),
        }
    }
}

impl HttpConnector for Embedded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(self.answer(&request))
    }
}

impl HttpClient for Embedded {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// A client of a new, empty database in memory. Calls run on the caller's thread.
///
/// # Errors
/// If the database cannot be opened.
pub fn client() -> Result<Client> {
    Ok(client_of(Database::memory().map_err(Error::port)?))
}

/// A client of the database in a file, which is made if it is absent. Calls run on the caller's thread, and each write
/// waits for the disk.
///
/// # Errors
/// If the database cannot be opened.
pub fn client_on(file: &Path) -> Result<Client> {
    let file = file.to_str().ok_or_else(|| Error::port("the file's name is not UTF-8"))?;
    Ok(client_of(Database::new(file).map_err(Error::port)?))
}

fn client_of(database: Database) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .endpoint_url(ENDPOINT)
        .credentials_provider(Credentials::new("local", "local", None, None, "embedded"))
        .http_client(Embedded { database, failing: Arc::default() })
        .build();
    Client::from_conf(config)
}

/// Creates the tables that are not there yet.
///
/// # Errors
/// If one cannot be created.
pub async fn create_tables(client: &Client, tables: &Tables) -> Result<()> {
    crate::server::create_tables(client, tables, ENDPOINT).await.map_err(Error::port)
}
