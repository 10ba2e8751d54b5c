//! Seeds of `bartizan-jwt`, of `bartizan-apikey`, and of whole requests.

use std::time::Duration;

use bartizan_apikey::{KeyFormat, KeyRecord, NewKey, Peppers, fuzzing};
use bartizan_core::WallTime;
use bartizan_testkit::{ManualClock, SigningAlgorithm, SigningKey, TokenMint};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use serde_json::{Value, json};

use crate::{Error, Seeds};

const NOW: u64 = 1_800_000_000;

pub(super) fn add(seeds: &mut Seeds) -> Result<(), Error> {
    let now = WallTime::from_unix_seconds(NOW);
    let clock = ManualClock::at(now);
    let mint = TokenMint::new("https://issuer.example", SigningAlgorithm::Es256, clock)?;
    for algorithm in [
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Es384,
        SigningAlgorithm::Rs256,
    ] {
        mint.publish(SigningKey::generate(algorithm, algorithm.name())?);
    }
    let token = mint
        .token()
        .audience("orders")
        .expires_in(Duration::from_secs(300));
    // Cut short, so that it is nobody's.
    let cut = |token: String| token[..token.rfind('.').unwrap_or(0) + 9].to_owned();
    seeds.add("token", "cut", cut(token.sign()?));
    seeds.add("token", "unsigned", token.unsigned("none"));
    seeds.add("key_set", "four", mint.jwks().to_string());
    seeds.add("discovery", "document", mint.discovery().to_string());
    seeds.add_all(
        "discovery",
        &[
            (
                "other",
                r#"{"issuer":"https://other.example","jwks_uri":"https://other.example/k"}"#,
            ),
            (
                "user",
                r#"{"issuer":"https://issuer.example","jwks_uri":"https://a@b.example/k"}"#,
            ),
            ("issuer", "https://issuer.example/tenant"),
        ],
    );
    let claims = json!({
        "iss": "https://issuer.example", "sub": "alice", "aud": ["orders", "other"], "jti": "1",
        "client_id": "shop", "iat": NOW, "nbf": NOW, "exp": NOW + 300, "scope": "a b",
        "realm_access": {"roles": ["r"]},
    });
    let header = r#"{"alg":"HS256","typ":"at+jwt"}"#;
    seeds.add("claims", "good", format!("{header}\n{claims}"));
    for (name, changed, value) in [
        (
            "bound",
            "cnf",
            json!({"jkt": URL_SAFE_NO_PAD.encode([7; 32])}),
        ),
        ("late", "exp", json!(NOW - 31)),
        ("fraction", "exp", json!(NOW as f64 + 0.5)),
    ] {
        let mut claims = claims.clone();
        claims[changed] = value;
        seeds.add("claims", name, format!("{header}\n{claims}"));
    }
    let mut answer = claims;
    answer["active"] = true.into();
    answer["iss"] = "https://i.example".into();
    answer["aud"] = "https://a.example".into();
    seeds.add("introspection", "active", answer.to_string());
    seeds.add("introspection", "inactive", r#"{"active":false}"#);
    add_proofs(seeds, now)?;
    add_answers(seeds);
    add_keys(seeds, now)?;
    add_requests(seeds);
    Ok(())
}

fn add_proofs(seeds: &mut Seeds, now: WallTime) -> Result<(), Error> {
    let key = SigningKey::generate(SigningAlgorithm::Es256, "dpop")?;
    let proof = key
        .proof("GET", "https://orders.example/orders/7", now)
        .for_token("a.b.c")
        .sign()?;
    let end = proof.rfind('.').unwrap_or(0) + 9;
    seeds.add("proof", "cut", format!("/orders/7\n{}", &proof[..end]));
    let hash = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, b"a.b.c"));
    let time = NOW.to_be_bytes();
    let mark = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[3; 32]), &time);
    let nonce = URL_SAFE_NO_PAD.encode([&time[..], &mark.as_ref()[..16]].concat());
    let claims = json!({
        "htm": "GET", "htu": "https://orders.example/orders/%37?x#y", "ath": hash, "jti": "1",
        "iat": NOW, "nonce": nonce,
    });
    seeds.add("proof_claims", "good", format!("/orders/7\n{claims}"));
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        format!("/orders/7\n{claims}")
    };
    seeds.add(
        "proof_claims",
        "other",
        with("htu", "https://payments.example/orders/7".into()),
    );
    seeds.add("proof_claims", "old", with("iat", (NOW - 61).into()));
    seeds.add("proof_claims", "nonce", with("nonce", "AAAA".into()));
    Ok(())
}

