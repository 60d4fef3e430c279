//! The stream of timers.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    petrel_functions::runtime::archive().await
}
