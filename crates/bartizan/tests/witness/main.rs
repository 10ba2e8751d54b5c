//! Two services that witness each other's ledgers over their own mutual TLS, on real sockets.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan::audit::{
    AddCheckpoint, CosignerKey, FindingKind, Ledger, Prover, SubmitErrorKind, Verdict, Verifier,
    VerifierKey, Witness, WitnessClient, WitnessKey, WitnessService, Witnessing,
};
use bartizan::core::SpiffeId;
use bartizan::mtls::{
    AllowedPeers, Identity, Material, MtlsConnector, MtlsListener, Roots, Trust, TrustBundles,
    serve,
};
use bartizan::source::{FetchRequest, HttpsFetcher, Published, SecretBytes};
use bartizan_testkit::DevelopmentCa;
use http::HeaderValue;
use tokio::sync::oneshot;

/// A service of this test: who it is, its ledger, and its witness.
struct Place {
    name: &'static str,
    folder: PathBuf,
    material: Published<Material>,
}

struct Running {
    ledger: Ledger,
    address: SocketAddr,
    key: CosignerKey,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

fn id(name: &str) -> SpiffeId {
    format!("spiffe://example.org/{name}").parse().unwrap()
}

impl Place {
    fn new(ca: &DevelopmentCa, name: &'static str) -> Self {
        let folder = format!("bartizan-witnessed-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        let issued = ca.workload(&format!("/{name}")).unwrap();
        let identity = Identity::from_der(issued.chain_der(), issued.key().to_rustls()).unwrap();
        let roots = Roots::from_der([ca.root_der()]).unwrap();
        let bundles = TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots);
        let material = Published::fixed(Material::new(identity, Trust::spiffe(bundles)));
        Self {
            name,
            folder,
            material,
        }
    }

