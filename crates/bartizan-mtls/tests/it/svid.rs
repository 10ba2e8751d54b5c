//! The rules, on chains that a real authority signed.

use std::time::Duration;

use bartizan_core::{PeerIdentity, WallTime};
use bartizan_mtls::{
    Identity, IdentityError, KeyUsageFault, Role, Roots, RootsError, SvidError, TrustBundles,
    verify_dns, verify_svid,
};
use bartizan_testkit::{
    DevelopmentCa, ExtendedKeyUsage, IssuedCertificate, KeyKind, KeyUsage, LeafBuilder, PrivateKey,
};
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::CertificateDer;

use crate::support::{ORDERS, bundles, ca};

fn verify(ca: &DevelopmentCa, leaf: LeafBuilder<'_>) -> Result<String, SvidError> {
    let issued = leaf.issue().expect("a key");
    let now = ca.reference_time();
    let verified = verify_svid(&issued.chain_der(), &bundles([ca]), Role::Client, now)?;
    let by_server = verify_svid(&issued.chain_der(), &bundles([ca]), Role::Server, now);
    assert!(
        by_server.is_ok(),
        "a good svid serves both roles: {by_server:?}"
    );
    assert_eq!(&*verified.serial, issued.serial());
    let PeerIdentity::Spiffe(id) = verified.identity else {
        panic!("no spiffe id")
    };
    Ok(id.to_string())
}

macro_rules! refused {
    ($verdict:expr, $pattern:pat) => {
        let verdict = $verdict;
        assert!(
            matches!(verdict, Err($pattern)),
            "{} gave {verdict:?}",
            stringify!($verdict)
        );
    };
}

#[test]
fn accepts_good_svids() {
    let ca = ca();
    for leaf in [
        ca.leaf(),
        ca.leaf().with_common_name("orders"),
        ca.leaf().with_key_kind(KeyKind::P384),
        ca.leaf().with_key_kind(KeyKind::Ed25519),
        ca.leaf().with_extended_key_usage([]),
        ca.leaf().without_basic_constraints(),
        ca.leaf().add_loopback().add_email("ops@example.org"),
        ca.leaf()
            .with_key_usage([KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment]),
        ca.leaf().with_serial([0x7f]),
    ] {
        assert_eq!(verify(&ca, leaf.add_uri(ORDERS)).expect("good"), ORDERS);
    }
}

#[test]
fn accepts_intermediates_of_the_trust_domain() {
    let root = ca();
    let intermediate = root.intermediate().unwrap().intermediate().unwrap();
    let verdict = verify(&root, intermediate.leaf().add_uri(ORDERS));
    assert_eq!(verdict.expect("good"), ORDERS);
}

#[test]
fn refuses_names_that_are_not_exactly_one_spiffe_id_with_a_path() {
    let ca = ca();
    refused!(verify(&ca, ca.leaf()), SvidError::NotOneUri { found: 0 });
    refused!(
        verify(&ca, ca.leaf().add_dns("a")),
        SvidError::NotOneUri { found: 0 }
    );
    refused!(
        verify(
            &ca,
            ca.leaf().add_uri(ORDERS).add_uri("https://example.org")
        ),
        SvidError::NotOneUri { found: 2 }
    );
    refused!(
        verify(&ca, ca.leaf().add_uri(ORDERS).add_uri(ORDERS)),
        SvidError::NotOneUri { found: 2 }
    );
    refused!(
        verify(&ca, ca.leaf().add_uri("spiffe://example.org")),
        SvidError::NoPath
    );
    refused!(
        verify(&ca, ca.leaf().add_uri("https://example.org/a")),
        SvidError::SpiffeId(_)
    );
    refused!(
        verify(&ca, ca.leaf().add_uri("spiffe://example.org/a/")),
        SvidError::SpiffeId(_)
    );
    refused!(
        verify(&ca, ca.leaf().add_uri("SPIFFE://example.org/a")),
        SvidError::SpiffeId(_)
    );
    refused!(
        verify(&ca, ca.leaf().add_uri(b"spiffe://example.org/\xff")),
        SvidError::Malformed
    );
    refused!(
        verify(&ca, ca.leaf().add_uri(b"spiffe://example.org/a\0")),
        SvidError::SpiffeId(_)
    );
}

