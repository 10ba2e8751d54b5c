//! The extensions of version 2, and the checksum that may be among them.

use super::ProxyProtocolError;

/// `PP2_TYPE_CRC32C`.
const CHECKSUM: u8 = 0x03;

/// CRC-32C, reflected (RFC 3720 appendix B.4).
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Checks that the extensions add up, and the checksum over the whole header if there is one.
pub(super) fn check(header: &[u8], extensions: &[u8]) -> Result<(), ProxyProtocolError> {
    let begin = header.len().saturating_sub(extensions.len());
    let mut rest = extensions;
    while let Some((&[kind, high, low], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let at = begin + extensions.len().saturating_sub(after.len());
        let (value, after) = after
            .split_at_checked(length)
            .ok_or(ProxyProtocolError::Extensions)?;
        if kind == CHECKSUM {
            let expected: [u8; 4] = value
                .try_into()
                .map_err(|_| ProxyProtocolError::Extensions)?;
            // The checksum is of the header with zeros in its own place.
            let seen = header.iter().enumerate().map(|(position, byte)| {
                let is_own = (at..at + length).contains(&position);
                if is_own { 0 } else { *byte }
            });
            if crc32c(seen) != u32::from_be_bytes(expected) {
                return Err(ProxyProtocolError::Checksum);
            }
        }
        rest = after;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(ProxyProtocolError::Extensions)
    }
}

pub(super) fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg())
        })
    })
}
