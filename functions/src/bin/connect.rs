//! `$connect` and `$disconnect`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    petrel_functions::runtime::connect().await
}
