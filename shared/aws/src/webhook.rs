//! Webhooks: events as signed POSTs to the operator's receiver, as Standard Webhooks has it
//! (<https://github.com/standard-webhooks/standard-webhooks>). No redirect is followed, no body is read, and what is not
//! public is not called.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use http::{Request, Uri};
use petrel_core::ports::{Delivery, Hooked, Webhook};
use ring::hmac;

use crate::https::{self, is_loopback};
use crate::settings::{self, SettingsError};

/// For one delivery, from the name look-up to the status.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Begins a secret.
const PREFIX: &str = "whsec_";
/// Bytes of a secret, as the standard has it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Secrets at the same time: the new one and the old, while a receiver changes over.
const MAX_SECRETS: usize = 2;

/// Where a receiver may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At a public address, by https.
    Public,
    /// Anywhere; by http on this machine's loopback interface only. For a server on one machine.
    Anywhere,
}

/// Signs with one secret or two.
#[derive(Clone)]
pub struct Signer(Vec<hmac::Key>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer of {} secrets", self.0.len())
    }
}

impl Signer {
    /// Of secrets with a comma between them, each `whsec_` and 24 to 64 bytes in base64.
    pub fn parse(secrets: &str) -> Option<Self> {
        let key = |secret: &str| {
            let bytes = base64::decode(secret.trim().strip_prefix(PREFIX)?).ok()?;
            let fits = SECRET_BYTES.contains(&bytes.len());
            fits.then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        };
        let keys: Vec<_> = secrets.split(',').map(key).collect::<Option<_>>()?;
        (keys.len() <= MAX_SECRETS).then_some(Self(keys))
    }

    /// The `webhook-signature` header: one signature a secret, with blanks between them.
    pub fn sign(&self, delivery: &Delivery) -> String {
        let Delivery { id, timestamp_s, body } = delivery;
        let signed = format!("{id}.{timestamp_s}.{body}");
        let one = |key| {
            let tag = hmac::sign(key, signed.as_bytes());
            format!("v1,{}", base64::encode(tag.as_ref()))
        };
        let all: Vec<String> = self.0.iter().map(one).collect();
        all.join(" ")
    }
}

/// The operator's receiver.
#[derive(Debug)]
pub struct HttpWebhook {
    url: Uri,
    signer: Signer,
    connector: SharedHttpConnector,
}

impl HttpWebhook {
    /// The receiver at this URL.
    ///
    /// # Errors
    /// If the URL is none that may be called, or the secrets are none.
    pub fn new(url: &str, secrets: &str, reach: Reach) -> Result<Self, SettingsError> {
        let connector = https::connector_through(Resolver(reach)).map_err(SettingsError::Https)?;
        Self::over(url, secrets, reach, SharedHttpConnector::new(connector))
    }

    /// The same over a connection of one's own, which has to keep to the reach by itself.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn over(
        url: &str,
        secrets: &str,
        reach: Reach,
        connector: SharedHttpConnector,
    ) -> Result<Self, SettingsError> {
        let invalid = || SettingsError::invalid(settings::WEBHOOK_URL, url);
        let uri = receiver(url, reach).ok_or_else(invalid)?;
        // The secret itself is not quoted.
        let signer = Signer::parse(secrets)
            .ok_or_else(|| SettingsError::invalid(settings::WEBHOOK_SECRETS, "not to be shown"))?;
        Ok(Self { url: uri, signer, connector })
    }

    /// Whether a receiver may be at this URL, as far as one can tell by looking at it.
    pub fn may_call(url: &str, reach: Reach) -> bool {
        receiver(url, reach).is_some()
    }

    async fn post(
        &self,
        delivery: &Delivery,
    ) -> Result<Hooked, Box<dyn std::error::Error + Send + Sync>> {
        let request = Request::post(&self.url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("petrel/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", delivery.timestamp_s.to_string())
            .header("webhook-signature", self.signer.sign(delivery))
            .body(SdkBody::from(delivery.body.as_str()))?
            .try_into()?;
        // The body of the answer is dropped unread.
        let response = self.connector.call(request).await?;
        if response.status().is_success() {
            return Ok(Hooked::Accepted);
        }
        let status = response.status().as_u16();
        tracing::warn!(id = delivery.id, status, "the receiver of webhooks does not take an event");
        let after = response.headers().get("retry-after").and_then(|value| value.parse().ok());
        Ok(Hooked::Refused { retry_after_s: after })
    }
}

