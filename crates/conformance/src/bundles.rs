//! `spiffe-id/go-spiffe/bundle`: bundles as files, and `structured-fields/binary.json`: the byte
//! sequences in which certificates are forwarded.

use anyhow::{Context, Result};
use bartizan_mtls::{Roots, SpiffeBundle, parse_client_cert};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::material::{Material, Members, items};
use crate::tally::{Expected, Tally, reason};

/// A bundle document. Its name says if it is bad; else each key for X509-SVIDs is a root.
pub(crate) fn document(material: &Material, tally: &mut Tally) -> Result<()> {
    let bytes = material.bytes()?;
    let expected = if material.path().ends_with("_missing_kid.json") {
        Expected::Refused
    } else {
        let document = material.json()?;
        let roots = document
            .list("keys")
            .unwrap_or_default()
            .iter()
            .filter(|key| key.maybe_text("use") == Some("x509-svid"));
        let number = |name| document.get(name).and_then(Value::as_u64);
        Expected::value(format!(
            "{} roots, sequence {:?}, asked every {} s",
            roots.count(),
            number("spiffe_sequence"),
            number("spiffe_refresh_hint").unwrap_or(300),
        ))
    };
    tally.judge("document", expected, || {
        let bundle = SpiffeBundle::from_json(&bytes).map_err(reason)?;
        Ok(format!(
            "{} roots, sequence {:?}, asked every {} s",
            bundle.roots().len(),
            bundle.sequence(),
            bundle.refresh_hint().as_secs(),
        ))
    });
    Ok(())
}

/// Roots as PEM text. The files' names say what they are.
pub(crate) fn pem(material: &Material, tally: &mut Tally) -> Result<()> {
    let bytes = material.bytes()?;
    let expected = match material.path().rsplit('/').next() {
        Some("cert.pem") => Expected::value("1"),
        Some("certs.pem") => Expected::value("2"),
        // That library takes no certificates for an empty bundle; a file that was cut short looks
        // the same.
        Some("empty.pem") => Expected::Either,
        _ => Expected::Refused,
    };
    tally.judge("roots", expected, || {
        let roots = Roots::from_pem(&bytes).map_err(reason)?;
        Ok(roots.len().to_string())
    });
    Ok(())
}

/// Byte sequences, as `Client-Cert` has them.
pub(crate) fn byte_sequences(material: &Material, tally: &mut Tally) -> Result<()> {
    for case in items(&material.json()?)? {
        let [line] = case.texts("raw")?[..] else {
            tally.skip("several lines: the field occurs once");
            continue;
        };
        let is = |flag: &str| case.get(flag).and_then(Value::as_bool) == Some(true);
        let expected = match (is("must_fail"), is("can_fail")) {
            (true, _) => Expected::Refused,
            (_, true) => Expected::Either,
            _ => {
                let value = case.list("expected")?.first();
                let value = value.context("a value is missing")?.text("value")?;
                Expected::value(BASE64_STANDARD.encode(base32(value)))
            }
        };
        tally.judge(case.text("name")?, expected, || {
            let bytes = parse_client_cert(line).map_err(reason)?;
            Ok(BASE64_STANDARD.encode(bytes))
        });
    }
    Ok(())
}

/// The bytes of base32 text (RFC 4648 §6), which the files have them in.
fn base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for character in text.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'2'..=b'7' => character - b'2' + 26,
            _ => break,
        };
        held = held << 5 | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    bytes
}
