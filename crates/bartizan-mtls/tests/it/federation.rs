//! A partner's trust domain, federated by the bundle document that it publishes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_mtls::{MaterialError, MaterialFiles, MtlsLayer, MtlsListener, UNKNOWN_AUTHORITY};
use bartizan_source::Refresh;
use bartizan_testkit::DevelopmentCa;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;

use crate::support::*;

fn document<'a>(authorities: impl IntoIterator<Item = &'a DevelopmentCa>) -> String {
    let keys: Vec<_> = authorities
        .into_iter()
        .map(|ca| {
            let der = BASE64_STANDARD.encode(ca.root_der());
            format!(r#"{{ "kty": "EC", "use": "x509-svid", "x5c": ["{der}"] }}"#)
        })
        .collect();
    format!(
        r#"{{ "spiffe_sequence": 1, "keys": [{}] }}"#,
        keys.join(",")
    )
}

struct Federation {
    ca: DevelopmentCa,
    partner: DevelopmentCa,
    folder: PathBuf,
}

impl Federation {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("mtls-federation")
            .join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let (ca, partner) = (ca(), DevelopmentCa::new("partner.example").unwrap());
        ca.write_pem(&folder, "ca").unwrap();
        let svid = ca.workload("/ns/shop/sa/payments").unwrap();
        svid.write_pem(&folder, "svid").unwrap();
        let federation = Self {
            ca,
            partner,
            folder,
        };
        federation.write(&document([&federation.partner]));
        federation
    }

    fn write(&self, document: &str) {
        fs::write(self.folder.join("partner.json"), document).unwrap();
    }

    fn files(&self) -> MaterialFiles {
        let file = |name: &str| self.folder.join(name);
        MaterialFiles::new(file("svid.pem"), file("svid-key.pem"))
            .with_bundle("example.org".parse().unwrap(), file("ca.pem"))
            .with_spiffe_bundle("partner.example".parse().unwrap(), file("partner.json"))
            // The tests ask for each reading.
            .with_interval(Duration::from_secs(86_400))
    }
}

fn layer() -> MtlsLayer {
    MtlsLayer::builder()
        .allow_peer(ORDERS.parse().unwrap())
        .allow_peer("spiffe://partner.example/ns/billing/**".parse().unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_partner_is_accepted_under_its_own_name_and_never_under_ours() {
    let (federation, recorder) = (Federation::new("names"), Recorder::default());
    let source = federation.files().load().unwrap();
    let listener = MtlsListener::builder(source.published()).with_observer(recorder.shared());
    let address = serve(listener, layer()).await;
    let Federation { ca, partner, .. } = &federation;

    let theirs = partner.workload("/ns/billing/sa/caller").unwrap();
    let answer = foreign_get(ca, Some(&theirs), address).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, "spiffe://partner.example/ns/billing/sa/caller");

    // Known, and not on the list.
    let unlisted = partner.workload("/ns/other/sa/caller").unwrap();
    let answer = foreign_get(ca, Some(&unlisted), address).await.unwrap();
    assert_eq!(answer.status, StatusCode::FORBIDDEN);

    // Our name from the partner's authority, and the partner's from ours.
    let forged = partner.leaf().add_uri(ORDERS).issue().unwrap();
    let theirs_by_us = ca
        .leaf()
        .add_uri("spiffe://partner.example/ns/billing/sa/caller");
    let theirs_by_us = theirs_by_us.issue().unwrap();
    for (number, certificate) in [forged, theirs_by_us].iter().enumerate() {
        assert!(foreign_get(ca, Some(certificate), address).await.is_err());
        assert_eq!(
            recorder.wait_for(number + 1).await[number].0,
            UNKNOWN_AUTHORITY
        );
    }

    let ours = ca.workload("/ns/shop/sa/orders").unwrap();
    let answer = foreign_get(ca, Some(&ours), address).await.unwrap();
    assert_eq!(answer.body, ORDERS);
}

#[tokio::test]
async fn follows_the_partners_document_and_keeps_the_last_good_one() {
    let federation = Federation::new("follows");
    let Federation { ca, partner, .. } = &federation;
    let source = federation.files().load().unwrap();
    let address = serve(MtlsListener::builder(source.published()), layer()).await;
    let next = DevelopmentCa::new("partner.example").unwrap();
    let (old, new) = (
        partner.workload("/ns/billing/sa/caller").unwrap(),
        next.workload("/ns/billing/sa/caller").unwrap(),
    );
    let admitted = async |certificate| foreign_get(ca, Some(certificate), address).await.is_ok();
    assert!(admitted(&old).await && !admitted(&new).await);

    federation.write(&document([partner, &next]));
    assert_eq!(source.refresh_now().await.unwrap(), Refresh::Published(2));
    assert!(admitted(&old).await && admitted(&new).await);

    for broken in ["", "{", "-----BEGIN CERTIFICATE-----", r#"{ "keys": 1 }"#] {
        federation.write(broken);
        let refused = source.refresh_now().await.unwrap_err();
        let cause = std::error::Error::source(&refused).unwrap();
        let cause = cause.downcast_ref::<MaterialError>().unwrap();
        assert!(
            matches!(cause, MaterialError::SpiffeBundle { .. }),
            "{cause:?}"
        );
        assert!(admitted(&old).await && admitted(&new).await);
    }

    // No keys: everything is withdrawn.
    federation.write(&document([]));
    assert_eq!(source.refresh_now().await.unwrap(), Refresh::Published(3));
    assert!(!admitted(&old).await && !admitted(&new).await);
}
