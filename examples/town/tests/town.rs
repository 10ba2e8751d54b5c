//! What is written serves a service, and its callers.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should panic"
)]

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bartizan_jwt::{JwtConfig, JwtLayer, Roots, Rules};
use bartizan_mtls::MaterialFiles;
use http::{Request, Response, StatusCode};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

/// The program, stopped when the test ends.
struct Town(Child);

impl Drop for Town {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it on a port that is free; its issuer.
fn start(folder: &Path) -> (Town, String) {
    let town = Command::new(env!("CARGO_BIN_EXE_town"))
        .args([folder.as_os_str(), "0".as_ref()])
        .stdout(Stdio::piped())
        .spawn();
    let mut town = Town(town.unwrap());
    let lines = BufReader::new(town.0.stdout.take().unwrap()).lines();
    let issuer = lines.map_while(Result::ok).find_map(|line| {
        let issuer = line.strip_prefix("the issuer is ")?;
        Some(issuer.strip_suffix(", until Ctrl-C")?.to_owned())
    });
    (town, issuer.unwrap())
}

/// What a service for `audience` answers to the token of this file.
async fn answer(folder: &Path, issuer: &str, audience: &str, token: &str) -> StatusCode {
    let rules = Rules::builder(issuer, audience).build().unwrap();
    let roots = Roots::from_pem(&fs::read(folder.join("ca.pem")).unwrap()).unwrap();
    let config = JwtConfig::builder(rules).with_roots(roots).build().unwrap();
    let service = ServiceBuilder::new()
        .layer(JwtLayer::load(config).await.unwrap())
        .service(service_fn(async |_: Request<String>| {
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    let token = fs::read_to_string(folder.join(token)).unwrap();
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let request = request.body(String::new()).unwrap();
    service.oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn what_is_written_serves_a_service_and_its_callers() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("town");
    let (_town, issuer) = start(&folder);
    for name in [
        "gateway", "invoices", "orders", "payments", "registry", "reports", "web",
    ] {
        let file = |end: &str| folder.join(format!("{name}{end}.pem"));
        let files = MaterialFiles::new(file(""), file("-key"));
        let files = files.with_bundle("example.org".parse().unwrap(), folder.join("ca.pem"));
        let material = files.load();
        assert!(material.is_ok(), "{name}: {material:?}");
    }
    for (audience, token, expected) in [
        ("orders", "alice.jwt", StatusCode::OK),
        ("payments", "alice.jwt", StatusCode::OK),
        ("invoices", "reader.jwt", StatusCode::OK),
        ("invoices", "alice.jwt", StatusCode::UNAUTHORIZED),
        ("orders", "reader.jwt", StatusCode::UNAUTHORIZED),
        ("orders", "wrong-audience.jwt", StatusCode::UNAUTHORIZED),
    ] {
        let got = answer(&folder, &issuer, audience, token).await;
        assert_eq!(got, expected, "{audience} {token}");
    }
}

#[test]
fn whoever_names_no_folder_is_told_how() {
    let ended = Command::new(env!("CARGO_BIN_EXE_town")).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        !ended.status.success() && said.contains("usage: town FOLDER"),
        "{said}"
    );
}
