//! Tokens that are bound to a key, and proofs of possession.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::Clock as _;
use bartizan_jwt::{
    Algorithm, Dpop, JwtErrorKind, JwtLayer, KeySet, MemoryReplayStore, ProofId, Replay,
    ReplayAnswer, ReplayStore, ResourceMetadata, RevocationList,
};
use bartizan_testkit::{Answer, Call, Host, SigningAlgorithm, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue, Method};
use ring::digest;
use serde_json::{Value, json};

use crate::support::{AUDIENCE, Offline};

/// A client with a key of its own, at a service that checks proofs.
struct Client {
    offline: Offline,
    key: SigningKey,
    dpop: bartizan_jwt::DpopBuilder,
}

impl Client {
    fn new() -> Self {
        Self {
            offline: Offline::new(SigningAlgorithm::Es256),
            key: SigningKey::generate(SigningAlgorithm::Es256, "client").unwrap(),
            dpop: Dpop::builder(AUDIENCE),
        }
    }

    fn layer(&self) -> JwtLayer {
        let dpop = self.dpop.clone().build().unwrap();
        let config = self.offline.config().with_dpop(dpop).build().unwrap();
        JwtLayer::start(config).unwrap()
    }

    fn token(&self) -> String {
        self.token_with(json!({}))
    }

    fn token_with(&self, claims: Value) -> String {
        let set = json!({ "keys": [self.key.bare_public_jwk()] }).to_string();
        let thumbprint = KeySet::from_json(&set)
            .unwrap()
            .keys()
            .first()
            .unwrap()
            .thumbprint();
        let mut token = self.offline.token();
        for (name, value) in claims.as_object().unwrap() {
            token = token.claim(name, value.clone());
        }
        let bound = token.claim("cnf", json!({ "jkt": thumbprint.to_string() }));
        bound.sign().unwrap()
    }

    fn proof(&self, token: &str, id: &str, changes: Value) -> String {
        self.proof_with(token, id, json!({}), changes)
    }

    fn proof_with(&self, token: &str, id: &str, header_changes: Value, changes: Value) -> String {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        let mut claims = json!({
            "jti": id, "htm": "GET", "htu": format!("{AUDIENCE}/echo"),
            "iat": self.offline.clock.wall().unix_seconds(),
            "ath": URL_SAFE_NO_PAD.encode(hash),
        });
        let members = claims.as_object_mut().unwrap();
        members.extend(changes.as_object().unwrap().clone());
        let mut header = json!({
            "typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.bare_public_jwk(),
        });
        let members = header.as_object_mut().unwrap();
        members.extend(header_changes.as_object().unwrap().clone());
        let proof = self.offline.mint.token().key(&self.key);
        let proof = proof.raw_header(header.to_string());
        proof.raw_payload(claims.to_string()).sign().unwrap()
    }
}

fn call(scheme: &str, token: &str, proofs: &[String]) -> Call {
    let field = HeaderValue::try_from(format!("{scheme} {token}")).unwrap();
    let mut call = Call::echo("")
        .with_http_method(Method::GET)
        .add_header(http::header::AUTHORIZATION, field);
    for proof in proofs {
        let proof = HeaderValue::try_from(proof).unwrap();
        call = call.add_header(HeaderName::from_static("dpop"), proof);
    }
    call
}

async fn send(layer: &JwtLayer, call: &Call) -> Answer {
    Host::Hyper.send(layer, call).await.unwrap()
}

fn result(answer: &Answer) -> (u16, Option<String>) {
    let status = answer.http_status.as_u16();
    (status, answer.code().filter(|_| status != 200))
}

