//! The start of a function that cannot start: one line in the log, the same words to Lambda, and an end.

use std::error::Error;

use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{BoxError, Client};
use petrel_aws::SettingsError;
use serde_json::json;

/// What was built, or the end of the process with status 1.
pub(crate) async fn succeed<T>(built: Result<T, SettingsError>) -> T {
    match built {
        Ok(built) => built,
        Err(error) => {
            let words = with_causes(&error);
            tracing::error!(error = words, "cannot start");
            // It ends either way; Lambda then says that it ended, and not why.
            if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
                let _ = report(&words).await;
            }
            std::process::exit(1)
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Tells Lambda's runtime interface, which waits for a first event otherwise.
async fn report(words: &str) -> Result<(), BoxError> {
    let diagnostic = json!({"errorType": "Settings", "errorMessage": words});
    let request = lambda_http::http::Request::post("/2018-06-01/runtime/init/error")
        .header("lambda-runtime-function-error-type", "Settings")
        .body(Body::from(diagnostic.to_string()))?;
    Client::builder().build()?.call(request).await?;
    Ok(())
}
