//! Two services that witness each other's logs, each from its file alone.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bartizan::audit::{Ledger, Verdict, Verifier, VerifierKey, WitnessKey};
use bartizan::config::{Config, Configured};
use bartizan_testkit::Host;
use tokio::sync::oneshot;

use crate::sample::Folder;
use crate::service::{WEB, built, call, say};

/// One of the two: its name is that of its identity.
struct Town {
    name: &'static str,
    address: SocketAddr,
    key: String,
}

impl Town {
    fn new(folder: &Folder, name: &'static str) -> Self {
        let key = WitnessKey::generate(&format!("{name}.example/witness")).unwrap();
        let path = folder.path().join(format!("{name}-witness.key"));
        key.save_new(path).unwrap();
        // The first key of a log is known once there is one.
        let ledger = Ledger::builder(folder.path().join(name), &format!("{name}.example/audit"));
        let ledger = ledger.with_segment_bytes(128 * 1024).with_spare_segments(0);
        drop(ledger.open().unwrap());
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            name,
            address: free.local_addr().unwrap(),
            key: key.public().to_string(),
        }
    }

    fn text(&self, other: &Self) -> String {
        let (name, its) = (self.name, other.name);
        let (address, elsewhere, key) = (self.address, other.address, &other.key);
        format!(
            r#"
            [listener]
            address = "{address}"
            chain = "{name}.pem"
            key = "{name}-key.pem"
            trust = [{{ domain = "example.org", bundle = "ca.pem" }}]

            [peers]
            trust_domains = ["example.org"]

            [[tokens.issuer]]
            issuer = "https://issuer.example"
            audiences = ["{name}"]
            key_file = "keys.json"

            [audit]
            folder = "{name}"
            origin = "{name}.example/audit"
            segment = "128KiB"
            spare_segments = 0
            heartbeat = "20ms"
            epoch_entries = 5

            [audit.witnesses]
            interval = "10ms"
            witness = [{{ key = "{key}", url = "https://{elsewhere}/witness", peers = ["spiffe://example.org/{its}"] }}]

            [witness]
            folder = "{name}-witness"
            key_file = "{name}-witness.key"
            log = [{{ key_file = "{its}/log.vkey", peers = ["spiffe://example.org/{its}"] }}]
            "#
        )
    }

    async fn serve(&self, folder: &Folder, other: &Self) -> Running {
        let file = folder.write(&format!("{}.toml", self.name), &self.text(other));
        let config = Config::load(file).unwrap();
        config.check_files().unwrap();
        let configured = config.build().await.unwrap();
        let listening = configured.listen().await.unwrap();
        let app = axum::Router::new().layer(configured.layer());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = configured.clone();
        let served = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            serving.serve_on(listening, app, stopped).await.unwrap();
        });
        Running {
            configured,
            stop,
            served,
        }
    }
}

