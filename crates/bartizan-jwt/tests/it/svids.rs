//! JWT-SVIDs: tokens by which workloads prove themselves.

use std::sync::Arc;

use bartizan_core::TrustDomain;
use bartizan_jwt::{ConfigError, JwtConfig, JwtConfigBuilder, JwtLayer, KeyProblem, KeySet, Rules};
use bartizan_testkit::{SigningAlgorithm, TokenBuilder};
use serde_json::{Value, json};

use crate::support::{Offline, outcome, passed, refused, send};

const API: &str = "spiffe://example.org/api";
const WEB: &str = "spiffe://example.org/web";

/// A trust domain whose keys say what they are for.
struct Domain(Offline);

impl Domain {
    fn new(algorithm: SigningAlgorithm) -> Self {
        Self(Offline::new(algorithm))
    }

    fn bundle(&self, purpose: Value) -> KeySet {
        let mut bundle = self.0.mint.jwks();
        for key in bundle.get_mut("keys").unwrap().as_array_mut().unwrap() {
            let members = key.as_object_mut().unwrap();
            members.insert("use".to_owned(), purpose.clone());
        }
        KeySet::from_spiffe_bundle(&bundle.to_string()).unwrap()
    }

    fn config(&self) -> JwtConfigBuilder {
        let domain: TrustDomain = "example.org".parse().unwrap();
        let rules = Rules::svid(&domain, API).build().unwrap();
        JwtConfig::builder(rules)
            .with_keys(self.bundle(json!("jwt-svid")))
            .with_clock(Arc::new(self.0.clock.clone()))
    }

    fn layer(&self) -> JwtLayer {
        JwtLayer::start(self.config().build().unwrap()).unwrap()
    }

    fn svid(&self) -> TokenBuilder {
        let token = self.0.mint.token().subject(WEB).audiences([API]);
        ["iss", "client_id", "jti", "iat"]
            .into_iter()
            .fold(token.header("typ", "JWT"), TokenBuilder::without_claim)
    }
}

#[tokio::test]
async fn a_workload_proves_itself_by_its_svid() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Es384] {
        let domain = Domain::new(algorithm);
        let answer = send(&domain.layer(), &domain.svid().sign().unwrap()).await;
        assert!(answer.is_success(), "{answer:?}");
        let principal = &answer.json()["context"]["principal"];
        assert_eq!(principal["issuer"], "spiffe://example.org");
        assert_eq!(principal["subject"], WEB);
    }
}

#[tokio::test]
async fn an_svid_that_breaks_a_rule_is_refused() {
    let domain = Domain::new(SigningAlgorithm::Es256);
    let layer = domain.layer();
    let svid = || domain.svid();
    for (token, code) in [
        (svid().without_claim("sub"), "jwt.invalid_claim"),
        (svid().subject("alice"), "jwt.invalid_claim"),
        (
            svid().subject("spiffe://example.org/a/../b"),
            "jwt.invalid_claim",
        ),
        (
            svid().subject("spiffe://evil.example/web"),
            "jwt.wrong_issuer",
        ),
        (
            svid().subject("spiffe://example.org.evil/web"),
            "jwt.wrong_issuer",
        ),
        (svid().without_claim("aud"), "jwt.invalid_claim"),
        (
            svid().audience("spiffe://example.org/other"),
            "jwt.wrong_audience",
        ),
        (svid().without_claim("exp"), "jwt.invalid_claim"),
        (svid().header("typ", "at+jwt"), "jwt.wrong_type"),
    ] {
        let token = token.sign().unwrap();
        assert_eq!(outcome(&layer, &token).await, refused(401, code));
    }
    for kind in ["JWT", "JOSE"] {
        let token = svid().header("typ", kind).sign().unwrap();
        assert_eq!(outcome(&layer, &token).await, passed());
    }
    let token = svid().without_header("typ").sign().unwrap();
    assert_eq!(outcome(&layer, &token).await, passed());
}

#[test]
fn keys_for_another_purpose_and_of_another_kind_verify_no_svid() {
    let domain = Domain::new(SigningAlgorithm::Es256);
    for purpose in [json!("x509-svid"), json!("sig"), json!("enc")] {
        let bundle = domain.bundle(purpose);
        assert!(bundle.is_empty());
        let problems: Vec<_> = bundle.notices().iter().map(|n| n.problem()).collect();
        assert_eq!(problems, [KeyProblem::WrongUse]);
    }
    // An ordinary set does not take keys of a bundle, either.
    let mut set = domain.0.mint.jwks();
    let keys = set.get_mut("keys").unwrap().as_array_mut().unwrap();
    let members = keys.first_mut().unwrap().as_object_mut().unwrap();
    members.insert("use".to_owned(), json!("jwt-svid"));
    assert!(KeySet::from_json(&set.to_string()).unwrap().is_empty());
    // Ed25519 is not an algorithm of JWT-SVIDs.
    let edwards = Domain::new(SigningAlgorithm::EdDsa).config().build();
    assert!(matches!(edwards, Err(ConfigError::NoUsableKey { .. })));
}

#[test]
fn a_bundle_is_given_or_located_since_it_cannot_be_discovered() {
    let domain: TrustDomain = "example.org".parse().unwrap();
    let config = || JwtConfig::builder(Rules::svid(&domain, API).build().unwrap());
    assert!(matches!(config().build(), Err(ConfigError::NoBundle(_))));
    let located = config().with_key_location("https://example.org/bundle");
    assert!(located.build().is_ok());
}

#[tokio::test]
async fn svids_and_tokens_of_an_issuer_pass_through_one_layer_each_by_its_own_keys() {
    let domain = Domain::new(SigningAlgorithm::Es256);
    let offline = Offline::new(SigningAlgorithm::Es256);
    let config = offline
        .config()
        .add_issuer(domain.config().build().unwrap());
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    let svid = domain.svid().sign().unwrap();
    assert_eq!(outcome(&layer, &svid).await, passed());
    let token = offline.token().sign().unwrap();
    assert_eq!(outcome(&layer, &token).await, passed());
    // What the issuer signs is no SVID.
    let key = offline.mint.signing_key();
    let forged = domain.svid().key(&key).sign().unwrap();
    assert_eq!(
        outcome(&layer, &forged).await,
        refused(401, "jwt.bad_signature")
    );
}
