//! The media bucket, its scanner, and uploads that ran out.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    petrel_functions::runtime::media().await
}