struct Running {
    configured: Configured,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

#[tokio::test]
async fn two_files_make_two_services_that_witness_each_other() {
    let folder = Folder::new();
    let (orders, web) = (Town::new(&folder, "orders"), Town::new(&folder, "web"));
    let one = orders.serve(&folder, &web).await;
    let two = web.serve(&folder, &orders).await;
    for running in [&one, &two] {
        let witnessing = running.configured.witnessing().unwrap();
        let mut looks = 0;
        while witnessing.status()[0].size < 20 {
            looks += 1;
            assert!(looks < 6000, "{:?}", witnessing.status());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(one.configured.witness().is_some());

    // Whoever else comes meets the tokens, and the witness's own list of peers.
    let answer = async |request: &str, body: &str| {
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n");
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        say(&folder, orders.address, &request).await
    };
    for (request, body, status, part) in [
        (
            "POST /witness/add-checkpoint",
            "",
            "400",
            "audit.witness_request",
        ),
        ("GET /witness/add-checkpoint", "", "401", "jwt.missing"),
        ("POST /witness/add-checkpoint/", "", "401", "jwt.missing"),
        ("POST /witness", "", "401", "jwt.missing"),
        ("POST /witness/other", "", "401", "jwt.missing"),
        ("POST /Witness/add-checkpoint", "", "401", "jwt.missing"),
        ("POST /witness/%61dd-checkpoint", "", "401", "jwt.missing"),
        ("POST /", "", "401", "jwt.missing"),
    ] {
        let answer = answer(request, body).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(&expected) && answer.contains(part),
            "{request} {answer}"
        );
    }

    one.stop.send(()).unwrap();
    one.served.await.unwrap();
    let key = std::fs::read_to_string(folder.path().join("orders/log.vkey")).unwrap();
    let verifier = Verifier::new().with_key(VerifierKey::parse(key.trim_end()).unwrap());
    let verifier = verifier.add_witness(web.key.parse_key());
    let verification = verifier.run(&folder.path().join("orders")).unwrap();
    assert_eq!(
        verification.verdict(),
        Verdict::Intact,
        "{:?}",
        verification.findings
    );
    let seen = verification.witnessed.unwrap().size;
    assert_eq!(seen, one.configured.witnessing().unwrap().status()[0].size);
    assert!(seen > 20, "its end was witnessed as well: {seen}");
    two.stop.send(()).unwrap();
    two.served.await.unwrap();
}

trait ParseKey {
    fn parse_key(&self) -> bartizan::audit::CosignerKey;
}

impl ParseKey for String {
    fn parse_key(&self) -> bartizan::audit::CosignerKey {
        bartizan::audit::CosignerKey::parse(self).unwrap()
    }
}

#[tokio::test]
async fn limits_by_template_know_its_calls_though_nobody_lists_them() {
    let folder = Folder::new();
    drop(Town::new(&folder, "orders"));
    let text = "[entrance]\nroutes = ['/orders']\n[peers]\nallow = ['spiffe://example.org/web']\n\
                [peer_limit]\nby = 'template'\npolicy = [{ name = 'few', rate = '1000/h' }]\n\
                [witness]\nfolder = 'w'\nkey_file = 'orders-witness.key'\n\
                log = [{ key_file = 'orders/log.vkey', allow_anybody = true }]\n";
    let configured = built(&folder, text).await;
    for (path, expected) in [
        ("/witness/add-checkpoint", "audit.witness_request"),
        ("/witness/add-key", "audit.witness_request"),
        ("/witness/other", "ratelimit.no_key"),
    ] {
        let call = call("192.0.2.1", Some(WEB), None).with_http_path(path);
        let answer = Host::Hyper.send(&configured.layer(), &call).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn what_is_wrong_with_witnesses_is_told_with_its_line() {
    let folder = Folder::new();
    let town = Town::new(&folder, "orders");
    let key = &town.key;
    let audit = "[audit]\nfolder = 'a'\norigin = 'a.example'\n";
    let one = |entry: &str| format!("{audit}[audit.witnesses]\nwitness = [{{ {entry} }}]");
    let url = "url = 'https://b.example/witness'";
    let log = |log: &str| {
        format!("[witness]\nfolder = 'w'\nkey_file = 'orders-witness.key'\nlog = [{{ {log} }}]")
    };
    for (text, expected) in [
        (
            format!("{audit}[audit.witnesses]"),
            "line 4, column 1: audit.witnesses: takes one [[",
        ),
        (
            one(&format!("key = 'x', {url}, roots = 'ca.pem'")),
            "line 5, column 12: audit.witnesses.witness.key: ",
        ),
        (
            one(&format!("key = '{key}', {url}")),
            "line 5, column 12: audit.witnesses.witness: takes one of `peers` and `roots`",
        ),
        (
            one(&format!(
                "key = '{key}', {url}, peers = ['spiffe://example.org/b']"
            )),
            "line 5, column 12: audit.witnesses.witness: `peers` take [listener]",
        ),
        (
            format!(
                "{}\nquorum = 2",
                one(&format!("key = '{key}', {url}, roots = 'ca.pem'"))
            ),
            "line 4, column 1: audit.witnesses: `quorum` is more than there are witnesses",
        ),
        (
            log("key = 'x', peers = ['spiffe://a/b']"),
            "line 4, column 8: witness.log: ",
        ),
        (
            log("key_file = 'orders/log.vkey'"),
            "line 4, column 8: witness.log: takes one of `peers`",
        ),
        (
            log("key_file = 'orders/log.vkey', allow_anybody = true, key = 'x'"),
            "line 4, column 8: witness.log: takes one of `key` and `key_file`",
        ),
        (
            format!(
                "{}\npath = '/a//b'",
                log("key_file = 'x', allow_anybody = true")
            ),
            "line 1, column 1: witness.path: ",
        ),
    ] {
        let error = Config::from_toml(&text, folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{text}\n{error}");
    }
    let good = log("key_file = 'orders/log.vkey', allow_anybody = true");
    Config::from_toml(&good, folder.path())
        .unwrap()
        .check_files()
        .unwrap();
    let absent = log("key_file = 'nowhere.vkey', allow_anybody = true");
    let config = Config::from_toml(&absent, folder.path()).unwrap();
    assert!(config.check_files().is_err());
}