#[test]
fn refuses_keys_that_may_do_more_or_less_than_a_leaf() {
    use KeyUsageFault::*;
    let ca = ca();
    let leaf = || ca.leaf().add_uri(ORDERS);
    refused!(
        verify(&ca, leaf().without_key_usage()),
        SvidError::KeyUsage(Absent)
    );
    refused!(
        verify(&ca, leaf().with_uncritical_key_usage()),
        SvidError::KeyUsage(NotCritical)
    );
    refused!(
        verify(&ca, leaf().with_key_usage([KeyUsage::KeyEncipherment])),
        SvidError::KeyUsage(NoDigitalSignature)
    );
    refused!(
        verify(&ca, leaf().with_key_usage([])),
        SvidError::KeyUsage(NoDigitalSignature)
    );
    for signs in [KeyUsage::CertificateSign, KeyUsage::CrlSign] {
        refused!(
            verify(
                &ca,
                leaf().with_key_usage([KeyUsage::DigitalSignature, signs])
            ),
            SvidError::KeyUsage(MaySign)
        );
    }
    refused!(
        verify(&ca, leaf().with_ca_flag(true)),
        SvidError::IsAuthority
    );
    for purposes in [
        vec![ExtendedKeyUsage::ServerAuth],
        vec![ExtendedKeyUsage::ClientAuth],
        vec![ExtendedKeyUsage::CodeSigning],
        vec![ExtendedKeyUsage::Any],
    ] {
        let leaf = leaf().with_extended_key_usage(purposes);
        refused!(verify(&ca, leaf), SvidError::ExtendedKeyUsage);
    }
}

#[test]
fn refuses_keys_that_cannot_sign_a_handshake_here() {
    let ca = ca();
    let issued = ca.leaf().add_uri(ORDERS).issue().unwrap();
    // The object identifier of P-256, with a last number that names no curve.
    let (known, unknown) = (
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 99],
    );
    let mut der = issued.certificate_der().to_vec();
    let place = der
        .windows(known.len())
        .position(|window| window == known)
        .unwrap();
    der[place..place + unknown.len()].copy_from_slice(&unknown);
    let chain = [CertificateDer::from(der)];
    let verdict = verify_svid(&chain, &bundles([&ca]), Role::Client, ca.reference_time());
    refused!(verdict, SvidError::KeyAlgorithm);
}

#[test]
fn refuses_an_empty_subject_beside_names_that_are_not_critical() {
    let ca = ca();
    let uri = ORDERS.as_bytes();
    let mut names = vec![0x30, u8::try_from(uri.len() + 2).unwrap()];
    names.extend([0x86, u8::try_from(uri.len()).unwrap()]);
    names.extend(uri);
    let leaf = ca
        .leaf()
        .add_extension(&[2, 5, 29, 17], names.clone(), false);
    refused!(verify(&ca, leaf.clone()), SvidError::NamesNotCritical);
    assert_eq!(
        verify(&ca, leaf.with_common_name("orders")).expect("good"),
        ORDERS
    );
}

#[test]
fn holds_the_validity_period_to_the_second() {
    let ca = ca();
    let (first, last) = (
        ca.reference_time(),
        ca.reference_time() + Duration::from_secs(60),
    );
    let (first, last) = (first.unix_seconds(), last.unix_seconds());
    let at = WallTime::from_unix_seconds;
    let issued = ca
        .leaf()
        .add_uri(ORDERS)
        .with_validity(at(first), at(last))
        .issue()
        .unwrap();
    let verify = |now| verify_svid(&issued.chain_der(), &bundles([&ca]), Role::Client, now);
    refused!(verify(at(first - 1)), SvidError::NotYetValid { .. });
    assert!(verify(at(first)).is_ok());
    assert!(verify(at(last)).is_ok());
    assert!(verify(at(last) + Duration::from_millis(999)).is_ok());
    refused!(verify(at(last + 1)), SvidError::Expired { .. });
    refused!(verify(WallTime::MAX), SvidError::Expired { .. });
}

