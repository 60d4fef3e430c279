//! The push queue.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    petrel_functions::runtime::queue().await
}
