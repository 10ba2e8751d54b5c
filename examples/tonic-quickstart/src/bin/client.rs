//! Asks the service: takes one, and then watches how many are left, under the identity of `web`.

use std::env;
use std::path::Path;

use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic_quickstart::connect;
use tonic_quickstart::proto::stock_client::StockClient;
use tonic_quickstart::proto::{LevelRequest, TakeRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::var("SERVER").unwrap_or_else(|_| "127.0.0.1:8444".to_owned());
    let server = "spiffe://example.org/orders".parse()?;
    let channel = connect(Path::new("."), "web", &address, server).await?;

    // The token of whoever we ask for goes with each call.
    let token = env::var("TOKEN").map_err(|_| "TOKEN is not set: whom do we ask for?")?;
    let token: MetadataValue<_> = format!("Bearer {token}").parse()?;
    let mut stock = StockClient::with_interceptor(channel, move |mut request: Request<()>| {
        request
            .metadata_mut()
            .insert("authorization", token.clone());
        Ok(request)
    });

    let article = "lamp".to_owned();
    let take = TakeRequest {
        article: article.clone(),
        count: 1,
    };
    let taken = stock.take(take).await?.into_inner();
    eprintln!("{} left, says the server to {}", taken.left, taken.asked_by);

    let mut levels = stock.watch(LevelRequest { article }).await?.into_inner();
    while let Some(level) = levels.message().await? {
        eprintln!("{} left", level.left);
    }
    Ok(())
}
