//! `Client-Cert` and `Client-Cert-Chain` of RFC 9440.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::rules::{MAX_CERTIFICATE_BYTES, MAX_CHAIN_CERTIFICATES};

// RFC 8941 §4.2.7: padding that is absent, and bits behind the last byte that are not zero, should
// not be a failure. The bytes are the same.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The longest text of one certificate: base64, and the colons around it.
const MAX_ITEM_BYTES: usize = MAX_CERTIFICATE_BYTES.div_ceil(3) * 4 + 2;

/// Why a text is no `Client-Cert` or `Client-Cert-Chain`. No variant quotes the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientCertError {
    /// It is no byte sequence: base64 between two colons ([RFC 8941 §3.3.5]).
    ///
    /// [RFC 8941 §3.3.5]: https://www.rfc-editor.org/rfc/rfc8941#section-3.3.5
    #[error("value is no byte sequence")]
    NotBytes,
    /// A certificate is larger than 16 KiB.
    #[error("certificate is too large: at most {MAX_CERTIFICATE_BYTES} bytes")]
    TooLarge,
    /// The chain has more than ten certificates.
    #[error("chain is too long: at most {MAX_CHAIN_CERTIFICATES} certificates")]
    TooMany,
}

/// The certificate in a `Client-Cert` field, as DER ([RFC 9440 §2.2]).
///
/// The bytes are decoded and not looked at. Parameters, which the field does not define, are
/// refused.
///
/// ```
/// use bartizan_mtls::parse_client_cert;
///
/// assert_eq!(parse_client_cert(":AQID:")?, [1, 2, 3]);
/// assert!(parse_client_cert("AQID").is_err());
/// # Ok::<(), bartizan_mtls::ClientCertError>(())
/// ```
///
/// # Errors
///
/// [`ClientCertError`] names the rule that the text breaks.
///
/// [RFC 9440 §2.2]: https://www.rfc-editor.org/rfc/rfc9440#section-2.2
pub fn parse_client_cert(text: &str) -> Result<Vec<u8>, ClientCertError> {
    byte_sequence(text.trim_matches(' '))
}

/// The certificates in a `Client-Cert-Chain` field, as DER: those after the leaf ([RFC 9440 §2.3]).
///
/// Several lines of the field are joined by commas first. Ten certificates at most.
///
/// # Errors
///
/// [`ClientCertError`] names the rule that the text breaks.
///
/// [RFC 9440 §2.3]: https://www.rfc-editor.org/rfc/rfc9440#section-2.3
pub fn parse_client_cert_chain(text: &str) -> Result<Vec<Vec<u8>>, ClientCertError> {
    let mut chain = Vec::new();
    for item in text.trim_matches(' ').split(',') {
        if chain.len() == MAX_CHAIN_CERTIFICATES {
            return Err(ClientCertError::TooMany);
        }
        chain.push(byte_sequence(item.trim_matches([' ', '\t']))?);
    }
    Ok(chain)
}

fn byte_sequence(item: &str) -> Result<Vec<u8>, ClientCertError> {
    if item.len() > MAX_ITEM_BYTES {
        return Err(ClientCertError::TooLarge);
    }
    let inner = item
        .strip_prefix(':')
        .and_then(|item| item.strip_suffix(':'))
        .ok_or(ClientCertError::NotBytes)?;
    let bytes = BASE64
        .decode(inner)
        .map_err(|_| ClientCertError::NotBytes)?;
    // The text's limit is rounded up to whole groups of base64.
    if bytes.len() > MAX_CERTIFICATE_BYTES {
        return Err(ClientCertError::TooLarge);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn print(bytes: &[u8]) -> String {
        format!(":{}:", base64::prelude::BASE64_STANDARD.encode(bytes))
    }

    fn check(text: &str, expected: Result<&[u8], ClientCertError>) {
        assert_eq!(
            parse_client_cert(text).as_deref(),
            expected.as_ref().copied(),
            "{text}"
        );
    }

    #[test]
    fn reads_byte_sequences() {
        check(":AQID:", Ok(&[1, 2, 3]));
        check("  :AQID:  ", Ok(&[1, 2, 3]));
        check("::", Ok(&[]));
        check(":AQ==:", Ok(&[1]));
        check(":AQ:", Ok(&[1]));
        check(":AR==:", Ok(&[1]));
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            ":",
            "AQID",
            ":AQID",
            "AQID:",
            ":AQID:;a=1",
            ":AQ ID:",
            ":AQ-_:",
            ":A:",
            "\"AQID\"",
            ":AQID:, :AQID:",
            "\t:AQID:",
            ":AQ=ID:",
            ":AQID===:",
            ":ä:",
        ] {
            check(text, Err(ClientCertError::NotBytes));
        }
    }

    #[test]
    fn reads_chains_and_holds_their_limit() {
        let chain = parse_client_cert_chain(" :AQ==:,\t:Ag==: , :Aw==:").unwrap();
        assert_eq!(chain, [[1], [2], [3]]);
        assert_eq!(
            parse_client_cert_chain(":AQ==:,"),
            Err(ClientCertError::NotBytes)
        );
        let of = |count: usize| parse_client_cert_chain(&vec![":AQ==:"; count].join(","));
        assert_eq!(of(MAX_CHAIN_CERTIFICATES).unwrap().len(), 10);
        assert_eq!(
            of(MAX_CHAIN_CERTIFICATES + 1),
            Err(ClientCertError::TooMany)
        );
    }

    #[test]
    fn holds_the_limit_of_a_certificate() {
        for (bytes, fits) in [
            (MAX_CERTIFICATE_BYTES - 1, true),
            (MAX_CERTIFICATE_BYTES, true),
            (MAX_CERTIFICATE_BYTES + 1, false),
            (MAX_CERTIFICATE_BYTES * 2, false),
        ] {
            let outcome = parse_client_cert(&print(&vec![7; bytes]));
            let expected = if fits {
                Ok(vec![7; bytes])
            } else {
                Err(ClientCertError::TooLarge)
            };
            assert!(outcome == expected, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = parse_client_cert(&text);
            let _ = parse_client_cert_chain(&text);
        }

        #[test]
        fn what_is_printed_parses_to_the_same(
            chain in proptest::collection::vec(any::<Vec<u8>>(), 1..10),
        ) {
            let text: Vec<_> = chain.iter().map(|bytes| print(bytes)).collect();
            prop_assert_eq!(parse_client_cert(&text[0]), Ok(chain[0].clone()));
            prop_assert_eq!(parse_client_cert_chain(&text.join(", ")), Ok(chain));
        }
    }
}
