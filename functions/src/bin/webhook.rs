//! The webhook queue.

use petrel_functions::{needs, runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    runtime::queue(needs::WEBHOOK).await
}
