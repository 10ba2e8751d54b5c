//! The service as it is started from a shell, with real clients.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should panic"
)]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use bartizan_attack::{Authority, Remote, Signer, Target, run_at};
use bartizan_testkit::tls::dangerous_client_config;
use bartizan_testkit::{
    DevelopmentCa, IssuedCertificate, SigningAlgorithm, TokenBuilder, TokenIssuer,
};
use reqwest::{Client, StatusCode};

/// A folder with certificates, and an issuer.
struct Town {
    ca: DevelopmentCa,
    issuer: TokenIssuer,
    folder: PathBuf,
}

impl Town {
    async fn new(name: &str) -> Self {
        let ca = DevelopmentCa::new("example.org").unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        ca.write_pem(&folder, "ca").unwrap();
        let orders = ca.workload("/orders").unwrap();
        orders.write_pem(&folder, "tls").unwrap();
        let issuer = TokenIssuer::start(&ca, SigningAlgorithm::Es256).await;
        let issuer = issuer.unwrap();
        Self { ca, issuer, folder }
    }

    fn start(&self, tls: bool) -> Service {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axum-quickstart"));
        command
            .env("LISTEN", "127.0.0.1:0")
            .env("ISSUER", self.issuer.issuer())
            .env("ISSUER_CA", self.folder.join("ca.pem"))
            .env_remove("MTLS")
            .current_dir(&self.folder)
            .stderr(Stdio::piped());
        if tls {
            command.env("MTLS", "1");
        }
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        let scheme = if tls { "https" } else { "http" };
        let origin = format!("{scheme}://{address}");
        Service { process, origin }
    }

    fn token(&self) -> TokenBuilder {
        self.issuer.token().subject("alice").audience("orders")
    }

    fn client(&self, certificate: Option<&IssuedCertificate>) -> Client {
        let tls = dangerous_client_config(&self.ca, certificate).unwrap();
        let client = Client::builder().tls_backend_preconfigured(tls);
        client.no_proxy().build().unwrap()
    }
}

/// The running service, stopped when the test ends.
struct Service {
    process: Child,
    origin: String,
}

impl Service {
    async fn ask(
        &self,
        client: &Client,
        method: &str,
        path: &str,
        token: Option<&str>,
    ) -> reqwest::Result<(StatusCode, String)> {
        let url = format!("{}{path}", self.origin);
        let mut request = client.request(method.parse().unwrap(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        Ok((answer.status(), answer.text().await?))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_token_gets_what_its_scopes_allow() {
    let town = Town::new("plain").await;
    let service = town.start(false);
    let client = town.client(None);
    let good = town.token().scope("orders:read").sign().unwrap();
    let writer = town
        .token()
        .scope("orders:read orders:write")
        .sign()
        .unwrap();
    let poor = town.token().scope("other").sign().unwrap();
    let foreign = town.token().audience("other").sign().unwrap();
    for (method, path, token, status, says) in [
        ("GET", "/whoami", Some(&good), 200, "alice, by somebody"),
        ("GET", "/whoami", None, 401, "jwt.missing"),
        ("GET", "/whoami", Some(&foreign), 401, "jwt.wrong_audience"),
        ("GET", "/orders", Some(&good), 200, "lamp"),
        ("GET", "/orders", Some(&poor), 403, "authz.denied"),
        (
            "GET",
            "/orders%2fother",
            Some(&good),
            400,
            "authz.ambiguous_path",
        ),
        ("POST", "/orders", Some(&writer), 200, "taken"),
        (
            "POST",
            "/orders",
            Some(&good),
            403,
            "authz.insufficient_scope",
        ),
        ("GET", "/secrets", None, 401, "jwt.missing"),
        ("GET", "/secrets", Some(&good), 404, ""),
        ("GET", "/healthz", None, 200, "alive"),
    ] {
        let token = token.map(String::as_str);
        let (answer, text) = service.ask(&client, method, path, token).await.unwrap();
        assert_eq!(answer, status, "{method} {path}: {text}");
        assert!(text.contains(says), "{method} {path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_too_often_is_told_to_wait() {
    let town = Town::new("often").await;
    let service = town.start(false);
    let client = town.client(None);
    // Fifty at once, and ten more in the second after.
    for _ in 0..500 {
        let (status, text) = service.ask(&client, "GET", "/orders", None).await.unwrap();
        if status == StatusCode::TOO_MANY_REQUESTS {
            assert!(text.contains("ratelimit.exceeded"), "{text}");
            // A prober is asked for nothing, and refused nothing.
            let (status, _) = service.ask(&client, "GET", "/healthz", None).await.unwrap();
            assert_eq!(status, StatusCode::OK);
            return;
        }
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
    }
    panic!("500 requests, and none too many");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_mutual_tls_the_workload_counts_as_well() {
    let town = Town::new("tls").await;
    let service = town.start(true);
    let token = town.token().scope("orders:read").sign().unwrap();
    let web = town.client(Some(&town.ca.workload("/web").unwrap()));
    let reports = town.client(Some(&town.ca.workload("/reports").unwrap()));
    let nobody = town.client(None);

    let ask = async |client, token| service.ask(client, "GET", "/whoami", token).await;
    let (status, text) = ask(&web, Some(token.as_str())).await.unwrap();
    assert_eq!(
        (status.as_u16(), text.as_str()),
        (200, "alice, by spiffe://example.org/web\n")
    );
    let (status, text) = ask(&web, None).await.unwrap();
    assert_eq!(status, 401, "{text}");
    let (status, text) = ask(&reports, Some(token.as_str())).await.unwrap();
    assert_eq!(status, 403);
    assert!(text.contains("mtls.peer_not_allowed"), "{text}");
    // Without a certificate there is no answer at all.
    assert!(ask(&nobody, Some(token.as_str())).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_gets_in() {
    let town = Town::new("attacked").await;
    let service = town.start(true);
    let (token, key) = (town.token().scope("orders:read"), town.issuer.signing_key());
    let (header, claims) = (token.headers().clone(), token.claims().clone());
    let sign = move |input: &[u8]| key.sign(input).unwrap();
    let target = Target::get("/whoami")
        .with_signer(Signer::new(header.into(), claims.into(), sign))
        .with_key_set(town.issuer.jwks())
        .with_open_path("/healthz")
        .with_forbidden("POST", "/orders");
    let (ca, web) = (town.ca.certificate_pem(), town.ca.workload("/web").unwrap());
    let authority = Authority::from_pem(&ca, &town.ca.key().pem()).unwrap();
    let remote = Remote::new(&service.origin).unwrap();
    let remote = remote.with_certificate(&web.chain_pem(), &web.key_pem());
    let remote = remote.unwrap().with_roots(&ca).unwrap();
    let run = run_at(remote.with_authority(authority)).with_target(target);
    run.await.assert_none_got_in();
}

#[test]
fn the_readme_shows_this_very_file() {
    let (readme, main) = (include_str!("../README.md"), include_str!("../src/main.rs"));
    let shown = readme.split("```rust\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    assert_eq!(shown, main);
}

#[test]
fn whoever_forgets_the_issuer_is_told() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axum-quickstart"));
    let ended = command.env_remove("ISSUER").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        !ended.status.success() && said.contains("ISSUER is not set"),
        "{said}"
    );
}
