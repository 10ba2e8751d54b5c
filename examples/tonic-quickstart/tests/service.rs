//! The service as it is started from a shell, with real clients.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should panic"
)]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use bartizan_attack::{Authority, Remote, Signer, Target, run_at};
use bartizan_testkit::{DevelopmentCa, SigningAlgorithm, TokenBuilder, TokenIssuer};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_quickstart::connect;
use tonic_quickstart::proto::stock_client::StockClient;
use tonic_quickstart::proto::{LevelRequest, TakeRequest};
use tonic_types::StatusExt as _;

/// The running service with its certificates and issuer, stopped when the test ends.
struct Town {
    ca: DevelopmentCa,
    folder: PathBuf,
    issuer: TokenIssuer,
    address: String,
    process: Child,
}

impl Town {
    async fn new(name: &str) -> Self {
        let ca = DevelopmentCa::new("example.org").unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        ca.write_pem(&folder, "ca").unwrap();
        for (path, name) in [("/orders", "tls"), ("/web", "web"), ("/reports", "reports")] {
            ca.workload(path).unwrap().write_pem(&folder, name).unwrap();
        }
        let stranger = DevelopmentCa::new("example.org").unwrap();
        let stranger = stranger.workload("/web").unwrap();
        stranger.write_pem(&folder, "stranger").unwrap();
        let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256).await;
        let issuer = issuer.unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tonic-quickstart"))
            .current_dir(&folder)
            .env("LISTEN", "127.0.0.1:0")
            .env("ISSUER", issuer.issuer())
            .env("ISSUER_CA", "ca.pem")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self {
            ca,
            folder,
            issuer,
            address,
            process,
        }
    }

    fn token(&self) -> TokenBuilder {
        let token = self.issuer.token().subject("alice").audience("orders");
        token.scope("orders:read orders:write")
    }

    async fn channel(
        &self,
        name: &str,
        server: &str,
    ) -> Result<Channel, Box<dyn std::error::Error>> {
        connect(&self.folder, name, &self.address, server.parse()?).await
    }

    async fn stock(&self, name: &str) -> StockClient<Channel> {
        let channel = self.channel(name, STOCK).await;
        StockClient::new(channel.unwrap())
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const STOCK: &str = "spiffe://example.org/orders";

fn with_token<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

fn lamp() -> LevelRequest {
    LevelRequest {
        article: "lamp".to_owned(),
    }
}

/// The stable code of a refusal.
fn code(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{status:?}"));
    info.metadata["code"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handler_knows_who_asks_and_for_whom() {
    let town = Town::new("known").await;
    let token = town.token().sign().unwrap();
    let mut stock = town.stock("web").await;
    let level = stock.level(with_token(lamp(), Some(&token))).await.unwrap();
    let level = level.into_inner();
    assert_eq!(level.left, 10);
    assert_eq!(level.asked_by, "spiffe://example.org/web for alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_changes() {
    let town = Town::new("stream").await;
    let token = town.token().sign().unwrap();
    let mut stock = town.stock("web").await;
    let levels = stock.watch(with_token(lamp(), Some(&token))).await.unwrap();
    let mut levels = levels.into_inner();
    assert_eq!(levels.message().await.unwrap().unwrap().left, 10);
    let take = TakeRequest {
        article: "lamp".to_owned(),
        count: 3,
    };
    stock.take(with_token(take, Some(&token))).await.unwrap();
    assert_eq!(levels.message().await.unwrap().unwrap().left, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_token_that_it_rests_on() {
    let town = Town::new("expiry").await;
    let span = std::time::Duration::from_secs(1);
    // Thirty seconds of leeway count on top, so that it is nearly used up already.
    let token = town.token().expired_since(span * 24).sign().unwrap();
    let mut stock = town.stock("web").await;
    let levels = stock.watch(with_token(lamp(), Some(&token))).await.unwrap();
    let mut levels = levels.into_inner();
    assert_eq!(levels.message().await.unwrap().unwrap().left, 10);
    let end = levels.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unauthenticated, "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_call_is_refused_with_a_status_that_says_why() {
    let town = Town::new("refused").await;
    let good = town.token().sign().unwrap();
    let reader = town.token().scope("orders:read").sign().unwrap();
    let foreign = town.token().audience("other").sign().unwrap();
    for (name, token, expected, why) in [
        ("web", None, Code::Unauthenticated, "jwt.missing"),
        (
            "web",
            Some(&foreign),
            Code::Unauthenticated,
            "jwt.wrong_audience",
        ),
        ("web", Some(&reader), Code::PermissionDenied, "authz.denied"),
        (
            "reports",
            Some(&good),
            Code::PermissionDenied,
            "authz.denied",
        ),
    ] {
        let take = TakeRequest {
            article: "lamp".to_owned(),
            count: 1,
        };
        let take = with_token(take, token.map(String::as_str));
        let refused = town.stock(name).await.take(take).await.unwrap_err();
        assert_eq!(refused.code(), expected, "{name} {refused:?}");
        assert_eq!(code(&refused), why, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_prove_anything_is_not_connected_at_all() {
    let town = Town::new("unknown").await;
    let token = town.token().sign().unwrap();
    // The certificate of another authority: the handshake ends, which a client learns late.
    if let Ok(channel) = town.channel("stranger", STOCK).await {
        let request = with_token(lamp(), Some(&token));
        assert!(StockClient::new(channel).level(request).await.is_err());
    }
    // And the client does not talk to a server that is not the one it means.
    let wrong = town.channel("web", "spiffe://example.org/other").await;
    assert!(wrong.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prober_needs_a_certificate_and_no_token() {
    let town = Town::new("health").await;
    let channel = town.channel("reports", STOCK).await.unwrap();
    let request = HealthCheckRequest::default();
    let health = HealthClient::new(channel).check(request).await.unwrap();
    assert_eq!(health.into_inner().status, 1, "SERVING");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_gets_in() {
    let town = Town::new("attacked").await;
    let token = town.issuer.token().audience("orders").scope("orders:read");
    let (header, claims) = (token.headers().clone(), token.claims().clone());
    let key = town.issuer.signing_key();
    let sign = move |input: &[u8]| key.sign(input).unwrap();
    // The message says `article: "lamp"`.
    let target = Target::grpc("/shop.stock.v1.Stock/Level", b"\x0a\x04lamp")
        .with_signer(Signer::new(header.into(), claims.into(), sign))
        .with_key_set(town.issuer.jwks())
        .with_forbidden("POST", "/shop.stock.v1.Stock/Take")
        .allow(
            "order.unknown-path-told-apart",
            "each service has layers of its own, and which services there are is no secret",
        );
    let (ca, web) = (town.ca.certificate_pem(), town.ca.workload("/web").unwrap());
    let authority = Authority::from_pem(&ca, &town.ca.key().pem()).unwrap();
    let remote = Remote::new(&format!("https://{}", town.address)).unwrap();
    let remote = remote.with_certificate(&web.chain_pem(), &web.key_pem());
    let remote = remote.unwrap().with_roots(&ca).unwrap();
    let run = run_at(remote.with_authority(authority)).with_target(target);
    run.await.assert_none_got_in();
}
