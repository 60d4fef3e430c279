//! A DynamoDB and an S3 in the same process, behind the unmodified clients: for tests and for a local server.

mod check;
mod mark;
pub mod s3;
mod wal;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use petrel_core::error::{Error, Result};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::keys::Tables;

use mark::Mark;

pub use check::{Unusable, check};

/// No one looks it up.
const ENDPOINT: &str = "http://embedded";

/// The operations that write.
const WRITES: [&str; 6] =
    ["CreateTable", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];

/// Carries the client's requests to a database in this process.
struct Embedded {
    database: Database,
    /// The last one that had to be done could not be: the disk is full, say.
    failing: AtomicBool,
    /// How far what was acknowledged reaches, if it is kept. Behind the database, to be closed after it.
    mark: Option<Mark>,
}

/// There is one of it, whoever has it: the database is closed right after this.
impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(mark) = &self.mark {
            mark.remove();
        }
    }
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
        if let Some(mark) =
            self.mark.as_ref().filter(|_| status == 200 && WRITES.contains(&operation))
        {
            mark.note();
        }
        self.note(operation, status, &body);
        let status = status.try_into().map_err(|e| ConnectorError::other(Box::new(e), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        Ok(response)
    }

    /// Tells the operator once that the database does not work, and once that it does again; each caller gets his error.
    fn note(&self, operation: &str, status: u16, body: &str) {
        if status >= 500 && !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                operation,
                answer = body,
                "the database does not work: what needs it is answered busy until it does"
            );
        } else if status == 200
            && WRITES.contains(&operation)
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
            "BatchWriteItem" => json!(batch_write_item),
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

/// A new, empty database in memory, which takes the requests of clients.
///
/// # Errors
/// If the database cannot be opened.
pub fn in_memory() -> Result<SharedHttpConnector> {
    Ok(connector(Database::memory().map_err(Error::port)?, None))
}

/// A client of a new, empty database in memory. Calls run on the caller's thread.
///
/// # Errors
/// If the database cannot be opened.
pub fn client() -> Result<Client> {
    Ok(client_of(in_memory()?))
}

/// A client of the database in a file, which is made if it is absent. Calls run on the caller's thread, and each write
/// waits for the disk.
///
/// # Errors
/// If the database cannot be opened.
pub fn client_on(file: &Path) -> Result<Client> {
    let name = file.to_str().ok_or_else(|| Error::port("the file's name is not UTF-8"))?;
    // Until everything is open: whatever fails before that leaves the log as it is, and so the mark is true of it.
    let _held = hold(file).map_err(Error::port)?;
    // Before the database, which may begin a new log while it is opened: what was said of the old one must be over.
    let mark = Mark::on(file)
        .map_err(|e| Error::port(format!("{} cannot be written: {e}", mark::SUFFIX)))?;
    let database = Database::new(name).map_err(Error::port)?;
    mark.note();
    Ok(client_of(connector(database, Some(mark))))
}

fn connector(database: Database, mark: Option<Mark>) -> SharedHttpConnector {
    SharedHttpConnector::new(Embedded { database, failing: AtomicBool::default(), mark })
}

/// Opens a database, which is made if it is absent, and keeps whoever closes it meanwhile from removing its log.
fn hold(file: &Path) -> rusqlite::Result<Connection> {
    let held = Connection::open(file)?;
    held.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    held.pragma_update(None, "journal_mode", "WAL")?;
    held.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
    Ok(held)
}

/// A file whose name begins with the database's, where SQLite has them: beside what a link leads to.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut name = database.into_os_string();
    name.push(suffix);
    name.into()
}

/// A client of a database in this process.
pub fn client_of(database: SharedHttpConnector) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .endpoint_url(ENDPOINT)
        .credentials_provider(Credentials::new("local", "local", None, None, "embedded"))
        .http_client(http_client_fn(move |_, _| database.clone()))
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
