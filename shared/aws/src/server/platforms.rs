//! The push applications of an emulator, which takes them without the credentials of a push service.

use aws_config::SdkConfig;
use petrel_core::ports::Platform;

use super::{Endpoint, SetupError};

/// SNS wants one; an emulator does not look at it.
const NO_CREDENTIAL: &str = "none";

/// Makes the applications of the platforms that have none yet. Making one again finds it.
pub(super) async fn create(
    config: &SdkConfig,
    endpoint: &Endpoint,
    platforms: &mut Vec<(Platform, String)>,
) -> Result<(), SetupError> {
    let client = aws_sdk_sns::Client::new(config);
    let all = [
        (Platform::Apns, "apns", "APNS"),
        (Platform::ApnsSandbox, "apns-sandbox", "APNS_SANDBOX"),
        (Platform::Fcm, "fcm", "GCM"),
    ];
    for (platform, name, service) in all {
        if platforms.iter().any(|(named, _)| *named == platform) {
            continue;
        }
        let what = format!("the push application {}-{name}", endpoint.prefix);
        let made = client
            .create_platform_application()
            .name(format!("{}-{name}", endpoint.prefix))
            .platform(service)
            .attributes("PlatformCredential", NO_CREDENTIAL)
            .attributes("PlatformPrincipal", NO_CREDENTIAL)
            .send()
            .await
            .map_err(|error| SetupError::of(&endpoint.url, &what, &error))?;
        let arn = made.platform_application_arn;
        let arn = arn.ok_or_else(|| SetupError::failed(&what, "it has no ARN"))?;
        platforms.push((platform, arn));
    }
    Ok(())
}
