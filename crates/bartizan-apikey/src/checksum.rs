//! The checksum at the end of a key: CRC-32 in six characters of base 62.

use crate::format::ALPHABET;

/// How many characters a checksum has: 62^6 is more than 2^32.
pub(crate) const LENGTH: usize = 6;

/// The checksum of everything before it.
///
/// CRC-32 as zlib has it (reflected, polynomial 0xedb88320). It finds every change of up to four
/// characters in a row and every two neighbours that changed places; of other changes it misses
/// one in 2^32. It keeps nobody from making one up: it is there for typing errors and scanners.
pub(crate) fn of(bytes: &[u8]) -> [u8; LENGTH] {
    let mut rest = crc32(bytes);
    let mut digits = [b'0'; LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET
            .get((rest % 62) as usize)
            .copied()
            .unwrap_or_default();
        rest /= 62;
    }
    digits
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        let index = (crc as u8) ^ byte;
        let step = TABLE.get(usize::from(index)).copied().unwrap_or_default();
        crc = (crc >> 8) ^ step;
    }
    !crc
}

const TABLE: [u32; 256] = table();

#[expect(
    clippy::indexing_slicing,
    reason = "const evaluation; the loop bounds the index"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ 0xedb8_8320
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_of_everybody() {
        assert_eq!(
            crc32(b"123456789"),
            0xcbf4_3926,
            "the check value of CRC-32/ISO-HDLC"
        );
        assert_eq!(crc32(b""), 0);
        assert_eq!(&of(b"123456789"), b"3jZRME");
        assert_eq!(&of(b""), b"000000");
    }
}