fn refused(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

#[tokio::test]
async fn k13_a_bound_token_passes_with_a_fresh_proof_and_once() {
    let client = Client::new();
    let layer = client.layer();
    let token = client.token();
    let first = client.proof(&token, "p-1", json!({}));
    let answer = send(&layer, &call("DPoP", &token, std::slice::from_ref(&first))).await;
    assert_eq!(result(&answer), (200, None));
    assert_eq!(answer.json()["context"]["principal"]["subject"], "alice");
    // The token is remembered; the proof is looked at again all the same.
    assert_eq!(layer.guard().cached_tokens(), 1);
    let answer = send(&layer, &call("dpop", &token, &[first])).await;
    assert_eq!(result(&answer), refused(401, "jwt.proof_replayed"));
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("DPoP ") && challenge.contains("invalid_dpop_proof"));
    let second = client.proof(&token, "p-2", json!({}));
    let answer = send(&layer, &call("DPoP", &token, &[second])).await;
    assert_eq!(result(&answer), (200, None));
}

#[tokio::test]
async fn c17_a_bound_token_never_passes_as_bearer() {
    let client = Client::new();
    let token = client.token();
    let proof = client.proof(&token, "p-1", json!({}));
    for proofs in [vec![], vec![proof]] {
        let answer = send(&client.layer(), &call("Bearer", &token, &proofs)).await;
        assert_eq!(result(&answer), refused(401, "jwt.proof_missing"));
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("DPoP ") && challenge.contains(r#"error="invalid_token""#));
    }
    // Nor where proofs are not checked at all.
    let answer = send(&client.offline.layer(), &call("Bearer", &token, &[])).await;
    assert_eq!(result(&answer), refused(401, "jwt.bound_token"));
    let answer = send(&client.offline.layer(), &call("DPoP", &token, &[])).await;
    assert_eq!(result(&answer), refused(401, "jwt.missing"));
}

#[tokio::test]
async fn k15_a_request_with_no_proof_or_two_is_refused() {
    let client = Client::new();
    let layer = client.layer();
    let token = client.token();
    let answer = send(&layer, &call("DPoP", &token, &[])).await;
    assert_eq!(result(&answer), refused(401, "jwt.proof_missing"));
    let proofs = ["p-1", "p-2"].map(|id| client.proof(&token, id, json!({})));
    let answer = send(&layer, &call("DPoP", &token, &proofs)).await;
    assert_eq!(result(&answer), refused(401, "jwt.proof_invalid"));
    let answer = send(&layer, &call("DPoP", &token, &proofs[..1])).await;
    assert_eq!(result(&answer), (200, None), "neither was used up");
}

#[tokio::test]
async fn k15_a_proof_that_is_none_is_refused() {
    let client = Client::new();
    let layer = client.layer();
    let token = client.token();
    let mut private = client.key.bare_public_jwk();
    let members = private.as_object_mut().unwrap();
    members.insert("d".to_owned(), json!("AAAA"));
    let now = client.offline.clock.wall().unix_seconds();
    for (header, claims) in [
        (json!({ "typ": "JWT" }), json!({})),
        (json!({ "typ": null }), json!({})),
        (json!({ "alg": "none" }), json!({})),
        (json!({ "alg": "HS256" }), json!({})),
        (json!({ "alg": "ES384" }), json!({})),
        (json!({ "jwk": private }), json!({})),
        (json!({ "jwk": { "kty": "oct", "k": "AAAA" } }), json!({})),
        (json!({ "jwk": null }), json!({})),
        (json!({ "crit": ["b64"] }), json!({})),
        (json!({}), json!({ "ath": null })),
        (json!({}), json!({ "ath": "" })),
        (json!({}), json!({ "jti": null })),
        (json!({}), json!({ "jti": "x".repeat(256) })),
        (json!({}), json!({ "iat": now - 61 })),
        (json!({}), json!({ "iat": now + 6 })),
        (json!({}), json!({ "iat": null })),
        (json!({}), json!({ "htm": null })),
    ] {
        let proof = client.proof_with(&token, "p-1", header.clone(), claims.clone());
        let answer = send(&layer, &call("DPoP", &token, &[proof])).await;
        let expected = refused(401, "jwt.proof_invalid");
        assert_eq!(result(&answer), expected, "{header} {claims}");
    }
    let proof = client.proof(&token, "p-1", json!({}));
    let answer = send(&layer, &call("DPoP", &token, &[proof])).await;
    assert_eq!(result(&answer), (200, None), "no refusal used it up");
}

#[tokio::test]
async fn k14_a_proof_for_another_request_is_refused() {
    let client = Client::new();
    let layer = client.layer();
    let token = client.token();
    for changes in [
        json!({ "htm": "POST" }),
        json!({ "htu": "https://orders.example/other" }),
        json!({ "htu": "http://orders.example/echo" }),
        json!({ "htu": "https://evil.example/echo" }),
        json!({ "ath": "LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE" }),
        json!({ "iat": client.offline.clock.wall().unix_seconds() - 61 }),
    ] {
        let proof = client.proof(&token, "p-1", changes.clone());
        // What `Host` says does not matter: it is the client's to write.
        let evil = HeaderValue::from_static("evil.example");
        let call = call("DPoP", &token, &[proof]).add_header(http::header::HOST, evil);
        let answer = send(&layer, &call).await;
        assert_eq!(
            result(&answer),
            refused(401, "jwt.proof_invalid"),
            "{changes}"
        );
    }
    let proof = client.proof(
        &token,
        "p-1",
        json!({ "htu": "HTTPS://Orders.example:443/%65cho?x" }),
    );
    let call = call("DPoP", &token, &[proof]).with_http_path("/echo?y=1");
    assert_eq!(result(&send(&layer, &call).await), (200, None));
}

#[tokio::test]
async fn a_proof_for_another_name_of_the_service_holds_where_that_was_added() {
    let client = Client::new();
    let token = client.token();
    let other = "https://eu.orders.example:8443";
    let to_other = |id| {
        let target = json!({ "htu": format!("{other}/echo") });
        call("DPoP", &token, &[client.proof(&token, id, target)])
    };
    let answer = send(&client.layer(), &to_other("p-1")).await;
    assert_eq!(result(&answer), refused(401, "jwt.proof_invalid"));

    let nonce_key = [0xa7; 32];
    let dpop = client.dpop.clone().add_origin(other);
    let shown = format!("{:?}", dpop.clone().require_nonce_with_key(nonce_key));
    assert!(shown.contains(other) && !shown.contains("167"), "{shown}");
    let dpop = dpop.build().unwrap();
    let config = client.offline.config().with_dpop(dpop).build().unwrap();
    let layer = JwtLayer::start(config).unwrap();
    assert_eq!(result(&send(&layer, &to_other("p-2")).await), (200, None));
    let proof = client.proof(&token, "p-3", json!({}));
    let usual = call("DPoP", &token, &[proof]);
    assert_eq!(result(&send(&layer, &usual).await), (200, None));
}

#[test]
fn a_proof_is_checked_by_itself_where_the_token_is_verified_by_other_means() {
    let client = Client::new();
    let dpop = client.dpop.clone().build().unwrap();
    let now = client.offline.clock.wall();
    let key_of = |key: &SigningKey| {
        let set = json!({ "keys": [key.bare_public_jwk()] }).to_string();
        let keys = KeySet::from_json(&set).unwrap();
        *keys.keys().first().unwrap().thumbprint().as_bytes()
    };
    let key = key_of(&client.key);
    let other_key = SigningKey::generate(SigningAlgorithm::Es256, "other").unwrap();
    let opaque = "an opaque token";
    let proof = client.proof(opaque, "p-1", json!({}));
    let check = |method, path, token, key| dpop.check_proof(&proof, method, path, token, key, now);
    let id = check("GET", "/echo", opaque, key).unwrap();
    assert_eq!(check("GET", "/echo", opaque, key).unwrap(), id, "the same");
    let again = client.proof(opaque, "p-2", json!({}));
    let again = dpop.check_proof(&again, "GET", "/echo", opaque, key, now);
    assert_ne!(again.unwrap(), id, "another");
    for refused in [
        check("POST", "/echo", opaque, key),
        check("GET", "/other", opaque, key),
        check("GET", "/echo", "another token", key),
        check("GET", "/echo", opaque, key_of(&other_key)),
        dpop.check_proof("a.b.c", "GET", "/echo", opaque, key, now),
        dpop.check_proof(
            &proof,
            "GET",
            "/echo",
            opaque,
            key,
            now + Duration::from_secs(600),
        ),
    ] {
        assert_eq!(refused.unwrap_err().kind(), JwtErrorKind::ProofInvalid);
    }
}

#[tokio::test]
async fn a_stolen_token_is_worth_nothing_without_its_key() {
    let client = Client::new();
    let layer = client.layer();
    let token = client.token();
    let thief = Client {
        key: SigningKey::generate(SigningAlgorithm::Es256, "thief").unwrap(),
        ..Client::new()
    };
    let proof = thief.proof(&token, "p-1", json!({}));
    let answer = send(&layer, &call("DPoP", &token, &[proof])).await;
    assert_eq!(result(&answer), refused(401, "jwt.proof_invalid"));
    // A token that is bound to nothing gains nothing by a proof.
    let unbound = client.offline.token().sign().unwrap();
    let proof = client.proof(&unbound, "p-1", json!({}));
    let answer = send(&layer, &call("DPoP", &unbound, &[proof])).await;
    assert_eq!(result(&answer), refused(401, "jwt.unbound_token"));
    let answer = send(&layer, &call("Bearer", &unbound, &[])).await;
    assert_eq!(result(&answer), (200, None));
}

#[tokio::test]
async fn both_schemes_are_offered_where_no_token_is_there() {
    let client = Client::new();
    let answer = send(&client.layer(), &Call::echo("")).await;
    assert_eq!(result(&answer), refused(401, "jwt.missing"));
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .starts_with("Bearer ")
    );
}

