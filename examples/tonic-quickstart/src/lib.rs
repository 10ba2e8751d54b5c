//! What service and client have in common: the messages, and how a client connects.

use std::path::Path;

use bartizan::core::SpiffeId;
use bartizan::mtls::MaterialFiles;
use bartizan::prelude::*;
use tonic::transport::{Channel, Endpoint};

/// What `proto/stock.proto` describes.
#[expect(
    clippy::missing_errors_doc,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod proto {
    include!("generated/stock.rs");
}

/// A channel to the server at `address`, which must prove to be `server`, under the identity of
/// the files `{name}.pem` and `{name}-key.pem` in `folder`.
///
/// # Errors
///
/// If the files cannot be read or the server cannot be reached.
pub async fn connect(
    folder: &Path,
    name: &str,
    address: &str,
    server: SpiffeId,
) -> Result<Channel, Box<dyn std::error::Error>> {
    let file = |name: String| folder.join(name);
    let files = MaterialFiles::new(file(format!("{name}.pem")), file(format!("{name}-key.pem")))
        .with_bundle("example.org".parse()?, file("ca.pem".to_owned()))
        .load()?;
    let connector = MtlsConnector::builder(files.published(), AllowedPeers::id(server))
        .require_http2()
        .build();
    // `http` because tonic is not to do the TLS: the connector does, and knows nothing else.
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint.connect_with_connector(connector).await?)
}
