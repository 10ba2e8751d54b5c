//! CRLs, read by webpki.

use std::time::Duration;

use bartizan_core::WallTime;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate};
use rustls::pki_types::{CertificateRevocationListDer, UnixTime};
use webpki::{
    BorrowedCertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage,
    RevocationOptionsBuilder,
};

const NOW: WallTime = WallTime::from_unix_seconds(1_800_000_000);

fn verify(
    ca: &DevelopmentCa,
    list: &CertificateRevocationListDer<'_>,
    leaf: &IssuedCertificate,
    now: WallTime,
) -> Result<(), Error> {
    let list = BorrowedCertRevocationList::from_der(list).unwrap().into();
    let lists = [&list];
    let revocation = RevocationOptionsBuilder::new(&lists)
        .unwrap()
        .with_expiration_policy(ExpirationPolicy::Enforce)
        .build();
    let anchors = [webpki::anchor_from_trusted_cert(ca.root_der()).unwrap()];
    EndEntityCert::try_from(leaf.certificate_der())
        .unwrap()
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &[],
            UnixTime::since_unix_epoch(now.since_unix_epoch()),
            KeyUsage::client_auth(),
            Some(revocation),
            None,
        )
        .map(|_| ())
}

#[test]
fn a_crl_revokes_the_serials_it_names_and_no_other() {
    let ca = DevelopmentCa::builder("example.org")
        .with_reference_time(NOW)
        .build_root()
        .unwrap();
    let (good, bad) = (ca.workload("/good").unwrap(), ca.workload("/bad").unwrap());
    let empty = ca.revoke([], 1).unwrap();
    verify(&ca, &empty, &good, NOW).unwrap();
    verify(&ca, &empty, &bad, NOW).unwrap();
    let list = ca.revoke([bad.serial()], 2).unwrap();
    verify(&ca, &list, &good, NOW).unwrap();
    assert_eq!(verify(&ca, &list, &bad, NOW), Err(Error::CertRevoked));
}

#[test]
fn a_crl_ages_when_told() {
    let ca = DevelopmentCa::builder("example.org")
        .with_reference_time(NOW)
        .build_root()
        .unwrap();
    let leaf = ca.workload("/a").unwrap();
    let list = ca.revoke_at([], 1, NOW, Duration::from_secs(60)).unwrap();
    verify(&ca, &list, &leaf, NOW + Duration::from_secs(59)).unwrap();
    let late = verify(&ca, &list, &leaf, NOW + Duration::from_secs(61));
    assert!(matches!(late, Err(Error::CrlExpired { .. })), "{late:?}");
}

#[test]
fn a_crl_of_another_authority_does_not_count() {
    let ca = DevelopmentCa::builder("example.org")
        .with_reference_time(NOW)
        .build_root()
        .unwrap();
    let other = ca.intermediate().unwrap();
    let leaf = ca.workload("/a").unwrap();
    let list = other.revoke([leaf.serial()], 1).unwrap();
    assert_eq!(
        verify(&ca, &list, &leaf, NOW),
        Err(Error::UnknownRevocationStatus)
    );
}