#[test]
fn an_identity_holds_its_own_validity_period_to_the_second() {
    let ca = ca();
    let at = WallTime::from_unix_seconds;
    let first = ca.reference_time().unix_seconds();
    let last = first + 60;
    let leaf = ca.leaf().add_uri(ORDERS).with_validity(at(first), at(last));
    let issued = leaf.issue().unwrap();
    let identity = Identity::from_der(issued.chain_der(), issued.key().to_rustls()).unwrap();
    assert_eq!(identity.not_after(), at(last));
    let check = |now| identity.check_validity(now);
    refused!(check(at(first - 1)), SvidError::NotYetValid { .. });
    assert!(check(at(first)).is_ok());
    assert!(check(at(last) + Duration::from_millis(999)).is_ok());
    refused!(check(at(last + 1)), SvidError::Expired { .. });
}

#[test]
fn a_root_verifies_inside_its_validity_period_to_the_second() {
    let years = (
        rcgen::date_time_ymd(2024, 1, 1),
        rcgen::date_time_ymd(2026, 1, 1),
    );
    let at = WallTime::from_unix_seconds;
    let (first, last) = (1_704_067_200, 1_767_225_600);
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (authority.not_before, authority.not_after) = years;
    let key = KeyPair::generate().unwrap();
    let roots = Roots::from_der([authority.self_signed(&key).unwrap().der()]).unwrap();
    assert!(!roots.is_empty());
    let bundles = TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots);
    assert!(Roots::from_der([]).unwrap().is_empty());
    // A leaf that was valid before its root, and is valid after it.
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(ORDERS.try_into().unwrap())];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let leaf_key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, key);
    let chain = [leaf.signed_by(&leaf_key, &issuer).unwrap().der().clone()];
    let verify = |now| verify_svid(&chain, &bundles, Role::Client, now);
    refused!(verify(at(first - 1)), SvidError::NotYetValid { .. });
    assert!(verify(at(first)).is_ok());
    assert!(verify(at(last) + Duration::from_millis(999)).is_ok());
    refused!(verify(at(last + 1)), SvidError::Expired { .. });
}

#[test]
fn chooses_roots_by_the_trust_domain_that_the_leaf_claims() {
    let (ours, partner) = (ca(), DevelopmentCa::new("partner.test").unwrap());
    let both = bundles([&ours, &partner]);
    let now = ours.reference_time();
    let verify = |leaf: LeafBuilder<'_>, bundles: &TrustBundles| {
        verify_svid(
            &leaf.issue().unwrap().chain_der(),
            bundles,
            Role::Client,
            now,
        )
    };
    assert!(verify(partner.leaf().add_uri("spiffe://partner.test/x"), &both).is_ok());
    // The partner's authority is trusted, and may still not name one of ours.
    refused!(
        verify(partner.leaf().add_uri(ORDERS), &both),
        SvidError::UnknownIssuer
    );
    refused!(
        verify(
            partner.leaf().add_uri("spiffe://partner.test/x"),
            &bundles([&ours])
        ),
        SvidError::UnknownIssuer
    );
    refused!(
        verify(ours.leaf().add_uri("spiffe://sub.example.org/x"), &both),
        SvidError::UnknownIssuer
    );
    // Another authority of the same name.
    refused!(
        verify(ca().leaf().add_uri(ORDERS), &both),
        SvidError::UnknownIssuer
    );
    let emptied = both.with_bundle("example.org".parse().unwrap(), Roots::from_der([]).unwrap());
    refused!(
        verify(ours.leaf().add_uri(ORDERS), &emptied),
        SvidError::UnknownIssuer
    );
}

#[test]
fn refuses_a_root_that_has_expired() {
    let now = ca().reference_time();
    let ca = DevelopmentCa::builder("example.org")
        .with_reference_time(now)
        .with_not_after(now.saturating_sub(Duration::from_secs(1)))
        .build_root()
        .unwrap();
    refused!(
        verify(&ca, ca.leaf().add_uri(ORDERS)),
        SvidError::Expired { .. }
    );
}