#[tokio::test]
async fn k15_a_nonce_is_handed_out_and_then_accepted() {
    let mut client = Client::new();
    client.dpop = client.dpop.require_nonce();
    let layer = client.layer();
    let token = client.token();
    let proof = client.proof(&token, "p-1", json!({}));
    let answer = send(&layer, &call("DPoP", &token, &[proof])).await;
    assert_eq!(result(&answer), refused(401, "jwt.nonce_required"));
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .contains("use_dpop_nonce")
    );
    let nonce = answer.header("dpop-nonce").unwrap().to_owned();
    let proof = client.proof(&token, "p-2", json!({ "nonce": nonce }));
    let answer = send(&layer, &call("DPoP", &token, &[proof])).await;
    assert_eq!(result(&answer), (200, None));
    assert_eq!(answer.header("dpop-nonce"), None, "it is young");

    client.offline.clock.advance(Duration::from_secs(200));
    let proof = client.proof(&token, "p-3", json!({ "nonce": nonce }));
    let answer = send(&layer, &call("DPoP", &token, &[proof])).await;
    assert_eq!(result(&answer), (200, None));
    assert!(
        answer
            .header("dpop-nonce")
            .is_some_and(|next| next != nonce)
    );

    client.offline.clock.advance(Duration::from_secs(101));
    let token = client.token();
    let proof = client.proof(&token, "p-4", json!({ "nonce": nonce }));
    let answer = send(&layer, &call("DPoP", &token, &[proof])).await;
    assert_eq!(result(&answer), refused(401, "jwt.nonce_required"));
}

