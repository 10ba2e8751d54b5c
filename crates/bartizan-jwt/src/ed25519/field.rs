//! Whether a number is the y coordinate of a point of edwards25519, which ring does not tell.
//!
//! Nothing here is secret: keys that were published are looked at, once, when they are loaded.

/// The number of bits of a limb.
const BITS: u32 = 51;

const MASK: u64 = (1 << BITS) - 1;

/// The curve's constant, -121665/121666.
const D: Number = Number([
    0x0003_4dca_1359_78a3,
    0x0001_a828_3b15_6ebd,
    0x0005_e7a2_6001_c029,
    0x0007_39c6_63a0_3cbb,
    0x0005_2036_cee2_b6ff,
]);

/// A number modulo 2^255 - 19, in limbs of 51 bits, little endian, not always reduced: a limb is
/// below 2^54, so that no sum of products overflows.
#[derive(Clone, Copy)]
struct Number([u64; 5]);

/// Whether there is an x with -x² + y² = 1 + d·x²·y² ([RFC 8032 §5.1]): whether
/// (y² - 1) / (d·y² + 1) is a square.
///
/// [RFC 8032 §5.1]: https://www.rfc-editor.org/rfc/rfc8032#section-5.1
pub(super) fn is_on_curve(y: &[u8; 32]) -> bool {
    let square = Number::from_bytes(y).squared();
    let above = square.minus_one();
    let below = D.times(square).plus_one();
    // A quotient is a square if the product is, and spares the division.
    let product = above.times(below);
    product.is_zero() || product.to_half_order().minus_one().is_zero()
}

impl Number {
    /// The low 255 bits.
    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut words = bytes.chunks_exact(8).map(|chunk| {
            let (word, _) = chunk.split_first_chunk().unwrap_or((&[0; 8], &[]));
            u64::from_le_bytes(*word)
        });
        let mut next = || words.next().unwrap_or_default();
        let (a, b, c, d) = (next(), next(), next(), next());
        Self(
            [
                a,
                a >> 51 | b << 13,
                b >> 38 | c << 26,
                c >> 25 | d << 39,
                d >> 12,
            ]
            .map(|limb| limb & MASK),
        )
    }

    fn plus_one(self) -> Self {
        let Self([a, b, c, d, e]) = self;
        Self([a + 1, b, c, d, e])
    }

    /// Adds twice the prime as well, so that no limb goes below zero.
    fn minus_one(self) -> Self {
        const TWO: u64 = (1 << (BITS + 1)) - 2;
        let Self([a, b, c, d, e]) = self;
        Self([a + TWO - 36 - 1, b + TWO, c + TWO, d + TWO, e + TWO])
    }

    fn times(self, other: Self) -> Self {
        let [a, b, c, d, e] = self.0.map(u128::from);
        let [f, g, h, i, j] = other.0.map(u128::from);
        // What goes beyond 2^255 comes back times 19.
        Self::carried([
            a * f + 19 * (b * j + c * i + d * h + e * g),
            a * g + b * f + 19 * (c * j + d * i + e * h),
            a * h + b * g + c * f + 19 * (d * j + e * i),
            a * i + b * h + c * g + d * f + 19 * (e * j),
            a * j + b * i + c * h + d * g + e * f,
        ])
    }

    fn squared(self) -> Self {
        self.times(self)
    }

    /// Brings each limb below 2^51, but for the lowest two, which may be a little above.
    fn carried([a, b, c, d, e]: [u128; 5]) -> Self {
        let mask = u128::from(MASK);
        let b = b + (a >> BITS);
        let c = c + (b >> BITS);
        let d = d + (c >> BITS);
        let e = e + (d >> BITS);
        let a = (a & mask) + 19 * (e >> BITS);
        let b = (b & mask) + (a >> BITS);
        Self([a & mask, b, c & mask, d & mask, e & mask].map(|limb| limb as u64))
    }

    /// To the power of half the order of the group, 2^254 - 10: one for squares, minus one for
    /// all others but zero. In binary that is 250 ones and 0110.
    fn to_half_order(self) -> Self {
        let multiplied = |power: Self| power.squared().times(self);
        let power = (1..250).fold(self, |power, _| multiplied(power));
        multiplied(multiplied(power.squared())).squared()
    }

    fn is_zero(self) -> bool {
        // Twice, since the first may leave the second limb above 2^51.
        let once = Self::carried(self.0.map(u128::from));
        let Self([a, b, c, d, e]) = Self::carried(once.0.map(u128::from));
        // Zero, or the prime itself.
        [a, b, c, d, e] == [0; 5] || (a == MASK - 18 && [b, c, d, e] == [MASK; 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: [u8; 43] = [
        0, 1, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 19, 21, 23, 24, 25, 26, 27, 28, 29, 30, 32, 33,
        35, 37, 39, 40, 42, 43, 44, 48, 51, 52, 54, 55, 56, 57, 58, 60, 61, 62, 63,
    ];

    const LARGE: [(&str, bool); 6] = [
        (
            "38b4e652e44da7f2370d9e260e27136550a4a3a6d07f5c0c332f8b1212841f69",
            false,
        ),
        (
            "2b902f8911e81818f8c99d5d5d9831957504d90e945de2e8f54ee781e63a7b1b",
            false,
        ),
        (
            "d85099095aa300165a67036f9b540d6b8f0be21124179c3dd9f7381767b78846",
            false,
        ),
        (
            "264aad6cb6dd210faf94acd3cf92c190237cb11f5d108cf2593026399c59b850",
            true,
        ),
        (
            "b5769fa0f1483f95a90d9df2f130d60fcf04bd93f50ae69514da8c654ef15806",
            false,
        ),
        (
            "ccdaebf990d19838b0d7ec0b3e97818ecb96c4dbadbe172296d5234a2159a635",
            false,
        ),
    ];

    fn small(y: u8) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0] = y;
        bytes
    }

    #[test]
    fn of_the_small_numbers_these_are_on_the_curve() {
        // Reckoned with Euler's criterion in arithmetic of any length.
        let on: Vec<u8> = (0..64).filter(|y| is_on_curve(&small(*y))).collect();
        assert_eq!(on, SMALL);
        // A point and its opposite in y: the curve has y² alone.
        for y in 1..64 {
            let mut opposite = [0xff; 32];
            opposite[31] = 0x7f;
            opposite[0] = 0xed - y;
            assert_eq!(is_on_curve(&opposite), is_on_curve(&small(y)), "p - {y}");
        }
    }

    #[test]
    fn large_numbers_are_told_apart_as_well() {
        // 4/5, of the base point.
        let base = [&[0x58][..], &[0x66; 31]].concat();
        let check = |bytes: &[u8], expected| {
            assert_eq!(
                is_on_curve(bytes.try_into().unwrap()),
                expected,
                "{bytes:x?}"
            );
        };
        check(&base, true);
        let hexadecimal = |digits: &str| -> Vec<u8> {
            let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            (0..digits.len()).step_by(2).map(pair).collect()
        };
        for (digits, expected) in LARGE {
            check(&hexadecimal(digits), expected);
        }
    }
}
