//! Takes an input apart where a target needs more than one thing.

/// What is left of an input. What is not there any more reads as zeros, or as nothing.
pub(crate) struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub(crate) fn short(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A line, whose end is taken as well.
    pub(crate) fn line(&mut self) -> &'b [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n');
        let line = self.take(end.unwrap_or(self.0.len()));
        self.take(1);
        line
    }

    /// Bytes with their number in front, which is below 65536.
    pub(crate) fn piece(&mut self) -> &'b [u8] {
        let length = self.short();
        self.take(length.into())
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'b [u8] {
        self.take(usize::MAX)
    }

    /// What was genuine, with a part of it replaced by all that is left: behind where to begin, and
    /// how much goes.
    pub(crate) fn patched(&mut self, genuine: &[u8]) -> Vec<u8> {
        let (at, cut) = (self.short(), self.byte());
        self.put(genuine, at.into(), cut.into())
    }

    /// What was genuine, with all that is left in the place of so many bytes.
    pub(crate) fn put(&mut self, genuine: &[u8], at: usize, cut: usize) -> Vec<u8> {
        let mut patched = genuine.to_vec();
        let at = at % (patched.len() + 1);
        let behind = (at + cut).min(patched.len());
        patched.splice(at..behind, self.rest().iter().copied());
        patched
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    fn take(&mut self, length: usize) -> &'b [u8] {
        let (taken, left) = self.0.split_at(length.min(self.0.len()));
        self.0 = left;
        taken
    }
}

/// As much of the bytes as is text.
pub(crate) fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).expect("it was found to be text")
        }
    }
}

/// The last line that an error in a text can name. A carriage return by itself ends a line of YAML
/// as well (YAML 1.2, section 5.4).
pub(crate) fn last_line(text: &str) -> usize {
    text.matches(['\n', '\r']).count() + 2
}