/// The path validator knows no URI name constraints and refuses what it cannot check. This is
/// the documented limit; should it change, the documentation must.
#[test]
fn refuses_every_leaf_below_uri_name_constraints() {
    let ca = DevelopmentCa::builder("example.org")
        .add_permitted_uri_host("example.org")
        .build_root()
        .unwrap();
    refused!(verify(&ca, ca.leaf().add_uri(ORDERS)), SvidError::Path(_));
}

/// An intermediate of our own making, and a leaf below it.
fn below_intermediate(usages: &[KeyUsagePurpose]) -> (Roots, Vec<CertificateDer<'static>>) {
    let issuer = |usages: &[KeyUsagePurpose], name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = usages.to_vec();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params
    };
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = issuer(&[KeyUsagePurpose::KeyCertSign], "root");
    let root_der = root.self_signed(&root_key).unwrap().der().clone();
    let intermediate = issuer(usages, "intermediate");
    let intermediate_der = intermediate
        .signed_by(&key, &Issuer::new(root, root_key))
        .unwrap()
        .der()
        .clone();
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(ORDERS.try_into().unwrap())];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = leaf
        .signed_by(&leaf_key, &Issuer::new(intermediate, key))
        .unwrap();
    let chain = vec![leaf.der().clone(), intermediate_der];
    (Roots::from_der([&root_der]).unwrap(), chain)
}

#[test]
fn refuses_intermediates_that_may_not_sign_certificates() {
    let verdict = |usages: &[KeyUsagePurpose]| {
        let (roots, chain) = below_intermediate(usages);
        let bundles = TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots);
        verify_svid(&chain, &bundles, Role::Client, ca().reference_time())
    };
    assert!(verdict(&[KeyUsagePurpose::KeyCertSign]).is_ok());
    assert!(
        verdict(&[]).is_ok(),
        "without the extension, cA alone decides (RFC 5280)"
    );
    refused!(
        verdict(&[KeyUsagePurpose::DigitalSignature]),
        SvidError::Path(_)
    );
    refused!(verdict(&[KeyUsagePurpose::CrlSign]), SvidError::Path(_));
}

#[test]
fn holds_its_size_limits() {
    let ca = ca();
    let padded = |bytes: usize| {
        ca.leaf()
            .add_uri(ORDERS)
            .add_extension(&[1, 3, 6, 1, 4, 1, 9], vec![0; bytes], false)
    };
    assert!(verify(&ca, padded(15 * 1024)).is_ok());
    refused!(
        verify(&ca, padded(16 * 1024)),
        SvidError::CertificateTooLarge { .. }
    );

    let issued = ca.leaf().add_uri(ORDERS).issue().unwrap();
    let chain_of = |length: usize| {
        let others = std::iter::repeat_n(ca.certificate_der(), length - 1);
        let chain = issued.with_intermediates(others).chain_der();
        verify_svid(&chain, &bundles([&ca]), Role::Client, ca.reference_time())
    };
    let beside = |bytes: usize| {
        let surplus = CertificateDer::from(vec![0; bytes]);
        let chain = issued.with_intermediates([&surplus]).chain_der();
        verify_svid(&chain, &bundles([&ca]), Role::Client, ca.reference_time())
    };
    assert!(
        beside(16 * 1024).is_ok(),
        "what is not on the path does no harm"
    );
    for bytes in [16 * 1024 + 1, 64 * 1024] {
        let verdict = beside(bytes);
        let told =
            matches!(verdict, Err(SvidError::CertificateTooLarge { bytes: told }) if told == bytes);
        assert!(told, "{bytes} gave {verdict:?}");
    }
    assert!(chain_of(10).is_ok());
    refused!(chain_of(11), SvidError::ChainTooLong { certificates: 11 });
    refused!(
        verify_svid(&[], &bundles([&ca]), Role::Client, ca.reference_time()),
        SvidError::Empty
    );
    refused!(
        verify_svid(
            &[CertificateDer::from(vec![0; 100])],
            &bundles([&ca]),
            Role::Client,
            ca.reference_time()
        ),
        SvidError::Malformed
    );
}

