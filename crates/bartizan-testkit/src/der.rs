//! The few DER structures (X.690 §8, §10) that keys and hand-made extensions need.

pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;

/// One value: tag, definite length in its shortest form, content.
pub(crate) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(u8::try_from(length).unwrap_or_default());
    } else {
        let bytes = length.to_be_bytes();
        let significant: Vec<u8> = bytes.into_iter().skip_while(|b| *b == 0).collect();
        out.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
        out.extend(significant);
    }
    out.extend_from_slice(content);
    out
}

/// A SEQUENCE of values that are encoded already.
pub(crate) fn sequence(members: &[Vec<u8>]) -> Vec<u8> {
    value(SEQUENCE, &members.concat())
}

/// A non-negative INTEGER from its big-endian bytes.
pub(crate) fn unsigned(big_endian: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = big_endian.iter().copied().skip_while(|b| *b == 0).collect();
    // The top bit is the sign, so a value that has it set needs a zero byte in front; and zero
    // itself is one byte, not none.
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    value(0x02, &content)
}

/// A BIT STRING of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut content = vec![0];
    content.extend_from_slice(bytes);
    value(BIT_STRING, &content)
}

/// The DER of a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) from an encoded AlgorithmIdentifier.
pub(crate) fn public_key_info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    sequence(&[algorithm.to_vec(), bit_string(key)])
}

/// A text block of RFC 7468.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            out.push('\n');
        }
        out.push(character);
    }
    out.push_str(&format!("\n-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoded: Vec<u8>, expected: &[u8]) {
        assert_eq!(encoded, expected);
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        check(unsigned(&[]), &[2, 1, 0]);
        check(unsigned(&[0, 0, 0]), &[2, 1, 0]);
        check(unsigned(&[0, 1]), &[2, 1, 1]);
        check(unsigned(&[0x7f]), &[2, 1, 0x7f]);
        check(unsigned(&[0x80]), &[2, 2, 0, 0x80]);
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        check(value(4, &[7; 2]), &[4, 2, 7, 7]);
        assert_eq!(value(4, &[0; 127]).get(..2), Some(&[4, 127][..]));
        assert_eq!(value(4, &[0; 128]).get(..3), Some(&[4, 0x81, 128][..]));
        assert_eq!(value(4, &[0; 300]).get(..4), Some(&[4, 0x82, 1, 44][..]));
    }

    #[test]
    fn pem_lines_hold_64_characters() {
        let text = pem("X", &[0; 60]);
        let lines: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lines, [17, 64, 16, 15]);
    }
}