#[tokio::test]
async fn k13_a_full_store_lets_nothing_pass() {
    let mut client = Client::new();
    client.dpop = client
        .dpop
        .with_replay_store(Arc::new(MemoryReplayStore::new(16)));
    let layer = client.layer();
    let token = client.token();
    let first = client.proof(&token, "p-1", json!({}));
    assert_eq!(
        result(&send(&layer, &call("DPoP", &token, &[first])).await),
        (200, None)
    );
    let second = client.proof(&token, "p-2", json!({}));
    let answer = send(&layer, &call("DPoP", &token, &[second])).await;
    assert_eq!(result(&answer), refused(503, "jwt.proof_unchecked"));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn k13_two_clients_may_choose_one_identifier() {
    let store: Arc<dyn ReplayStore> = Arc::new(MemoryReplayStore::default());
    let mut one = Client::new();
    one.dpop = one.dpop.with_replay_store(store);
    let layer = one.layer();
    let other = Client {
        key: SigningKey::generate(SigningAlgorithm::Es256, "other").unwrap(),
        offline: Offline {
            clock: one.offline.clock.clone(),
            mint: one.offline.mint.clone(),
        },
        dpop: one.dpop.clone(),
    };
    for client in [&one, &other] {
        let token = client.token();
        let proof = client.proof(&token, "p-1", json!({}));
        let call = call("DPoP", &token, &[proof]);
        assert_eq!(result(&send(&layer, &call).await), (200, None));
        let expected = refused(401, "jwt.proof_replayed");
        assert_eq!(result(&send(&layer, &call).await), expected);
    }
    // Another token of one client does not make its proof a new one.
    let token = one.token();
    let again = one.proof(&token, "p-1", json!({}));
    let answer = send(&layer, &call("DPoP", &token, &[again])).await;
    assert_eq!(result(&answer), refused(401, "jwt.proof_replayed"));
}

#[tokio::test]
async fn k10_what_is_remembered_of_a_token_spares_it_no_check_but_the_signature() {
    let client = Client::new();
    let revoked = RevocationList::new(10);
    let dpop = client.dpop.clone().build().unwrap();
    let config = client.offline.config().with_dpop(dpop);
    let config = config
        .with_revocations(revoked.clone())
        .require_authentication_within(Duration::from_secs(100));
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    let now = client.offline.clock.wall();
    let token = client.token_with(json!({ "auth_time": now.unix_seconds(), "jti": "t-9" }));
    let mut number = 0;
    let mut fresh = |method: &str| {
        number += 1;
        client.proof(&token, &format!("p-{number}"), json!({ "htm": method }))
    };
    let first = call("DPoP", &token, &[fresh("GET")]);
    assert_eq!(result(&send(&layer, &first).await), (200, None));
    assert_eq!(layer.guard().cached_tokens(), 1);
    // By now it is remembered.
    for (request, code) in [
        (first, "jwt.proof_replayed"),
        (call("DPoP", &token, &[]), "jwt.proof_missing"),
        (call("Bearer", &token, &[fresh("GET")]), "jwt.proof_missing"),
        (call("DPoP", &token, &[fresh("PUT")]), "jwt.proof_invalid"),
    ] {
        let answer = send(&layer, &request).await;
        assert_eq!(result(&answer), refused(401, code));
    }
    let good = call("DPoP", &token, &[fresh("GET")]);
    assert_eq!(result(&send(&layer, &good).await), (200, None));
    client.offline.clock.advance(Duration::from_secs(59));
    let good = call("DPoP", &token, &[client.proof(&token, "p-late", json!({}))]);
    assert_eq!(result(&send(&layer, &good).await), (200, None));
    client.offline.clock.advance(Duration::from_secs(42));
    let proof = client.proof(&token, "p-step-up", json!({}));
    let answer = send(&layer, &call("DPoP", &token, &[proof])).await;
    let expected = refused(401, "jwt.insufficient_authentication");
    assert_eq!(result(&answer), expected);
    let until = now + Duration::from_secs(900);
    revoked
        .revoke_token(client.offline.mint.issuer(), "t-9", until)
        .unwrap();
    let proof = client.proof(&token, "p-revoked", json!({}));
    let answer = send(&layer, &call("DPoP", &token, &[proof])).await;
    assert_eq!(result(&answer), refused(401, "jwt.revoked"));
}

/// A store behind a network: it answers later.
#[derive(Debug, Default)]
struct Remote(Arc<Mutex<Vec<[u8; 32]>>>);

impl ReplayStore for Remote {
    fn record(&self, proof: &ProofId, _: bartizan_core::WallTime) -> ReplayAnswer {
        let (seen, digest) = (Arc::clone(&self.0), *proof.digest());
        ReplayAnswer::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            let mut seen = seen.lock().unwrap();
            if seen.contains(&digest) {
                return Replay::Replayed;
            }
            seen.push(digest);
            Replay::Fresh
        }))
    }
}