#[test]
fn dns_identity_takes_literal_names_alone() {
    let ca = ca();
    let roots = Roots::from_der([ca.root_der()]).unwrap();
    let verify = |leaf: LeafBuilder<'_>, role| {
        let chain = leaf.issue().unwrap().chain_der();
        match verify_dns(&chain, &roots, role, ca.reference_time())?.identity {
            PeerIdentity::Dns(names) => Ok(names.join(" ")),
            other => panic!("{other:?}"),
        }
    };
    let leaf = ca
        .leaf()
        .add_dns("*.example.org")
        .add_dns("Orders.example.org")
        .add_dns("b");
    assert_eq!(verify(leaf, Role::Client).unwrap(), "orders.example.org b");
    assert_eq!(
        verify(ca.leaf().add_dns("a").without_key_usage(), Role::Client).unwrap(),
        "a"
    );
    refused!(
        verify(ca.leaf().add_dns("*.example.org"), Role::Client),
        SvidError::NoDnsName
    );
    // A SPIFFE ID is no DNS identity, whatever the roots.
    refused!(
        verify(ca.leaf().add_uri(ORDERS), Role::Client),
        SvidError::NoDnsName
    );
    let server_only = || {
        ca.leaf()
            .add_dns("a")
            .with_extended_key_usage([ExtendedKeyUsage::ServerAuth])
    };
    assert_eq!(verify(server_only(), Role::Server).unwrap(), "a");
    refused!(
        verify(server_only(), Role::Client),
        SvidError::ExtendedKeyUsage
    );
    refused!(
        verify(ca.leaf().add_dns("a").with_ca_flag(true), Role::Client),
        SvidError::IsAuthority
    );
}

#[test]
fn an_identity_needs_the_key_of_a_good_leaf() {
    let ca = ca();
    let load = |issued: &IssuedCertificate| {
        Identity::from_pem(issued.chain_pem().as_bytes(), issued.key_pem().as_bytes())
    };
    let good = ca.workload("/a").unwrap();
    let identity = load(&good).unwrap();
    assert_eq!(
        identity.spiffe_id().unwrap().as_str(),
        "spiffe://example.org/a"
    );
    assert_eq!(identity.serial(), good.serial());
    assert_eq!(identity.certificate_sha256(), &good.sha256());
    let both = format!("{}{}", good.key_pem(), good.chain_pem());
    assert!(Identity::from_pem(both.as_bytes(), both.as_bytes()).is_ok());

    let foreign = PrivateKey::generate(KeyKind::P256).unwrap();
    refused!(
        load(&good.with_foreign_key(&foreign)),
        IdentityError::ForeignKey
    );
    refused!(
        load(&ca.leaf().add_dns("a").issue().unwrap()),
        IdentityError::Leaf(_)
    );
    refused!(
        load(&good.with_intermediates([good.certificate_der()])),
        IdentityError::NotAnAuthority { position: 1 }
    );
    let (chain, key) = (good.chain_pem(), good.key_pem());
    refused!(
        Identity::from_pem(b"", key.as_bytes()),
        IdentityError::NoCertificate
    );
    refused!(
        Identity::from_pem(chain.as_bytes(), chain.as_bytes()),
        IdentityError::NoPrivateKey
    );
    refused!(
        Identity::from_pem(chain.as_bytes(), b"-----BEGIN PRIVATE KEY-----\nAAAA\n"),
        IdentityError::NoPrivateKey
    );
    let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    refused!(
        Identity::from_pem(chain.as_bytes(), broken.as_bytes()),
        IdentityError::UnusableKey
    );
}

#[test]
fn debug_shows_no_key() {
    let issued = ca().workload("/a").unwrap();
    let identity = Identity::from_der(issued.chain_der(), issued.key().to_rustls()).unwrap();
    let shown = format!("{identity:?}");
    assert!(
        shown.contains("spiffe://example.org/a") && shown.len() < 200,
        "{shown}"
    );
}

