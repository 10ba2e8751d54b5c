//! Tokens that are written in another way, or are not tokens.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::given::{Given, Made};
use crate::table::table;
use crate::token::parts;

table! { Tokens;
    "token.one-part" "text without dots", "RFC 7515 §7.1" =>
        |given| written(given, |[h, _, _]| vec![h, "token".to_owned()]);
    "token.two-parts" "a token without its signature", "RFC 7515 §7.1" =>
        |given| written(given, |[h, p, s]| vec![format!("{h}.{p}"), format!("{p}.{s}"), format!("{h}.{s}")]);
    "token.four-parts" "a token with a part more", "RFC 7515 §7.1" =>
        |given| written(given, |[h, p, s]| vec![format!("{h}.{p}.{s}."), format!("{h}.{p}.{s}.{s}"), format!(".{h}.{p}.{s}")]);
    "token.empty-parts" "a token with empty parts", "RFC 7515 §7.1" =>
        |given| written(given, |[h, p, s]| vec!["..".to_owned(), format!(".{p}.{s}"), format!("{h}..{s}"), "....".to_owned()]);
    "token.parts-in-another-order" "the parts of a token in another order", "RFC 7515 §7.1" =>
        |given| written(given, |[h, p, s]| vec![format!("{p}.{h}.{s}"), format!("{s}.{p}.{h}")]);
    "token.base64-padding" "padding, which the encoding does not have", "RFC 7515 §2" =>
        |given| written(given, |[h, p, s]| {
            let padded = |part: &str| format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4));
            vec![format!("{h}.{p}.{}==", s), format!("{}=.{p}.{s}", padded(&h)), format!("{h}.{}=.{s}", padded(&p))]
        });
    "token.base64-other-alphabet" "the alphabet of ordinary base64", "RFC 7515 §2" =>
        |given| written(given, |[h, p, s]| {
            let other = |part: &str| URL_SAFE_NO_PAD.decode(part).map(|it| STANDARD.encode(it)).unwrap_or_default();
            vec![format!("{h}.{p}.{}+/", s.get(2..).unwrap_or_default()), format!("{}==.{}=.{}=", other(&h), other(&p), other(&s))]
        });
    "token.base64-white-space" "white space and line feeds in the encoding", "RFC 7515 §2" =>
        |given| written(given, |[h, p, s]| {
            let (front, back) = p.split_at(p.len() / 2);
            vec![format!("{h}.{front} {back}.{s}"), format!("{h}.{front}\t{back}.{s}"), format!("{h} .{p}.{s}")]
        });
    "token.base64-trailing-bits" "bits behind the last byte, which another token might have", "RFC 4648 §3.5" =>
        |given| given.tokens(|it| {
            // One byte in two characters leaves four bits that mean nothing.
            let token = it.kept();
            let [h, p, s] = parts(&token);
            let bytes = URL_SAFE_NO_PAD.decode(&s).unwrap_or_default();
            let mut text = s.clone();
            if bytes.len() % 3 != 0 {
                let last = text.pop().unwrap_or('A');
                let next = URL_SAFE_NO_PAD_ALPHABET.find(last).map_or(0, |at| at ^ 1);
                text.push(URL_SAFE_NO_PAD_ALPHABET.as_bytes().get(next).map_or('B', |it| char::from(*it)));
            } else {
                text.push('A');
            }
            [format!("{h}.{p}.{text}")]
        });
    "token.percent-encoded" "a token with its dots percent-encoded", "RFC 6750 §2.1" =>
        |given| written(given, |[h, p, s]| vec![format!("{h}%2e{p}%2e{s}"), format!("{h}%2E{p}.{s}")]);
    "token.encoded-twice" "a token that was encoded as a whole", "RFC 7515 §7.1" =>
        |given| written(given, |[h, p, s]| {
            let token = format!("{h}.{p}.{s}");
            vec![URL_SAFE_NO_PAD.encode(&token), STANDARD.encode(&token), URL_SAFE.encode(token)]
        });
    "token.json-flattened" "a token in the flattened JSON form", "RFC 7515 §7.2.2" =>
        |given| written(given, |[h, p, s]| vec![json!({ "protected": h, "payload": p, "signature": s }).to_string()]);
    "token.json-general" "a token in the general JSON form", "RFC 7515 §7.2.1" =>
        |given| written(given, |[h, p, s]| {
            vec![json!({ "payload": p, "signatures": [{ "protected": h, "signature": s }] }).to_string()]
        });
    "token.jwe-direct" "an encrypted token under a key that both would know", "RFC 7516 §7.1" =>
        |given| encrypted(given, r#"{"alg":"dir","enc":"A256GCM"}"#);
    "token.jwe-public-key" "an encrypted token for a public key of the service", "RFC 7516 §7.1" =>
        |given| encrypted(given, r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","cty":"JWT"}"#);
    "token.jwe-password" "an encrypted token whose password takes hours to derive", "RFC 8725 §2.2, CVE-2023-51774" =>
        |given| encrypted(given, r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}"#);
    "token.jwe-curve" "an encrypted token with a point that is not on its curve", "RFC 8725 §3.4" =>
        |given| encrypted(given, r#"{"alg":"ECDH-ES","enc":"A128GCM","epk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}"#);
    "token.paseto" "tokens of another standard", "RFC 6750 §2.1" =>
        |given| written(given, |[_, p, _]| vec![format!("v2.public.{p}"), format!("v4.local.{p}"), format!("v1.{p}.{p}")]);
    "token.upper-case" "a token in capitals", "RFC 4648 §5" =>
        |given| written(given, |[h, p, s]| vec![format!("{h}.{p}.{s}").to_uppercase(), format!("{h}.{p}.{s}").to_lowercase()]);
    "token.quoted" "a token in quotes or brackets", "RFC 6750 §2.1" =>
        |given| written(given, |[h, p, s]| {
            [("\"", "\""), ("<", ">"), ("[", "]"), ("'", "'")].map(|(a, b)| format!("{a}{h}.{p}.{s}{b}")).to_vec()
        });
    "token.large" "a token of sixty thousand bytes", "CWE-770" =>
        |given| written(given, |[h, p, s]| vec![format!("{h}.{}.{s}", p.repeat(60_000 / p.len().max(1)))]);
    "token.large-claims" "a good signature over claims of sixty thousand bytes", "CWE-770" =>
        |given| given.mints(|it| [it.claim("x", "y".repeat(60_000))]);
    "token.of-dots" "a token of thousands of dots", "CWE-1333" =>
        |given| written(given, |_| vec![".".repeat(5_000)]);
    "token.not-ascii" "a token with bytes that are no text", "RFC 6750 §2.1" =>
        |given| {
            let token = given.good()?.kept();
            given.drafts(|it| [&b"\xff"[..], b"\xc3\xa9", b"\xc0\x80"].map(|bytes| {
                it.clone().field("authorization", [b"Bearer ", token.as_bytes(), bytes].concat())
            }))
        };
    "token.shown-as-key-in-pem" "PEM in the place of a token", "RFC 6750 §2.1" =>
        |given| written(given, |_| vec!["-----BEGIN PRIVATE KEY-----".to_owned()]);
}

const URL_SAFE_NO_PAD_ALPHABET: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A good token, written anew from its parts.
fn written(given: &Given<'_>, make: impl FnOnce([String; 3]) -> Vec<String>) -> Made {
    given.tokens(|it| make(parts(&it.kept())))
}

/// What stands in the place of an encrypted token under this header.
fn encrypted(given: &Given<'_>, header: &str) -> Made {
    let header = URL_SAFE_NO_PAD.encode(header);
    written(given, |[_, p, s]| {
        vec![
            format!("{header}..AAAAAAAAAAAAAAAA.{p}.AAAAAAAAAAAAAAAAAAAAAA"),
            format!("{header}.{s}.AAAAAAAAAAAAAAAA.{p}.AAAAAAAAAAAAAAAAAAAAAA"),
        ]
    })
}