    fn ledger_folder(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    fn open(&self) -> Ledger {
        let origin = format!("{}.example/audit", self.name);
        let builder = Ledger::builder(self.ledger_folder(), &origin);
        // Keys change while the ledger is witnessed.
        let builder = builder.with_epoch(3, Duration::from_secs(3600));
        let builder = builder
            .with_segment_bytes(128 * 1024)
            .with_spare_segments(0);
        builder
            .with_heartbeat(Duration::from_millis(20))
            .open()
            .unwrap()
    }

    /// Serves a witness of the other's log.
    async fn serve(&self, ledger: Ledger, other: &Self) -> Running {
        let key = WitnessKey::generate(&format!("{}.example/witness", self.name)).unwrap();
        let public = key.public().clone();
        let builder = Witness::builder(self.folder.join("witness"), key);
        let witness = builder.add_log(first_key(&other.ledger_folder()), [id(other.name)]);
        let witness = witness.open().unwrap();
        let listener = MtlsListener::builder(self.material.clone());
        let listener = listener.bind("127.0.0.1:0").await.unwrap();
        let (address, (stop, stopped)) = (listener.local_addr(), oneshot::channel());
        let served = tokio::spawn(async move {
            let server = serve(listener, WitnessService::new(witness));
            let stopped = async {
                let _ = stopped.await;
            };
            server.with_shutdown(stopped).await.unwrap();
        });
        Running {
            ledger,
            address,
            key: public,
            stop,
            served,
        }
    }

    /// What this service asks others with.
    fn fetcher(&self, server: &str) -> HttpsFetcher {
        let servers = AllowedPeers::id(id(server));
        let connector = MtlsConnector::builder(self.material.clone(), servers);
        let tls = connector.build_client_config().unwrap();
        HttpsFetcher::builder()
            .with_tls_config(tls)
            .build()
            .unwrap()
    }

    fn client(&self, other: &Self, running: &Running) -> WitnessClient {
        let url = format!("https://{}/witness", running.address);
        WitnessClient::https(running.key.clone(), &url, self.fetcher(other.name)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn first_key(ledger: &Path) -> VerifierKey {
    let text = std::fs::read_to_string(ledger.join("log.vkey")).unwrap();
    VerifierKey::parse(text.trim_end()).unwrap()
}

fn witnessing(client: WitnessClient, running: &Running) -> Witnessing {
    let builder = Witnessing::builder(&running.ledger).add_witness(client);
    builder
        .with_interval(Duration::from_millis(10))
        .start()
        .unwrap()
}

/// Ends a run, and has its end witnessed.
async fn end(running: &Running, witnessing: &Witnessing) -> u64 {
    let report = running.ledger.shutdown(Duration::from_secs(10)).await;
    assert!(report.complete);
    let status = witnessing.submit().await;
    let of_first = status.first().map(|it| (it.size, it.failure));
    assert_eq!(of_first, Some((report.entries, None)), "{status:?}");
    report.entries
}

#[tokio::test]
async fn two_services_witness_each_other_over_mutual_tls() {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let (orders, payments) = (Place::new(&ca, "orders"), Place::new(&ca, "payments"));
    let ledgers = (orders.open(), payments.open());
    let one = orders.serve(ledgers.0, &payments).await;
    let two = payments.serve(ledgers.1, &orders).await;
    let first = witnessing(orders.client(&payments, &two), &one);
    let second = witnessing(payments.client(&orders, &one), &two);
    // Heartbeats make the ledgers grow, through some epochs.
    for witnessing in [&first, &second] {
        while witnessing.status()[0].size < 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(witnessing.status()[0].failure, None);
        }
    }
    let entries = [end(&one, &first).await, end(&two, &second).await];
    for (place, witness, entries) in [(&orders, &two, entries[0]), (&payments, &one, entries[1])] {
        let verifier = Verifier::new().add_witness(witness.key.clone());
        let verifier = verifier.with_key(first_key(&place.ledger_folder()));
        let verification = verifier.run(&place.ledger_folder()).unwrap();
        assert_eq!(
            verification.verdict(),
            Verdict::Intact,
            "{:?}",
            verification.findings
        );
        assert_eq!(verification.witnessed.unwrap().size, entries);
        assert!(verification.epoch >= 3, "{}", verification.epoch);
    }

    // Whoever has the host of orders cuts its ledger: back to nothing, and begun anew with the
    // same name; or with the old files from before the last entries.
    let word = std::fs::read_to_string(orders.ledger_folder().join("checkpoint.cosigned")).unwrap();
    drop((first, one.ledger));
    std::fs::remove_dir_all(orders.ledger_folder()).unwrap();
    let anew = orders.open();
    anew.shutdown(Duration::from_secs(10)).await;
    let refused = orders
        .client(&payments, &two)
        .submit(orders.ledger_folder())
        .await;
    let kind = refused.unwrap_err().kind();
    assert!(
        matches!(kind, SubmitErrorKind::Refused | SubmitErrorKind::Cut),
        "{kind:?}"
    );
    let verifier = Verifier::new()
        .add_witness(two.key.clone())
        .add_cosigned(&word);
    let verification = verifier.run(&orders.ledger_folder()).unwrap();
    assert_eq!(verification.verdict(), Verdict::Tampered);
    let cut = FindingKind::Truncated {
        committed: entries[0],
    };
    assert!(verification.findings.iter().any(|it| it.kind == cut));

    one.stop.send(()).unwrap();
    two.stop.send(()).unwrap();
    one.served.await.unwrap();
    two.served.await.unwrap();
}

#[tokio::test]
async fn a_neighbour_may_speak_of_its_own_log_alone() {
    let ca = DevelopmentCa::new("example.org").unwrap();
    let (shop, bank) = (Place::new(&ca, "shop"), Place::new(&ca, "bank"));
    let thief = Place::new(&ca, "thief");
    let ledger = shop.open();
    let running = bank.serve(bank.open(), &shop).await;
    ledger.shutdown(Duration::from_secs(10)).await;
    let prover = Prover::load(shop.ledger_folder()).unwrap();
    let genuine = AddCheckpoint::new(0, Vec::new(), &prover.checkpoint().unwrap()).to_string();
    let ask = async |who: &Place, body: String| {
        let fetcher = who.fetcher("bank");
        let url = format!("https://{}/witness/add-checkpoint", running.address);
        let text = HeaderValue::from_static("text/plain");
        let body = SecretBytes::new(body.into_bytes());
        let request = FetchRequest::post(&url, text, body).allow_any_status();
        fetcher
            .fetch(request)
            .await
            .map(|answer| answer.status().as_u16())
    };
    // A neighbour that has the genuine checkpoint, and may not speak of that log.
    assert_eq!(ask(&thief, genuine.clone()).await.unwrap(), 403);
    // Of somebody's log that the witness does not know; more than it reads; nothing at all.
    let unknown = genuine.replace("shop.example", "thief.example");
    assert_eq!(ask(&shop, unknown).await.unwrap(), 404);
    assert_eq!(ask(&shop, "x".repeat(100_000)).await.unwrap(), 413);
    assert_eq!(ask(&shop, String::new()).await.unwrap(), 400);
    // Of another trust domain: no request at all.
    let foreign = Place::new(&DevelopmentCa::new("example.org").unwrap(), "forged");
    assert!(ask(&foreign, genuine).await.is_err());
    // And the control: the log's own service.
    let cosigned = shop
        .client(&bank, &running)
        .submit(shop.ledger_folder())
        .await;
    assert_eq!(cosigned.unwrap().size, prover.size());
    running.stop.send(()).unwrap();
    running.served.await.unwrap();
}
