//! Certificates, read by webpki and x509-cert.

use std::time::Duration;

use bartizan_core::WallTime;
use bartizan_testkit::{
    DevelopmentCa, ExtendedKeyUsage, IssuedCertificate, KeyKind, KeyUsage, PrivateKey, RsaKey,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{self, BasicConstraints, SubjectAltName};

const NOW: WallTime = WallTime::from_unix_seconds(1_800_000_000);

struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}

/// Path validation below the root of `ca`, at `now`.
fn verify(ca: &DevelopmentCa, leaf: &IssuedCertificate, now: WallTime) -> Result<(), Error> {
    let chain = leaf.chain_der();
    let anchors = [webpki::anchor_from_trusted_cert(ca.root_der()).unwrap()];
    EndEntityCert::try_from(&chain[0])?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &chain[1..],
            UnixTime::since_unix_epoch(now.since_unix_epoch()),
            AnyPurpose,
            None,
            None,
        )
        .map(|_| ())
}

fn ca() -> DevelopmentCa {
    DevelopmentCa::builder("example.org")
        .with_reference_time(NOW)
        .build_root()
        .unwrap()
}

fn parse(der: &CertificateDer<'_>) -> Certificate {
    Certificate::from_der(der).unwrap()
}

/// An extension and whether it is critical.
fn extension<'a, T>(certificate: &'a Certificate) -> Option<(bool, T)>
where
    T: x509_cert::der::Decode<'a> + x509_cert::der::oid::AssociatedOid,
    T::Error: std::fmt::Debug,
{
    let extensions = certificate.tbs_certificate().extensions()?;
    let found = extensions
        .iter()
        .find(|extension| extension.extn_id == T::OID)?;
    Some((
        found.critical,
        T::from_der(found.extn_value.as_bytes()).unwrap(),
    ))
}

#[test]
fn a_workload_certificate_is_a_good_x509_svid() {
    let ca = ca();
    let leaf = ca.workload("/ns/shop/sa/orders").unwrap();
    verify(&ca, &leaf, NOW).unwrap();
    let certificate = parse(leaf.certificate_der());
    let (critical, names) = extension::<SubjectAltName>(&certificate).unwrap();
    assert!(critical && certificate.tbs_certificate().subject().is_empty());
    let uris: Vec<&str> = names
        .0
        .iter()
        .filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(uris, ["spiffe://example.org/ns/shop/sa/orders"]);
    let (critical, usage) = extension::<pkix::KeyUsage>(&certificate).unwrap();
    assert!(critical && usage.digital_signature());
    assert!(!usage.key_cert_sign() && !usage.crl_sign());
    assert!(!extension::<BasicConstraints>(&certificate).unwrap().1.ca);
    assert_eq!(
        extension::<pkix::ExtendedKeyUsage>(&certificate)
            .unwrap()
            .1
            .0
            .len(),
        2
    );
    assert_eq!(
        certificate.tbs_certificate().serial_number().as_bytes(),
        leaf.serial()
    );
}

#[test]
fn an_authority_is_a_spiffe_signing_authority() {
    let certificate = parse(ca().certificate_der());
    let (_, names) = extension::<SubjectAltName>(&certificate).unwrap();
    assert!(matches!(
        names.0.as_slice(),
        [GeneralName::UniformResourceIdentifier(uri)] if uri.as_str() == "spiffe://example.org"
    ));
    let (critical, usage) = extension::<pkix::KeyUsage>(&certificate).unwrap();
    assert!(critical && usage.key_cert_sign() && usage.crl_sign());
    assert!(extension::<BasicConstraints>(&certificate).unwrap().1.ca);
}

#[test]
fn certificates_expire_when_told() {
    let ca = ca();
    let first = NOW;
    let last = NOW + Duration::from_secs(60);
    let leaf = ca
        .leaf()
        .add_uri("spiffe://example.org/a")
        .with_validity(first, last)
        .issue();
    let leaf = leaf.unwrap();
    let second = Duration::from_secs(1);
    let early = verify(&ca, &leaf, first.saturating_sub(second));
    assert!(
        matches!(early, Err(Error::CertNotValidYet { .. })),
        "{early:?}"
    );
    verify(&ca, &leaf, first).unwrap();
    verify(&ca, &leaf, last).unwrap();
    let late = verify(&ca, &leaf, last + second);
    assert!(matches!(late, Err(Error::CertExpired { .. })), "{late:?}");
}

#[test]
fn every_kind_of_key_makes_a_valid_chain() {
    for authority in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
        let ca = DevelopmentCa::builder("example.org")
            .with_reference_time(NOW)
            .with_key_kind(authority)
            .build_root()
            .unwrap();
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
            let leaf = ca
                .leaf()
                .add_dns("a.example")
                .with_key_kind(kind)
                .issue()
                .unwrap();
            verify(&ca, &leaf, NOW).unwrap();
            leaf.certified_key().unwrap().keys_match().unwrap();
        }
    }
    let rsa = PrivateKey::from_rsa(&RsaKey::generate(2_048).unwrap()).unwrap();
    let ca = ca();
    let leaf = ca
        .leaf()
        .add_dns("a.example")
        .with_key(&rsa)
        .issue()
        .unwrap();
    verify(&ca, &leaf, NOW).unwrap();
    leaf.certified_key().unwrap().keys_match().unwrap();
}

