//! The push queue.

use petrel_functions::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    runtime::pushes().await
}
