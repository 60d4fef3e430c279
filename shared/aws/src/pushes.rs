//! The way to the phones: SNS mobile push. What a phone is sent stands in [`crate::payload`].

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sns::operation::publish::PublishError;
use aws_sdk_sns::types::MessageAttributeValue;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{EndpointId, UserId};
use petrel_core::ports::{Notification, Notifier, Platform, Pushed};

use crate::payload::{self, Payload};

/// Mobile push through SNS.
#[derive(Clone, Debug)]
pub struct Sns {
    client: Client,
    platforms: Vec<(Platform, String)>,
}

impl Sns {
    /// The port over these platform applications, each with its ARN.
    pub fn new(client: Client, platforms: Vec<(Platform, String)>) -> Self {
        Self { client, platforms }
    }

    /// Makes the token's endpoint, or finds it.
    async fn create(&self, application: &str, token: &str, user: &UserId) -> Result<String> {
        let create = self
            .client
            .create_platform_endpoint()
            .platform_application_arn(application)
            .token(token)
            .custom_user_data(user.as_str());
        let error = match create.send().await {
            Ok(created) => {
                return created.endpoint_arn.ok_or_else(|| Error::port("SNS named no endpoint"));
            }
            Err(error) => error,
        };
        let Some(refusal) = error.as_service_error().filter(|e| e.is_invalid_parameter_exception())
        else {
            return Err(Error::port(error));
        };
        // The token was another user's, or is disabled. SNS names its endpoint in the text alone.
        // A refusal is the client's own mistake and no failure of ours.
        existing(refusal.message().unwrap_or_default())
            .ok_or_else(|| Error::bad_request("the push service refuses this token"))
    }
}

#[async_trait]
impl Notifier for Sns {
    async fn endpoint(&self, platform: Platform, token: &str, user: &UserId) -> Result<EndpointId> {
        let application = self.platforms.iter().find(|(p, _)| *p == platform);
        let Some((_, application)) = application else {
            return Err(Error::bad_request("this platform is not set up"));
        };
        let arn = self.create(application, token, user).await?;
        // The SDK takes an answer that was cut off for a whole one.
        if payload::kind(&arn).is_none() {
            return Err(Error::port("SNS named something that is no endpoint"));
        }
        // An endpoint that was there may be disabled, also when making it again succeeded.
        self.client
            .set_endpoint_attributes()
            .endpoint_arn(&arn)
            .attributes("Enabled", "true")
            .attributes("Token", token)
            .attributes("CustomUserData", user.as_str())
            .send()
            .await
            .map_err(|error| Error::port(without(&error, &arn)))?;
        EndpointId::parse(&arn).map_err(Error::port)
    }

    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed {
        // An endpoint of another push service: the device registers again when it is told of none.
        let Some(kind) = payload::kind(to.as_str()) else { return Pushed::Disabled };
        let Payload { message, attributes } = payload::of(kind, notification);
        let mut publish = self
            .client
            .publish()
            .target_arn(to.as_str())
            .message_structure("json")
            .message(message);
        for (name, value) in attributes {
            match MessageAttributeValue::builder().data_type("String").string_value(value).build() {
                Ok(value) => publish = publish.message_attributes(name, value),
                // It lacks no field.
                Err(error) => tracing::error!(%error, name, "a push attribute is malformed"),
            }
        }
        match publish.send().await {
            Ok(_) => Pushed::Accepted,
            Err(error) if is_disabled(&error) => Pushed::Disabled,
            Err(error) => {
                log(&error, to);
                Pushed::Later
            }
        }
    }

    async fn remove(&self, endpoint: &EndpointId) -> Result<()> {
        let arn = endpoint.as_str();
        if !self.platforms.iter().any(|(_, application)| is_of(arn, application)) {
            return Ok(());
        }
        let delete = self.client.delete_endpoint().endpoint_arn(arn);
        delete.send().await.map(drop).map_err(|error| Error::port(without(&error, arn)))
    }
}

/// Whether an endpoint is one of this application: its ARN goes on where the application's ends, with another word in it.
fn is_of(endpoint: &str, application: &str) -> bool {
    let rest = endpoint.strip_prefix(&application.replacen(":app/", ":endpoint/", 1));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// The ARN in `Invalid parameter: Token Reason: Endpoint <arn> already exists with the same Token, but different
/// attributes.`
fn existing(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("Endpoint ")?;
    let (arn, _) = rest.split_once(" already exists")?;
    arn.starts_with("arn:").then(|| arn.to_owned())
}

fn is_disabled(error: &SdkError<PublishError>) -> bool {
    let Some(error) = error.as_service_error() else { return false };
    // What SNS says of an endpoint that was deleted.
    let deleted = error.is_invalid_parameter_exception()
        && error.message().is_some_and(|m| m.contains("No endpoint found for the target arn"));
    error.is_endpoint_disabled_exception() || error.is_not_found_exception() || deleted
}

/// The error with its causes, for the log. The endpoint names a phone and stays out of it; SNS quotes it where it refuses
/// us.
fn without(error: &(impl std::error::Error + 'static), endpoint: &str) -> String {
    DisplayErrorContext(error).to_string().replace(endpoint, "(endpoint)")
}

/// Logs why a push did not go out. What SNS refuses for another reason than the device (a payload, a credential that
/// ran out, a missing permission) counts as `Later`: after its attempts the job lies in the dead-letter queue, where it
/// is seen, and no device loses its endpoint for our fault.
fn log(error: &SdkError<PublishError>, to: &EndpointId) {
    let ours = error.as_service_error().is_some_and(|e| {
        e.is_invalid_parameter_exception()
            || e.is_invalid_parameter_value_exception()
            || e.is_authorization_error_exception()
            || e.is_platform_application_disabled_exception()
    });
    let error = without(error, to.as_str());
    if ours {
        tracing::error!(error, "a push was refused");
    } else {
        tracing::warn!(error, "a push failed");
    }
}
