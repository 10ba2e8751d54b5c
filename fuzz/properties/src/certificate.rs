//! Certificates of the far end: nothing is proven without a root, and whatever `x509-cert` reads as
//! well, both read alike.

use bartizan_core::WallTime;
use bartizan_mtls::fuzzing::{self, Certificate};
use bartizan_mtls::{Role, Roots, TrustBundles, verify_dns, verify_svid};
use rustls_pki_types::CertificateDer;
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::{Decode, Encode, asn1::ObjectIdentifier};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// Holds the bytes to what the head of this file says.
pub fn check(der: &[u8]) {
    let now = WallTime::from_unix_seconds(1_800_000_000);
    let chain = [CertificateDer::from(der)];
    // Nobody is trusted, so that whatever this is, it proves nothing.
    assert!(verify_svid(&chain, &TrustBundles::new(), Role::Client, now).is_err());
    let ours = fuzzing::certificate(der);
    if let Ok(roots) = Roots::from_der(&chain) {
        let ours = ours.as_ref().expect("a root was read");
        assert!(ours.is_authority);
        // It may issue others, and so is nobody's identity.
        assert!(verify_dns(&chain, &roots, Role::Server, now).is_err());
        let domain = "example.org".parse().expect("trust domain");
        let bundles = TrustBundles::new().with_bundle(domain, roots);
        assert!(verify_svid(&chain, &bundles, Role::Server, now).is_err());
    }
    let theirs = x509_cert::Certificate::from_der(der);
    if let (Some(ours), Ok(theirs)) = (ours, theirs) {
        compare(&ours, theirs.tbs_certificate());
    }
}

fn compare(ours: &Certificate, theirs: &TbsCertificate) {
    let serial = theirs.serial_number().as_bytes();
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    assert_eq!(ours.serial, serial[zeros.min(serial.len() - 1)..]);
    let validity = theirs.validity();
    let validity = [validity.not_before, validity.not_after];
    assert_eq!(
        ours.validity,
        validity.map(|time| time.to_unix_duration().as_secs())
    );
    let subject = theirs.subject().to_der().expect("it was read");
    assert_eq!(ours.subject_is_empty, subject == [0x30, 0]);
    if let Ok(basic) = theirs.get_extension::<BasicConstraints>() {
        assert_eq!(ours.is_authority, basic.is_some_and(|(_, basic)| basic.ca));
    }
    if let Ok(usage) = theirs.get_extension::<KeyUsage>() {
        let usage = usage.map(|(critical, usage)| {
            let signs = [usage.digital_signature(), usage.key_cert_sign()];
            [signs[0], signs[1], usage.crl_sign(), critical]
        });
        assert_eq!(ours.key_usage, usage);
    }
    if let Ok(usage) = theirs.get_extension::<ExtendedKeyUsage>() {
        let usage =
            usage.map(|(_, usage)| [SERVER_AUTH, CLIENT_AUTH].map(|id| usage.0.contains(&id)));
        assert_eq!(ours.extended_key_usage, usage);
    }
    if let Ok(names) = theirs.get_extension::<SubjectAltName>() {
        assert_eq!(
            ours.names_are_critical,
            names.as_ref().map(|(critical, _)| *critical)
        );
        let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
        for name in names.iter().flat_map(|(_, names)| &names.0) {
            match name {
                GeneralName::UniformResourceIdentifier(uri) => uris.push(uri.as_bytes().to_vec()),
                GeneralName::DnsName(name) => dns_names.push(name.as_bytes().to_vec()),
                _ => {}
            }
        }
        assert_eq!(ours.uris, uris);
        assert_eq!(ours.dns_names, dns_names);
    }
}
