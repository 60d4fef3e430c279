//! The client of S3.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_types::service_config::ServiceConfigKey;

/// A client with what this configuration has in common with the others.
pub fn s3_client(config: &SdkConfig) -> Client {
    let key = ServiceConfigKey::builder()
        .service_id("s3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let named = key.ok().and_then(|key| config.service_config()?.load_config(key));
    let own_endpoint = config.endpoint_url().is_some() || named.is_some();
    // An endpoint of one's own has no name for each bucket.
    Client::from_conf(checked(Builder::from(config).force_path_style(own_endpoint)).build())
}

/// Checksums only where a call names one. A body is in memory and its hash is signed, so S3 checks it anyway; the SDK's
/// own way sends it in signed pieces, to no gain.
pub(crate) fn checked(config: Builder) -> Builder {
    config
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
}
