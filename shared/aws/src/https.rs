//! HTTPS: the one client that all AWS clients share, and the fetch of an issuer's keys. TLS is rustls on ring.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::dns::ResolveDns;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use http::{Request, Uri};

use crate::settings::{self, Env, SettingsError};
use crate::token::FetchKeys;

/// Amazon Root CA 1 to 4 and Starfield Services Root CA G2, which AWS asks its clients to trust: as Mozilla publishes
/// them, until 2037 and later. Built in, since loading the platform's costs 3.5 ms at each start.
const AMAZON_ROOTS: &str = include_str!("roots.pem");
/// For a new TCP and TLS connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How many times longer than AWS an endpoint of one's own may take: an emulator shares its machine with whatever calls it, and
/// mostly does one thing at a time. Who gives up on what is under way and asks again has it done twice.
const PATIENCE: u32 = 5;
/// A connection that was idle for longer is not used again: who has been frozen between two events may find that the
/// other side has given it up without a word, and would wait for a whole attempt. AWS's SDK for Java takes 60 s too.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// For an issuer's keys, from the name look-up to the last byte.
const KEYS_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest key set, bytes.
const MAX_KEYS_BYTES: usize = 256 * 1024;

/// Names one endpoint for all services.
pub(crate) const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";

type BoxError = Box<dyn StdError + Send + Sync>;

/// Whom we believe to be who they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roots {
    /// Whom Amazon's certificate authorities vouch for.
    Amazon,
    /// Whom the platform trusts.
    Platform,
}

impl Roots {
    /// An operator who names a file of certificates in the usual variables means that one.
    fn for_aws(env: Env<'_>) -> Self {
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| env(name).is_some());
        if named { Self::Platform } else { Self::Amazon }
    }

    fn context(self) -> Result<TlsContext, BoxError> {
        let store = match self {
            Self::Amazon => TrustStore::empty().with_pem_certificate(AMAZON_ROOTS),
            Self::Platform => TrustStore::default(),
        };
        Ok(TlsContext::builder().with_trust_store(store).build()?)
    }
}

/// As [`connector`], for a receiver anywhere, over names that this resolver knows. No connection is kept: whom a name leads
/// to is asked each time.
pub(crate) fn connector_through(
    resolver: impl ResolveDns + Clone + 'static,
) -> Result<Connector, BoxError> {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
    Ok(Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(Roots::Platform.context()?)
        .connector_settings(settings)
        .pool_max_idle_per_host(0)
        .build_with_resolver(resolver))
}

/// Speaks HTTPS, and plain HTTP where the URL says so.
fn connector(roots: Roots, connect_timeout: Duration) -> Result<Connector, BoxError> {
    let settings = HttpConnectorSettings::builder().connect_timeout(connect_timeout).build();
    Ok(Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(roots.context()?)
        .connector_settings(settings)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build())
}

/// How many times longer than on AWS whatever is called may take. One endpoint for all services is none of AWS.
pub(crate) fn patience(env: Env<'_>) -> u32 {
    if settings::get(env, ENDPOINT_URL).is_some() { PATIENCE } else { 1 }
}

/// The client for AWS. It also speaks plain HTTP, for an emulator. One connector for all: the SDK's own client would
/// read the roots once more for each service.
pub(crate) fn client(env: Env<'_>) -> Result<SharedHttpClient, BoxError> {
    let connect_timeout = CONNECT_TIMEOUT * patience(env);
    let connector = SharedHttpConnector::new(connector(Roots::for_aws(env), connect_timeout)?);
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// Fetches an issuer's keys over HTTPS.
#[derive(Debug)]
pub struct HttpKeys {
    url: Uri,
    connector: Connector,
    timeout: Duration,
}

impl HttpKeys {
    /// The keys at this URL: `https`, or `http` on this machine's loopback, for whoever answers decides who may log in.
    /// Issuers beyond AWS are verified with the platform's certificates; `SSL_CERT_FILE` names others.
    ///
    /// # Errors
    /// If the URL is none of these.
    pub fn new(url: &str, env: Env<'_>) -> Result<Self, SettingsError> {
        let invalid = || SettingsError::invalid(settings::JWKS_URL, url);
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let host = uri.host().ok_or_else(invalid)?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_loopback(host) => {}
            _ => return Err(invalid()),
        }
        let roots =
            if host.ends_with(".amazonaws.com") { Roots::for_aws(env) } else { Roots::Platform };
        let patience = patience(env);
        let connector =
            connector(roots, CONNECT_TIMEOUT * patience).map_err(SettingsError::Https)?;
        Ok(Self { url: uri, connector, timeout: KEYS_TIMEOUT * patience })
    }

    async fn get(&self) -> Result<Vec<u8>, BoxError> {
        let request = Request::get(&self.url)
            .header("accept", "application/json")
            .body(SdkBody::empty())?
            .try_into()?;
        let response = self.connector.call(request).await?;
        if !response.status().is_success() {
            return Err(format!("the issuer answered {}", response.status().as_u16()).into());
        }
        let mut body = ByteStream::new(response.into_body());
        let mut keys = vec![];
        while let Some(chunk) = body.try_next().await? {
            keys.extend_from_slice(&chunk);
            if keys.len() > MAX_KEYS_BYTES {
                return Err("the issuer's key set is too long".into());
            }
        }
        Ok(keys)
    }
}

#[async_trait]
impl FetchKeys for HttpKeys {
    async fn fetch(&self) -> Result<Vec<u8>, BoxError> {
        tokio::time::timeout(self.timeout, self.get()).await?
    }
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