fn add_answers(seeds: &mut Seeds) {
    let exchanged = r#"{"access_token":"a.b.c","token_type":"Bearer","expires_in":"300","issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#;
    seeds.add("token_response", "exchanged", format!("\x01{exchanged}"));
    seeds.add(
        "token_response",
        "given",
        "\0{\"access_token\":\"a\",\"token_type\":\"bearer\"}",
    );
    seeds.add(
        "token_response",
        "refused",
        "\0{\"error\":\"invalid_grant\",\"error_description\":\"x\"}",
    );
    seeds.add_all(
        "challenge",
        &[
            (
                "says",
                r#"Bearer realm="a \" b",ERROR = "invalid_token", error_description="x""#,
            ),
            ("quoted", r#"Bearer realm="x, error=invalid_token""#),
            ("second", r#"Basic realm="x", Bearer error=invalid_token"#),
        ],
    );
    seeds.add_all(
        "destination",
        &[
            (
                "same",
                "https://orders.example\nhttps://orders.example:443/a?b",
            ),
            (
                "other",
                "https://orders.example:8443\nhttps://orders.example/",
            ),
            (
                "user",
                "http://orders.example\nhttp://orders.example@other.example/",
            ),
            ("local", "http://[::1]:80\nhttp://[::1]/"),
        ],
    );
    seeds.add_all(
        "credential",
        &[
            ("bearer", "Bearer a.b.c"),
            ("dpop", "dpop   a.b.c=="),
            ("two", "Bearer a, Bearer b"),
            ("cookie", "theme=dark; session=a.b.c; x=y"),
            ("protocol", "chat, bearer, a.b.c"),
        ],
    );
}

fn add_keys(seeds: &mut Seeds, now: WallTime) -> Result<(), Error> {
    let key = NewKey::generate(&KeyFormat::live())?;
    let bare = key.expose().trim_start_matches("brt_live_").to_owned();
    let mut wrong = bare.clone().into_bytes();
    wrong.reverse();
    let record = KeyRecord::builder(&key, &Peppers::none(), "reports", now);
    let record = record.with_scopes(["orders:read"]).build()?;
    let hash = record.hash().to_string();
    let id = record.id().to_string();
    seeds.add("apikey", "key", bare);
    seeds.add("apikey", "wrong", wrong);
    seeds.add("apikey", "file", fuzzing::print(&[record]).ok_or("a file")?);
    seeds.add("apikey_file", "hash", hash);
    seeds.add(
        "apikey_file",
        "uses",
        json!({ id: NOW, "what": 1 }).to_string(),
    );
    seeds.add_all(
        "apikey_field",
        &[
            ("field", "brt_live_x\n"),
            ("scheme", "\nApiKey brt_live_x"),
            ("bearer", "\nbearer brt_test_y"),
            ("both", "x\nApiKey y"),
        ],
    );
    Ok(())
}

fn add_requests(seeds: &mut Seeds) {
    seeds.add_all("request", &[
        ("bearer", "GET\n/orders/7\nauthorization: Bearer a.b.c\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n"),
        ("grpc", "POST\n/shop.Orders/Read\ncontent-type: application/grpc+proto\ngrpc-timeout: 3S\nauthorization: Bearer a.b.c"),
        ("web", "POST\n/shop.Orders/Read\ncontent-type: application/grpc-web-text\ngrpc-timeout: 0S\n"),
        ("key", "GET\n/?api_key=x\nx-api-key: brt_live_x\n"),
        ("cookie", "HEAD\n/\ncookie: session=a.b.c\ncookie: session=d.e.f\n"),
        ("socket", "GET\n/live\nupgrade: websocket\nconnection: upgrade\nsec-websocket-protocol: bearer, a.b.c\n"),
        ("two", "GET\nhttps://orders.example/\nauthorization: ApiKey x\nauthorization: Bearer y\n"),
    ]);
}