#[async_trait]
impl Webhook for HttpWebhook {
    async fn deliver(&self, delivery: &Delivery) -> Hooked {
        let refused = Hooked::Refused { retry_after_s: None };
        match tokio::time::timeout(TIMEOUT, self.post(delivery)).await {
            Ok(Ok(hooked)) => hooked,
            Ok(Err(error)) => {
                let error = aws_smithy_types::error::display::DisplayErrorContext(&*error);
                tracing::warn!(id = delivery.id, %error, "the receiver of webhooks was not reached");
                refused
            }
            Err(_) => {
                tracing::warn!(id = delivery.id, "the receiver of webhooks took too long");
                refused
            }
        }
    }
}

/// The URL, if a receiver may be there as far as one can tell by looking at it.
pub(crate) fn receiver(url: &str, reach: Reach) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    // Who has a password in a URL has it in logs.
    if uri.authority()?.as_str().contains('@') {
        return None;
    }
    let host = uri.host().filter(|host| !host.is_empty())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let may = match (uri.scheme_str()?, reach) {
        ("https", Reach::Anywhere) => true,
        ("http", Reach::Anywhere) => is_loopback(host),
        // An address goes past the resolver.
        ("https", Reach::Public) => bare.parse().map_or(true, is_public) && host != "localhost",
        _ => false,
    };
    may.then_some(uri)
}

/// Whether an address is one of the internet at large: not this machine, not a private network, and not where a cloud
/// tells a machine its credentials.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        // "This network", shared address space, protocol assignments, benchmarks, reserved: RFC 6890.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // An IPv4 address in IPv6's clothes: mapped, or by NAT64 or 6to4.
    let segments = ip.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        // Documentation, and protocol assignments (Teredo among them).
        [0x2001, 0xdb8, ..] => false,
        [0x2001, 0..=0x1ff, ..] => false,
        // Global unicast, and nothing else.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Resolves names, and forgets the addresses that may not be called: what is checked is what is connected to.
#[derive(Clone, Debug)]
pub(crate) struct Resolver(Reach);

impl ResolveDns for Resolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let found = tokio::net::lookup_host((name, 0)).await.map_err(ResolveDnsError::new)?;
            let may = |ip: &IpAddr| self.0 == Reach::Anywhere || is_public(*ip);
            let found: Vec<IpAddr> = found.map(|address| address.ip()).filter(may).collect();
            if found.is_empty() {
                return Err(ResolveDnsError::new("the name has no public address"));
            }
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn delivery() -> Delivery {
        // The standard's own example.
        Delivery {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
            timestamp_s: 1_614_265_330,
            body: r#"{"test": 2432232314}"#.to_owned(),
        }
    }

    #[test]
    fn signatures_are_those_of_the_standard() {
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(Signer::parse(SECRET).unwrap().sign(&delivery()), expected);
        let other = format!("whsec_{}", base64::encode([7; 32]));
        let both = Signer::parse(&format!("{other},{SECRET}")).unwrap().sign(&delivery());
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!(second, expected);
        assert_eq!(first, Signer::parse(&other).unwrap().sign(&delivery()));
    }

    #[test]
    fn a_secret_is_long_enough_and_never_shown() {
        let of = |bytes: usize| format!("whsec_{}", base64::encode(vec![1; bytes]));
        assert!(Signer::parse(&of(24)).is_some() && Signer::parse(&of(64)).is_some());
        let three = format!("{SECRET},{SECRET},{SECRET}");
        for bad in [&of(23), &of(65), "", "whsec_", "whsec_!!", &of(32)[6..], &three] {
            assert!(Signer::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{:?}", Signer::parse(SECRET).unwrap()), "Signer of 1 secrets");
        let error = HttpWebhook::new("https://a.example/", "hunter2", Reach::Public).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn what_is_not_public_is_not_called() {
        for url in [
            "http://a.example/",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://[fd00:ec2::254]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:a00:1::]/",
            "https://0.0.0.0/",
            "https://100.64.0.1/",
            "https://user:pass@a.example/",
            "ftp://a.example/",
            "https://",
            "a.example",
            "https://224.0.0.1/",
        ] {
            assert!(receiver(url, Reach::Public).is_none(), "{url}");
        }
        for url in [
            "https://a.example/hook?x=1",
            "https://93.184.216.34/",
            "https://[2606:2800:220:1::1]/",
        ] {
            assert!(receiver(url, Reach::Public).is_some(), "{url}");
        }
        for (url, may) in [
            ("http://127.0.0.1:9/h", true),
            ("http://localhost:9/", true),
            ("http://[::1]:9/", true),
            ("https://10.0.0.1/", true),
            ("http://10.0.0.1/", false),
            ("http://a.example/", false),
        ] {
            assert_eq!(receiver(url, Reach::Anywhere).is_some(), may, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_leads_nowhere() {
        assert!(Resolver(Reach::Public).resolve_dns("localhost").await.is_err());
        assert!(!Resolver(Reach::Anywhere).resolve_dns("localhost").await.unwrap().is_empty());
    }
}
