//! The routes `typing` and `$default`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    petrel_functions::runtime::route().await
}