#[test]
fn intermediates_are_part_of_the_chain() {
    let root = ca();
    let upper = root.intermediate().unwrap();
    let lower = upper.intermediate().unwrap();
    let leaf = lower.workload("/a").unwrap();
    assert_eq!(leaf.chain_der().len(), 3);
    assert_eq!(lower.root_der(), root.certificate_der());
    verify(&root, &leaf, NOW).unwrap();
    let without = leaf.with_intermediates([]);
    assert_eq!(verify(&root, &without, NOW), Err(Error::UnknownIssuer));
    let other = ca();
    assert_eq!(verify(&other, &leaf, NOW), Err(Error::UnknownIssuer));
}

#[test]
fn path_length_and_uri_constraints_bind() {
    let root = ca();
    let constrained = |builder: bartizan_testkit::CaBuilder| {
        builder.with_reference_time(NOW).build_under(&root).unwrap()
    };
    let last = constrained(DevelopmentCa::builder("example.org").with_path_length(0));
    verify(&root, &last.workload("/a").unwrap(), NOW).unwrap();
    let too_deep = last.intermediate().unwrap().workload("/a").unwrap();
    assert_eq!(
        verify(&root, &too_deep, NOW),
        Err(Error::PathLenConstraintViolated)
    );

    let builder = DevelopmentCa::builder("example.org");
    let named = constrained(builder.add_permitted_uri_host("example.org"));
    // webpki knows no constraints on URIs, and refuses what it does not know; that the extension
    // is there and critical is what a verifier of ours has to judge.
    let certificate = parse(named.certificate_der());
    let (critical, found) = extension::<pkix::NameConstraints>(&certificate).unwrap();
    let permitted = found.permitted_subtrees.unwrap();
    assert!(critical);
    assert!(matches!(
        &permitted[0].base,
        GeneralName::UniformResourceIdentifier(host) if host.as_str() == "example.org"
    ));
}

#[test]
fn wrong_leaves_are_made_as_described() {
    let ca = ca();
    let leaf = ca
        .leaf()
        .add_uri("spiffe://example.org/a")
        .add_uri("spiffe://example.org/b")
        .add_email("a@example.org")
        .with_common_name("a")
        .with_key_usage([KeyUsage::DigitalSignature, KeyUsage::CertificateSign])
        .with_uncritical_key_usage()
        .with_extended_key_usage([ExtendedKeyUsage::CodeSigning])
        .with_ca_flag(true)
        .with_serial([0x01, 0x02])
        .issue()
        .unwrap();
    let certificate = parse(leaf.certificate_der());
    let (critical, names) = extension::<SubjectAltName>(&certificate).unwrap();
    assert!(!critical);
    assert_eq!(names.0.len(), 3);
    let (critical, usage) = extension::<pkix::KeyUsage>(&certificate).unwrap();
    assert!(!critical && usage.digital_signature() && usage.key_cert_sign());
    let purposes = extension::<pkix::ExtendedKeyUsage>(&certificate)
        .unwrap()
        .1
        .0;
    assert_eq!(purposes[0].to_string(), "1.3.6.1.5.5.7.3.3");
    assert!(extension::<BasicConstraints>(&certificate).unwrap().1.ca);
    assert_eq!(
        certificate.tbs_certificate().serial_number().as_bytes(),
        [1, 2]
    );

    let bare = ca
        .leaf()
        .without_key_usage()
        .with_extended_key_usage([])
        .without_basic_constraints()
        .issue()
        .unwrap();
    let certificate = parse(bare.certificate_der());
    assert!(extension::<pkix::KeyUsage>(&certificate).is_none());
    assert!(extension::<pkix::ExtendedKeyUsage>(&certificate).is_none());
    assert!(extension::<BasicConstraints>(&certificate).is_none());
    assert!(extension::<SubjectAltName>(&certificate).is_none());
}

#[test]
fn names_that_are_no_text_survive() {
    let leaf = ca()
        .leaf()
        .add_uri(b"spiffe://example.org/\xff\0")
        .issue()
        .unwrap();
    let der = leaf.certificate_der();
    let name = b"spiffe://example.org/\xff\0";
    assert!(der.windows(name.len()).any(|window| window == name));
}

#[test]
fn a_reused_key_stays_the_same() {
    let ca = ca();
    let first = ca.workload("/a").unwrap();
    let renewed = ca
        .leaf()
        .add_uri("spiffe://example.org/a")
        .with_key(first.key())
        .issue();
    let renewed = renewed.unwrap();
    assert_eq!(renewed.key().public_key_der(), first.key().public_key_der());
    assert_ne!(renewed.serial(), first.serial());
}

#[test]
fn debug_shows_no_private_key() {
    let leaf = ca().workload("/a").unwrap();
    let shown = format!("{leaf:?} {:?}", ca());
    let secret: Vec<String> = leaf.key().pkcs8_der().iter().map(u8::to_string).collect();
    assert!(!shown.contains(&secret.join(", ")));
    assert!(shown.contains("PrivateKey"));
    // The private scalar of PKCS#8 for P-256 stands at a fixed place.
    assert!(!shown.contains(&secret[36..68].join(", ")));
}
