//! The bucket of media, as far as a server on an endpoint needs what the template gives it on AWS.

use aws_config::SdkConfig;
use aws_sdk_s3::types::{CorsConfiguration, CorsRule};

use super::{Endpoint, SetupError};
use crate::files::s3_client;

/// How long a browser need not ask again, s.
const MAX_AGE_S: i32 = 3600;

/// The media bucket, made if absent. Pages of these origins may use its presigned URLs; if there are none, nobody's.
pub(super) async fn create(
    config: &SdkConfig,
    endpoint: &Endpoint,
    origins: &[String],
) -> Result<String, SetupError> {
    let client = s3_client(config);
    let name = format!("{}-media", endpoint.prefix);
    let what = format!("the bucket {name}");
    if let Err(error) = client.create_bucket().bucket(&name).send().await {
        let ours = error.as_service_error().is_some_and(|e| e.is_bucket_already_owned_by_you());
        if !ours {
            return Err(SetupError::of(&endpoint.url, &what, &error));
        }
    }
    if origins.is_empty() {
        return Ok(name);
    }
    let failed = |error: aws_sdk_s3::error::BuildError| SetupError::failed(&what, error);
    let rule = CorsRule::builder()
        .set_allowed_origins(Some(origins.to_vec()))
        .set_allowed_methods(Some(["GET", "HEAD", "PUT"].map(str::to_owned).to_vec()))
        .set_allowed_headers(Some(
            ["content-type", "if-none-match", "x-amz-checksum-sha256"].map(str::to_owned).to_vec(),
        ))
        .expose_headers("ETag")
        .max_age_seconds(MAX_AGE_S)
        .build()
        .map_err(failed)?;
    let rules = CorsConfiguration::builder().cors_rules(rule).build().map_err(failed)?;
    let put = client.put_bucket_cors().bucket(&name).cors_configuration(rules).send().await;
    put.map_err(|error| SetupError::of(&endpoint.url, &what, &error))?;
    Ok(name)
}
