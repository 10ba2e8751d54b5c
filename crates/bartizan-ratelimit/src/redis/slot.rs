//! Which slot of a cluster a subject has.

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// The slot of a hash tag: CRC-16/XMODEM, as the cluster specification has it.
pub(super) fn of(tag: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for byte in tag {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = match crc & 0x8000 {
                0 => crc << 1,
                _ => (crc << 1) ^ 0x1021,
            };
        }
    }
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // The check value of the specification, and what `CLUSTER KEYSLOT` says.
        assert_eq!(of(b"123456789"), 0x31C3);
        assert_eq!(of(b"foo"), 12_182);
        assert_eq!(of(b""), 0);
    }
}