#[test]
fn roots_are_certificate_authorities() {
    let ca = ca();
    let leaf = ca.workload("/a").unwrap();
    let sections = format!("{}{}", ca.certificate_pem(), leaf.key_pem());
    assert_eq!(Roots::from_pem(sections.as_bytes()).unwrap().len(), 1);
    refused!(Roots::from_pem(b""), RootsError::Pem);
    refused!(Roots::from_pem(leaf.key_pem().as_bytes()), RootsError::Pem);
    refused!(
        Roots::from_der([ca.root_der(), leaf.certificate_der()]),
        RootsError::NotAnAuthority { position: 1 }
    );
    refused!(
        Roots::from_der([&CertificateDer::from(vec![0x30, 0])]),
        RootsError::Unreadable { position: 0, .. }
    );
    let cut = &ca.certificate_pem()[..100];
    refused!(Roots::from_pem(cut.as_bytes()), RootsError::Pem);
    refused!(
        Roots::from_der(std::iter::repeat_n(ca.root_der(), 65)),
        RootsError::TooMany { limit: 64 }
    );
}

fn changed(der: &[u8], changes: &[(prop::sample::Index, u8)]) -> CertificateDer<'static> {
    let mut der = der.to_vec();
    for (place, byte) in changes {
        let place = place.index(der.len());
        der[place] = *byte;
    }
    CertificateDer::from(der)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_changed_certificate_never_passes_and_never_panics(
        in_leaf in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        in_issuer in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        thread_local! {
            static CHAIN: (DevelopmentCa, Vec<CertificateDer<'static>>) = {
                let root = ca();
                let intermediate = root.intermediate().unwrap();
                let chain = intermediate.leaf().add_uri(ORDERS).issue().unwrap().chain_der();
                (root, chain)
            };
        }
        let (root, original) = CHAIN.with(Clone::clone);
        let chain = vec![changed(&original[0], &in_leaf), changed(&original[1], &in_issuer)];
        let verdict = verify_svid(&chain, &bundles([&root]), Role::Client, root.reference_time());
        prop_assert_eq!(verdict.is_ok(), chain == original);
        // A changed authority is no better as a root of its own.
        let _ = Roots::from_der(&chain);
    }

    #[test]
    fn reading_noise_never_panics(text in "(-----BEGIN [A-Z ]{0,20}-----\n)?[ -~\n]{0,200}") {
        let _ = Roots::from_pem(text.as_bytes());
        let _ = Identity::from_pem(text.as_bytes(), text.as_bytes());
    }
}

/// The same name and key twice: as the authority was, and as it was renewed.
#[test]
fn an_expired_root_does_not_lift_the_constraints_of_its_renewal() {
    use rcgen::{DnType, GeneralSubtree, NameConstraints, date_time_ymd};

    let key = KeyPair::generate().unwrap();
    let authority = |years: (i32, i32), permitted: &[&str]| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        if !permitted.is_empty() {
            let names = permitted
                .iter()
                .map(|name| GeneralSubtree::DnsName((*name).into()));
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: names.collect(),
                excluded_subtrees: Vec::new(),
            });
        }
        params
    };
    let expired = authority((2020, 2021), &[]);
    let renewed = authority((2024, 2040), &["internal.example"]);
    let roots = [
        expired.self_signed(&key).unwrap().der().clone(),
        renewed.self_signed(&key).unwrap().der().clone(),
    ];
    let now = WallTime::from_unix_seconds(1_790_000_000);
    let leaf = |name: &str| {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2039, 1, 1);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let issuer = Issuer::from_params(&renewed, &key);
        let leaf_key = KeyPair::generate().unwrap();
        params.signed_by(&leaf_key, &issuer).unwrap().der().clone()
    };
    for order in [[0, 1], [1, 0]] {
        let set = Roots::from_der(order.map(|index: usize| &roots[index])).unwrap();
        let check = |name| verify_dns(&[leaf(name)], &set, Role::Client, now);
        assert!(check("orders.internal.example").is_ok(), "{order:?}");
        assert!(check("bank.example").is_err(), "{order:?}");
    }
}
