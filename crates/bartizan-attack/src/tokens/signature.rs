//! Signatures that are not of these bytes, or not signatures.

use serde_json::json;

use crate::der;
use crate::given::{Given, Made};
use crate::table::table;

table! { Tokens;
    "token.signature-missing" "the right algorithm, and no signature", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| [it.unsigned()]);
    "token.signature-zeros" "a signature of zeros", "CVE-2022-21449" =>
        |given| signed(given, |it| vec![vec![0; it.len()]]);
    "token.signature-ones" "a signature of ones", "RFC 7518 §3.4" =>
        |given| signed(given, |it| vec![vec![0xff; it.len()]]);
    "token.signature-half-zero" "a signature one half of which is zero", "CVE-2022-21449" =>
        |given| signed(given, |it| {
            let (front, back) = it.split_at(it.len() / 2);
            vec![[vec![0; front.len()], back.to_vec()].concat(), [front.to_vec(), vec![0; back.len()]].concat()]
        });
    "token.signature-of-the-order" "a signature whose halves are the order of the curve", "CVE-2022-21449" =>
        |given| signed(given, |_| vec![[ORDER, ORDER].concat()]);
    "token.signature-bit-flipped" "a signature with one bit changed, at each end and in the middle", "RFC 7515 §5.2" =>
        |given| signed(given, |it| [0, it.len() / 2, it.len().saturating_sub(1)].map(|at| {
            let mut other = it.to_vec();
            if let Some(byte) = other.get_mut(at) { *byte ^= 1; }
            other
        }).to_vec());
    "token.signature-cut-off" "the first bytes of a signature", "RFC 7515 §5.2" =>
        |given| signed(given, |it| [1, 16, it.len() / 2, it.len().saturating_sub(1)].map(|to| it.get(..to).unwrap_or_default().to_vec()).to_vec());
    "token.signature-longer" "a signature with bytes behind it", "RFC 7515 §5.2" =>
        |given| signed(given, |it| [&[0][..], &[0; 32], b"x"].map(|more| [it, more].concat()).to_vec());
    "token.signature-zeros-before" "a signature behind zeros", "RFC 7515 §5.2" =>
        |given| signed(given, |it| vec![[&[0], it].concat(), [&[0; 32], it].concat()]);
    "token.signature-twice" "a signature twice", "RFC 7515 §5.2" =>
        |given| signed(given, |it| vec![[it, it].concat()]);
    "token.signature-reversed" "a signature with its halves or its bytes the other way round", "RFC 7518 §3.4" =>
        |given| signed(given, |it| {
            let (front, back) = it.split_at(it.len() / 2);
            vec![[back, front].concat(), it.iter().rev().copied().collect()]
        });
    "token.signature-in-der" "a signature in the form that certificates use", "RFC 7518 §3.4" =>
        |given| signed(given, |it| {
            let (r, s) = it.split_at(it.len() / 2);
            vec![der::sequence(&[der::integer(r), der::integer(s)])]
        });
    "token.signature-of-another-token" "the signature of another good token", "RFC 7515 §5.2" =>
        |given| {
            let other = given.minted()?.claim("x", 1);
            let other = crate::token::Token::parse(&other.sign());
            given.tokens(|it| other.map(|other| it.with_signature(other.signature())))
        };
    "token.signature-of-the-attacker" "a signature by a key that nobody published", "RFC 7515 §5.2" =>
        |given| {
            let thief = &given.thief;
            given.tokens(|it| { let signature = thief.sign(it.input().as_bytes()); [it.with_signature(&signature)] })
        };
    "token.signature-not-base64" "a signature with characters that none has", "RFC 7515 §2" =>
        |given| given.tokens(|it| ["!!!!", "....", "%00", "@"].map(|text| format!("{}.{text}", it.input())));
    "token.signature-as-text" "the bytes of a signature in hexadecimal", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| {
            let text: String = it.signature().iter().map(|byte| format!("{byte:02x}")).collect();
            [format!("{}.{text}", it.input()), it.with_signature(text.as_bytes())]
        });
    "token.header-changed" "another header under the signature", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| [it.clone().header("x", 1).kept(), it.header("typ", "JOSE").kept()]);
    "token.subject-changed" "another subject under the signature", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| ["admin", "root", ""].map(|sub| it.clone().claim("sub", sub).kept()));
    "token.expiry-changed" "a later expiry under the signature", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| [it.claim("exp", 4_102_444_800_u64).kept()]);
    "token.audience-changed" "another audience under the signature", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| [it.claim("aud", json!(["*"])).kept()]);
    "token.scope-changed" "more scopes under the signature", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| [it.claim("scope", "admin").claim("roles", json!(["admin"])).kept()]);
    "token.claim-added" "one claim more under the signature", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| [it.claim("admin", true).kept()]);
    "token.white-space-added" "the same claims with white space, under the signature", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| { let text = it.payload_text() + " "; [it.raw_payload(text).kept()] });
    "token.members-in-another-order" "the same claims in another order, under the signature", "RFC 7515 §5.2" =>
        |given| given.tokens(|it| {
            let members: Vec<String> = it.claims.iter().rev().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
            [it.raw_payload(format!("{{{}}}", members.join(", "))).kept()]
        });
}

/// The order of P-256.
const ORDER: &[u8] = &[
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// A good token with other signatures, made from its own.
fn signed(given: &Given<'_>, make: impl FnOnce(&[u8]) -> Vec<Vec<u8>>) -> Made {
    given.tokens(|it| {
        let signatures = make(it.signature());
        let tokens = signatures
            .iter()
            .map(|signature| it.with_signature(signature));
        tokens.collect::<Vec<_>>()
    })
}
