//! Certificates that nobody issued, or not for this.

use crate::authority::Authority;
use crate::given::{Given, Made};
use crate::leaf::{
    CLIENT, CODE_SIGNING, CRL_SIGN, DIGITAL_SIGNATURE, KEY_AGREEMENT, KEY_CERT_SIGN, Leaf,
    OCSP_SIGNING, SERVER,
};
use crate::table::table;

table! { Certificates;
    "certificate.absent" "no certificate", "RFC 8446 §4.4.2.4" =>
        |given| given.identities(|_, _| Ok([None]));
    "certificate.of-impostor" "a certificate of an authority that took the name of the right one", "RFC 5280 §6.1" =>
        |given| given.identities(|authority, leaf| Ok([Some(leaf.issue(&authority.impostor()?)?)]));
    "certificate.of-impostor-with-chain" "the same, with the impostor's own certificate beside it", "RFC 5280 §6.1" =>
        |given| given.identities(|authority, leaf| {
            let impostor = authority.impostor()?;
            let mut identity = leaf.issue(&impostor)?;
            identity.chain.push(impostor.certificate.clone());
            Ok([Some(identity)])
        });
    "certificate.of-stranger" "a certificate of an authority that nobody knows", "RFC 5280 §6.1" =>
        |given| given.identities(|authority, leaf| Ok([Some(leaf.issue(&authority.stranger()?)?)]));
    "certificate.of-stranger-with-root" "a certificate of a stranger, with the right authority's behind it", "RFC 5280 §6.1" =>
        |given| given.identities(|authority, leaf| {
            let mut identity = leaf.issue(&authority.stranger()?)?;
            identity.chain.push(authority.certificate.clone());
            Ok([Some(identity)])
        });
    "certificate.of-a-client" "a certificate that another client signed with its own", "RFC 5280 §4.2.1.9" =>
        |given| given.identities(|authority, leaf| {
            let below = Authority::below(&leaf.issue(authority)?)?;
            Ok([Some(leaf.issue(&below)?)])
        });
    "certificate.of-a-client-that-may-sign" "a certificate of a client whose key may sign, but which is no authority", "RFC 5280 §4.2.1.9" =>
        |given| given.identities(|authority, leaf| {
            let signer = Leaf { key_usage: Some(KEY_CERT_SIGN | DIGITAL_SIGNATURE), ..leaf.clone() };
            let below = Authority::below(&signer.issue(authority)?)?;
            Ok([Some(leaf.issue(&below)?)])
        });
    "certificate.without-its-key" "somebody's certificate, without its private key", "RFC 8446 §4.4.3" =>
        |given| leaves(given, |leaf| Leaf { foreign_key: true, ..leaf });
    "certificate.signature-changed" "a certificate whose signature has a bit changed", "RFC 5280 §6.1.3" =>
        |given| leaves(given, |leaf| Leaf { breaks_signature: true, ..leaf });
    "certificate.expired" "a certificate that expired an hour ago, or years", "RFC 5280 §4.1.2.5" =>
        |given| given.leaves(|leaf| [leaf.clone().valid(-7200, -3600), leaf.valid(-1_000_000_000, -900_000_000)]);
    "certificate.of-the-future" "a certificate that is valid tomorrow", "RFC 5280 §4.1.2.5" =>
        |given| given.leaves(|leaf| [leaf.valid(86_400, 172_800)]);
    "certificate.never-valid" "a certificate that ends before it begins", "RFC 5280 §4.1.2.5" =>
        |given| given.leaves(|leaf| [leaf.valid(3600, -3600)]);
    "certificate.of-servers" "a certificate for servers alone", "RFC 5280 §4.2.1.12" =>
        |given| leaves(given, |leaf| Leaf { extended: vec![SERVER], ..leaf });
    "certificate.of-code" "a certificate for signing code", "RFC 5280 §4.2.1.12" =>
        |given| leaves(given, |leaf| Leaf { extended: vec![CODE_SIGNING], ..leaf });
    "certificate.of-status" "a certificate for signing answers of OCSP", "RFC 5280 §4.2.1.12" =>
        |given| leaves(given, |leaf| Leaf { extended: vec![OCSP_SIGNING], ..leaf });
    "certificate.of-an-authority" "an authority's certificate in the place of a client's", "X509-SVID §4.1" =>
        |given| leaves(given, |leaf| Leaf { is_ca: Some(true), ..leaf });
    "certificate.that-signs-others" "a client's certificate whose key may sign certificates", "X509-SVID §4.3" =>
        |given| leaves(given, |leaf| Leaf { key_usage: Some(DIGITAL_SIGNATURE | KEY_CERT_SIGN), ..leaf });
    "certificate.that-signs-lists" "a client's certificate whose key may sign revocation lists", "X509-SVID §4.3" =>
        |given| leaves(given, |leaf| Leaf { key_usage: Some(DIGITAL_SIGNATURE | CRL_SIGN), ..leaf });
    "certificate.that-signs-nothing" "a certificate whose key is not for signatures", "X509-SVID §4.3" =>
        |given| leaves(given, |leaf| Leaf { key_usage: Some(KEY_AGREEMENT), ..leaf });
    "certificate.with-unknown-extension" "a critical extension that nobody knows", "RFC 5280 §4.2" =>
        |given| leaves(given, |leaf| Leaf { more: vec![(vec![0x2a, 3, 4], vec![5, 0], true)], ..leaf });
    "certificate.names-twice" "the extension of names twice", "RFC 5280 §4.2" =>
        |given| leaves(given, |leaf| Leaf { names_twice: true, ..leaf });
    "certificate.names-malformed" "an extension of names that is not one", "RFC 5280 §4.2.1.6" =>
        |given| given.leaves(|leaf| {
            let content = [vec![], vec![0x30, 0x80], vec![0x04, 0], vec![0x30, 0x7f, 0x86]];
            content.map(|content| Leaf { names: Vec::new(), more: vec![(vec![0x55, 0x1d, 17], content, true)], ..leaf.clone() })
        });
    "certificate.usage-malformed" [Harmless] "an extension of usage that is not one", "RFC 5280 §4.2.1.3" =>
        |given| given.leaves(|leaf| {
            let content = [vec![], vec![0x03, 0], vec![0x03, 2, 9, 0x80]];
            content.map(|content| Leaf { key_usage: None, more: vec![(vec![0x55, 0x1d, 15], content, true)], ..leaf.clone() })
        });
    "certificate.for-clients-alone" [Harmless] "a certificate that says no more than that it is a client's", "X509-SVID §4.4" =>
        |given| leaves(given, |leaf| Leaf { extended: vec![CLIENT], ..leaf });
}

fn leaves(given: &Given<'_>, make: impl FnOnce(Leaf) -> Leaf) -> Made {
    given.leaves(|leaf| [make(leaf)])
}
