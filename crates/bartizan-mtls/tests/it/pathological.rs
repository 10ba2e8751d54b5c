//! Chains that are made to be laborious.

use bartizan_mtls::{Role, Roots, SvidError, TrustBundles, verify_svid};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;

use crate::support::{ORDERS, bundles, ca};

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn leaf() -> CertificateParams {
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(ORDERS.try_into().unwrap())];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf
}

/// A certificate for the key of `subject`, signed by the key of `issuer`.
fn signed(
    params: &CertificateParams,
    key: &KeyPair,
    issuer: &(CertificateParams, KeyPair),
) -> CertificateDer<'static> {
    let issuer = Issuer::from_params(&issuer.0, &issuer.1);
    params.signed_by(key, &issuer).unwrap().der().clone()
}

fn authorities(names: impl IntoIterator<Item = &'static str>) -> Vec<(CertificateParams, KeyPair)> {
    let names = names.into_iter();
    names
        .map(|name| (authority(name), KeyPair::generate().unwrap()))
        .collect()
}

fn verify(chain: &[CertificateDer<'_>], roots: Roots) -> Result<(), SvidError> {
    let bundles = TrustBundles::new().with_bundle("example.org".parse().unwrap(), roots);
    verify_svid(chain, &bundles, Role::Client, ca().reference_time()).map(drop)
}

#[test]
fn authorities_that_sign_each_other_lead_nowhere() {
    let circle = authorities(["a", "b", "c"]);
    let mut chain = vec![signed(&leaf(), &KeyPair::generate().unwrap(), &circle[0])];
    for (params, key) in &circle {
        for issuer in &circle {
            chain.push(signed(params, key, issuer));
        }
    }
    assert_eq!(chain.len(), 10);
    let ca = ca();
    let elsewhere = Roots::from_der([ca.root_der()]).unwrap();
    assert!(matches!(
        verify(&chain, elsewhere),
        Err(SvidError::UnknownIssuer | SvidError::Path(_))
    ));

    // One of them being a root, there is a way out.
    let root = circle[2].0.self_signed(&circle[2].1).unwrap().der().clone();
    let roots = Roots::from_der([&root]).unwrap();
    assert!(verify(&chain, roots).is_ok());
}

/// Each might be the issuer of each other, by its name; to know, signatures have to be verified.
#[test]
fn authorities_of_one_name_are_not_all_tried_in_every_order() {
    let many = authorities(["same"; 9]);
    let stranger = &authorities(["same"])[0];
    let mut chain = vec![signed(&leaf(), &KeyPair::generate().unwrap(), stranger)];
    chain.extend(
        many.iter()
            .map(|(params, key)| signed(params, key, stranger)),
    );
    let roots: Vec<_> = authorities(["same"; 64])
        .into_iter()
        .map(|(params, key)| params.self_signed(&key).unwrap().der().clone())
        .collect();
    let roots = Roots::from_der(&roots).unwrap();
    // The budget for signatures is spent before all of 9! · 64 ways are tried.
    assert!(matches!(
        verify(&chain, roots),
        Err(SvidError::UnknownIssuer | SvidError::Path(_))
    ));
}

#[test]
fn a_chain_of_fifty_is_refused_before_it_is_looked_at() {
    let ca = ca();
    let leaf = ca.leaf().add_uri(ORDERS).issue().unwrap();
    let mut chain = leaf.chain_der();
    let between = ca.intermediate().unwrap();
    chain.resize(50, between.certificate_der().clone());
    let verdict = verify_svid(&chain, &bundles([&ca]), Role::Client, ca.reference_time());
    assert!(
        matches!(verdict, Err(SvidError::ChainTooLong { certificates: 50 })),
        "{verdict:?}"
    );
}
