//! Tokens that are bound to a certificate or a key: `mtls-bound.json` and `dpop.json` of
//! `jwt-cases`, and the examples of RFC 9449.

use std::sync::Arc;

use anyhow::{Context, Result};
use bartizan_core::{
    Check, Clock, Guard, Inspection, MonotonicTime, Peer, PeerIdentity, SecurityContext,
    SystemClock, VerifiedCertificate, WallTime,
};
use bartizan_jwt::{Dpop, JwtConfig, JwtConfigBuilder, JwtLayer, KeySet, Rules};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderValue, Method, Request, Uri};
use ring::digest;

use crate::material::{Material, Members};
use crate::tally::{Expected, Observed, Tally, reason};

const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://api.example";

/// Each token over a connection with this client certificate, or with none.
pub(crate) fn certificates(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    let config = config(material, tally, document.number("now")?)?;
    for case in document.list("cases")? {
        let context = SecurityContext::new(Uri::from_static("https://api.example/v1/orders"));
        if let Some(certificate) = case.maybe_text("client_cert_der_b64") {
            let der = STANDARD.decode(certificate)?;
            let hash = digest::digest(&digest::SHA256, &der);
            context.set_peer(Peer::assert_verified(VerifiedCertificate {
                identity: PeerIdentity::Dns(Arc::from([Box::from("client.example")])),
                certificate_sha256: hash.as_ref().try_into()?,
                serial: Box::from([9]),
                not_after: WallTime::MAX,
            }))?;
        }
        let request = Request::get("https://api.example/v1/orders")
            .header("authorization", format!("Bearer {}", case.text("token")?))
            .body(())?;
        let layer = JwtLayer::start(config.clone().build()?)?;
        tally.judge(case.text("id")?, expected(case)?, || {
            pass(&layer, request, &context)
        });
    }
    Ok(())
}

/// Each request at a service that has seen none before, and the rule about replays.
pub(crate) fn proofs(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    let config = config(material, tally, document.number("now")?)?;
    let start = || -> Result<JwtLayer> {
        let dpop = Dpop::builder(AUDIENCE).build()?;
        Ok(JwtLayer::start(config.clone().with_dpop(dpop).build()?)?)
    };
    let run = |layer: &JwtLayer, case: &serde_json::Value| -> Observed {
        let request = request(case).map_err(|error| format!("{error:#}"))?;
        let context = SecurityContext::new(request.uri().clone());
        pass(layer, request, &context)
    };
    for case in document.list("cases")? {
        let layer = start()?;
        tally.judge(case.text("id")?, expected(case)?, || run(&layer, case));
    }
    let good = document.list("cases")?.iter();
    let good = good
        .into_iter()
        .find(|case| case.maybe_text("id") == Some("good"))
        .context("no good case")?;
    let layer = start()?;
    tally.judge("replay: first", Expected::value("alice"), || {
        run(&layer, good)
    });
    tally.judge("replay: second", Expected::Refused, || run(&layer, good));
    Ok(())
}

/// The proofs that the RFC prints. Those for a token endpoint have no hash of a token, which a
/// protected resource asks for.
pub(crate) fn examples(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    let token = document.text("opaque_access_token")?;
    let key = URL_SAFE_NO_PAD.decode(document.text("jkt")?)?;
    let key: [u8; 32] = key.as_slice().try_into()?;
    for example in document.list("proofs")? {
        let uri: Uri = example.text("uri")?.parse()?;
        let origin = format!("https://{}", uri.host().unwrap_or_default());
        let dpop = Dpop::builder(&origin).build()?;
        let claims = example.member("claims")?;
        let now = WallTime::from_unix_seconds(claims.number("iat")?);
        let id = format!(
            "{} {uri} {}",
            example.text("method")?,
            claims.number("iat")?
        );
        let (proof, method) = (example.text("proof")?, example.text("method")?);
        tally.judge(&id, Expected::ACCEPTED, || {
            dpop.check_proof(proof, method, uri.path(), token, key, now)
                .map(|_| String::new())
                .map_err(reason)
        });
    }
    Ok(())
}

fn expected(case: &serde_json::Value) -> Result<Expected> {
    Ok(match case.text("expect")? {
        "accept" => Expected::value("alice"),
        "reject" => Expected::Refused,
        _ => Expected::Either,
    })
}

fn config(material: &Material, tally: &mut Tally, now: u64) -> Result<JwtConfigBuilder> {
    let keys = material.beside("jwks.json");
    tally.uses(&*keys);
    let keys = KeySet::from_json(&String::from_utf8(material.other(&keys)?)?)?;
    let rules = Rules::builder(ISSUER, AUDIENCE)
        .allow_type("JWT")
        .allow_missing_client()
        .build()?;
    let clock = Standing(WallTime::from_unix_seconds(now));
    Ok(JwtConfig::builder(rules)
        .with_keys(keys)
        .with_clock(Arc::new(clock)))
}

fn request(case: &serde_json::Value) -> Result<Request<()>> {
    let (scheme, token) = (case.text("scheme")?, case.text("access_token")?);
    let mut request = Request::builder()
        .method(case.text("method")?.parse::<Method>()?)
        .uri(case.text("uri")?.split('#').next().unwrap_or_default())
        .header("authorization", format!("{scheme} {token}"))
        .body(())?;
    for proof in case.texts("dpop")? {
        let proof = HeaderValue::from_str(proof)?;
        request.headers_mut().append("dpop", proof);
    }
    Ok(request)
}

/// Whom the guard lets pass.
fn pass(layer: &JwtLayer, request: Request<()>, context: &SecurityContext) -> Observed {
    let (mut parts, ()) = request.into_parts();
    let mut inspection = Inspection::new(&mut parts, context);
    match layer.guard().check(&mut inspection) {
        Check::Now(Ok(_)) => {
            let principal = context.principal().map(|principal| principal.subject());
            Ok(principal.unwrap_or_default().to_owned())
        }
        Check::Now(Err(rejection)) => Err(rejection.to_string()),
        Check::Later(_) => Err("waits, though all keys are at hand".to_owned()),
    }
}

/// A clock that stands at the time of the file.
#[derive(Debug)]
struct Standing(WallTime);

impl Clock for Standing {
    fn wall(&self) -> WallTime {
        self.0
    }

    fn monotonic(&self) -> MonotonicTime {
        SystemClock.monotonic()
    }
}
