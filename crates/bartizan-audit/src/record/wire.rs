//! How values become bytes: little-endian numbers, and texts behind their length.

use std::fmt;

/// What is left of an entry that is being read. Nothing is copied, and nothing is read behind
/// its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, RecordError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A text of at most 255 bytes.
    pub(crate) fn short_text(&mut self) -> Result<&'a str, RecordError> {
        let length = self.u8()?;
        text(self.bytes(usize::from(length))?)
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn end(self) -> Result<(), RecordError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(RecordError::Trailing)
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, RecordError> {
    std::str::from_utf8(bytes).map_err(|_| RecordError::Text)
}

/// The longest beginning of `text` that has at most `most` bytes and ends between characters.
pub(crate) fn shortened(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Writes a text of at most 255 bytes; what is longer is cut.
pub(crate) fn put_short_text(out: &mut Vec<u8>, text: &str) {
    let text = shortened(text, 255);
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text.as_bytes());
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RecordError {
    /// The kind is unknown.
    Kind(u8),
    /// A field is there twice, or not in its place.
    Order(u8),
    /// A field is unknown.
    Tag(u8),
    /// A text is not UTF-8.
    Text,
    /// There are bytes behind the end.
    Trailing,
    /// The end is missing.
    Truncated,
    /// A value is none that its field can have.
    Value,
    /// The version is unknown.
    Version(u8),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "record of unknown kind {kind}"),
            Self::Order(tag) => write!(f, "field {tag} is twice in the record or out of order"),
            Self::Tag(tag) => write!(f, "record has an unknown field {tag}"),
            Self::Text => f.write_str("text in a record is not utf-8"),
            Self::Trailing => f.write_str("record has bytes behind its end"),
            Self::Truncated => f.write_str("record is cut off"),
            Self::Value => f.write_str("field of a record has an impossible value"),
            Self::Version(version) => write!(f, "record of unknown version {version}"),
        }
    }
}

impl std::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, most, expected) in [
            ("abc", 3, "abc"),
            ("abc", 2, "ab"),
            ("aüb", 2, "a"),
            ("aüb", 3, "aü"),
            ("€", 2, ""),
            ("", 0, ""),
        ] {
            assert_eq!(shortened(text, most), expected, "{text} {most}");
        }
    }

    #[test]
    fn nothing_is_read_behind_the_end() {
        let mut input = Input::new(&[2, b'a']);
        assert_eq!(input.short_text(), Err(RecordError::Truncated));
        let mut input = Input::new(&[1, 0, 9]);
        assert_eq!(input.u16(), Ok(1));
        assert_eq!(input.u32(), Err(RecordError::Truncated));
        assert_eq!(input.end(), Err(RecordError::Trailing));
        assert_eq!(input.rest(), [9]);
    }
}
