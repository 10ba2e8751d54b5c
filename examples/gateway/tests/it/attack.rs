//! The gateway under attack, before a service that lets everybody in.

use bartizan_attack::{Authority, Remote, Signer, Target, run_at};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::support::{Town, upstream};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: `cargo xtask deep attacks`"]
async fn no_attack_gets_in() {
    let town = Town::new().await;
    // It reads what it is sent, so that it answers nothing that does not end.
    let open = async |request: Request<Incoming>| {
        let _ = request.into_body().collect().await;
        Response::new(Full::new(Bytes::from_static(b"lamp")))
    };
    let text = town.tls(upstream(open).await);
    let gate = town
        .start(&text.replace("example.org/**", "example.org/web"))
        .await;

    let (token, key) = (town.token(), town.issuer.signing_key());
    let (header, claims) = (token.headers().clone(), token.claims().clone());
    let sign = move |input: &[u8]| key.sign(input).unwrap();
    let target = Target::get("/api/orders/7")
        .with_signer(Signer::new(header.into(), claims.into(), sign))
        .with_key_set(town.issuer.jwks())
        .with_forbidden("GET", "/api/admin/all")
        .allow(
            "order.unknown-path-told-apart",
            "what nobody may is refused as such, and a credential is asked for where it helps",
        );
    let (roots, web) = (town.ca.certificate_pem(), town.ca.workload("/web").unwrap());
    let authority = Authority::from_pem(&roots, &town.ca.key().pem()).unwrap();
    let remote = Remote::new(&format!("https://{}", gate.at.requests)).unwrap();
    let remote = remote.with_certificate(&web.chain_pem(), &web.key_pem());
    let remote = remote.unwrap().with_roots(&roots).unwrap();
    let run = run_at(remote.with_authority(authority)).with_target(target);
    run.await.assert_none_got_in();
}
