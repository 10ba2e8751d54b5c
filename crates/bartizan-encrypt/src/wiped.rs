//! Buffers for secrets, wiped when they are let go.

use std::fmt;
use std::ops::{Deref, DerefMut};

use zeroize::{Zeroize, optimization_barrier};

/// A buffer that is wiped as a whole when dropped, what it once held behind its end included.
///
/// The same promise as that of `Zeroizing<Vec<u8>>`, which writes byte by byte: for 64 KiB that
/// takes as long as opening them. Here they are set at once, and the compiler is kept from
/// leaving that out.
#[derive(Default)]
pub struct WipedBytes(Vec<u8>);

impl WipedBytes {
    #[cfg(test)]
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Grows into a fresh buffer, so that the old one is wiped.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(self.0.capacity() * 2));
            larger.extend_from_slice(&self.0);
            *self = Self(larger);
        }
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn into_inner(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for WipedBytes {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl Zeroize for WipedBytes {
    fn zeroize(&mut self) {
        let capacity = self.0.capacity();
        self.0.clear();
        self.0.resize(capacity, 0);
        optimization_barrier(self.0.as_slice());
        // Nothing is left to be wiped a second time, by whoever holds this and wipes it too.
        self.0 = Vec::new();
    }
}

impl Deref for WipedBytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for WipedBytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl fmt::Debug for WipedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WipedBytes({} bytes)", self.0.len())
    }
}

impl PartialEq for WipedBytes {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_buffer_is_wiped() {
        let mut bytes = WipedBytes::with_capacity(64);
        bytes.extend_from_slice(&[7; 60]);
        bytes.truncate(3);
        assert_eq!(format!("{bytes:?}"), "WipedBytes(3 bytes)");
        bytes.zeroize();
        assert_eq!((bytes.len(), bytes.capacity()), (0, 0), "let go of");
        assert_eq!(WipedBytes::new(vec![1, 2]).into_inner(), [1, 2]);
    }

    #[test]
    fn growing_keeps_what_there_is() {
        let mut bytes = WipedBytes::default();
        for piece in [&[1, 2, 3][..], &[], &[4; 100], &[5]] {
            let expected = [&bytes, piece].concat();
            bytes.append(piece);
            assert_eq!(*bytes, expected);
        }
    }
}
