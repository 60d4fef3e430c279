//! The routes `sync` and `history`.

use petrel_functions::{needs, runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    runtime::route_to_logs(needs::SYNC).await
}
