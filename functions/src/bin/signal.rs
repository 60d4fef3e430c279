//! The routes `typing`, `presence` and `$default`.

use petrel_functions::{needs, runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    runtime::route(needs::SIGNAL).await
}