#[tokio::test]
async fn a_store_may_answer_later() {
    let mut client = Client::new();
    client.dpop = client.dpop.with_replay_store(Arc::new(Remote::default()));
    let layer = client.layer();
    let token = client.token();
    let proof = client.proof(&token, "p-1", json!({}));
    let call = call("DPoP", &token, &[proof]);
    let answer = send(&layer, &call).await;
    assert_eq!(result(&answer), (200, None));
    assert_eq!(answer.json()["context"]["principal"]["subject"], "alice");
    assert_eq!(
        result(&send(&layer, &call).await),
        refused(401, "jwt.proof_replayed")
    );
}

/// A store that is there and says nothing.
#[derive(Debug)]
struct Silent;

impl ReplayStore for Silent {
    fn record(&self, _: &ProofId, _: bartizan_core::WallTime) -> ReplayAnswer {
        ReplayAnswer::Later(Box::pin(std::future::pending()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_holds_no_request_up() {
    let mut client = Client::new();
    client.dpop = client.dpop.with_replay_store(Arc::new(Silent));
    let (layer, token) = (client.layer(), client.token());
    let proof = client.proof(&token, "p-1", json!({}));
    let call = call("DPoP", &token, &[proof]);
    let waited = tokio::time::timeout(Duration::from_secs(60), send(&layer, &call));
    let answer = waited.await.unwrap();
    assert_eq!(result(&answer), refused(503, "jwt.proof_unchecked"));
}

#[tokio::test]
async fn grpc_calls_prove_possession_as_well() {
    let client = Client::new();
    let layer = client.layer();
    let token = client.token();
    let target = format!("{AUDIENCE}/bartizan.testkit.Echo/Unary");
    let changes = json!({ "htm": "POST", "htu": target });
    let proof = client.proof(&token, "p-1", changes);
    let call = call("DPoP", &token, &[proof]);
    let answer = Host::TonicRoutes.send(&layer, &call).await.unwrap();
    assert!(answer.is_success(), "{answer:?}");
    let answer = Host::TonicRoutes.send(&layer, &call).await.unwrap();
    assert_eq!(answer.code().as_deref(), Some("jwt.proof_replayed"));
}

#[tokio::test]
async fn a_client_is_told_how_proofs_may_be_signed() {
    let client = Client::new();
    for (dpop, expected) in [
        (
            client.dpop.clone(),
            "EdDSA ES256 ES384 PS256 PS384 PS512 RS256 RS384 RS512",
        ),
        (
            client
                .dpop
                .clone()
                .with_algorithms([Algorithm::Es384, Algorithm::EdDsa]),
            "EdDSA ES384",
        ),
    ] {
        let config = client.offline.config().with_dpop(dpop.build().unwrap());
        let config = config.build().unwrap();
        let metadata = ResourceMetadata::of(&config, AUDIENCE).unwrap().to_json();
        let metadata: Value = serde_json::from_str(&metadata).unwrap();
        let names: Vec<_> = expected.split(' ').collect();
        assert_eq!(metadata["dpop_signing_alg_values_supported"], json!(names));
        let layer = JwtLayer::start(config).unwrap();
        let answer = Host::Hyper.send(&layer, &Call::echo("")).await.unwrap();
        assert_eq!(answer.code().as_deref(), Some("jwt.missing"));
        let challenge = format!("DPoP realm=\"{AUDIENCE}\", algs=\"{expected}\"");
        let told = answer.headers.get_all("www-authenticate").iter();
        assert!(told.into_iter().any(|it| *it == challenge), "{challenge}");
    }
}
