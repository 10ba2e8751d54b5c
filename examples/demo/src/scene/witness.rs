//! The witness: a service that remembers how far the log of customers went.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use bartizan_audit::{
    CosignerKey, VerifierKey, Witness, WitnessClient, WitnessKey, WitnessService,
};
use bartizan_core::SpiffeId;
use bartizan_mtls::{AllowedPeers, MaterialFiles, MtlsConnector, MtlsListener};
use bartizan_source::HttpsFetcher;

/// Where a witness listens, and what it signs with.
#[derive(Clone)]
pub(crate) struct Neighbour {
    pub(crate) key: CosignerKey,
    address: SocketAddr,
}

impl Neighbour {
    /// Starts a witness to which customers alone may speak of its log.
    pub(super) async fn start(folder: &Path, log: &Path) -> anyhow::Result<Self> {
        let state = folder.join("witness");
        let _ = std::fs::remove_dir_all(&state);
        let first = std::fs::read_to_string(log.join("log.vkey"))?;
        let first = VerifierKey::parse(first.trim_end())?;
        let key = WitnessKey::generate("witness.example/cosigner")?;
        let public = key.public().clone();
        let customers: SpiffeId = "spiffe://example.org/customers".parse()?;
        let witness = Witness::builder(state, key)
            .add_log(first, [customers])
            .open()?;
        let listener = MtlsListener::builder(material(folder, "witness")?.published());
        let listener = listener.bind("127.0.0.1:0").await?;
        let address = listener.local_addr();
        let served = bartizan_mtls::serve(listener, WitnessService::new(witness));
        tokio::spawn(served.into_future());
        Ok(Self {
            key: public,
            address,
        })
    }

    /// The way to it, for whoever has this certificate in the folder.
    pub(crate) fn client(&self, folder: &Path, who: &str) -> anyhow::Result<WitnessClient> {
        let witness = AllowedPeers::id("spiffe://example.org/witness".parse()?);
        let connector = MtlsConnector::builder(material(folder, who)?.published(), witness);
        let fetcher = HttpsFetcher::builder().with_tls_config(connector.build_client_config()?);
        let url = format!("https://{}/witness", self.address);
        let client = WitnessClient::https(self.key.clone(), &url, fetcher.build()?);
        client.context("no way to the witness")
    }
}

/// The identity of one of us, whose trust is the demo's own authority.
fn material(
    folder: &Path,
    who: &str,
) -> anyhow::Result<bartizan_source::FileSource<bartizan_mtls::Material>> {
    let file = |name: String| folder.join(name);
    let files = MaterialFiles::new(file(format!("{who}.pem")), file(format!("{who}-key.pem")));
    Ok(files
        .with_bundle("example.org".parse()?, folder.join("ca.pem"))
        .load()?)
}
