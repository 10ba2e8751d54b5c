//! One pass over a message in its wire format.
//!
//! <https://protobuf.dev/programming-guides/encoding>

use crate::error::{EncryptError, EncryptErrorKind};
use crate::json::Fate;
use crate::protobuf::numbers::{Meant, Numbers};
use crate::wiped::WipedBytes;

/// Asked about each field that a path leads to: the path's rule, the field's bytes, and where to
/// write others.
pub(crate) type Visit<'v> =
    dyn FnMut(usize, &[u8], &mut WipedBytes) -> Result<Fate, EncryptError> + 'v;

const VARINT: u32 = 0;
const FIXED_64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;
const FIXED_32: u32 = 5;

/// The message with the fields changed that `meant` leads to. Every occurrence of a field counts,
/// whichever of them a parser would take.
///
/// Refused are bytes that are no message, groups (which have no length, and which nobody uses any
/// more), numbers in a longer spelling than need be (parsers cut them differently), and fields
/// that have another type on the wire than a text or a message has.
pub(crate) fn rewrite(
    message: &[u8],
    meant: &Numbers,
    visit: &mut Visit<'_>,
) -> Result<WipedBytes, EncryptError> {
    let mut out = WipedBytes::with_capacity(message.len() + 256);
    let mut rest = Reader(message);
    while !rest.0.is_empty() {
        let whole = rest.0;
        let tag = rest.varint()?;
        let tag = u32::try_from(tag).map_err(|_| MALFORMED)?;
        let (number, wire) = (tag >> 3, tag & 7);
        if number == 0 {
            return Err(MALFORMED.into());
        }
        let value = match wire {
            VARINT => {
                rest.varint()?;
                None
            }
            FIXED_64 => rest.take(8).map(|_| None)?,
            FIXED_32 => rest.take(4).map(|_| None)?,
            LENGTH_DELIMITED => {
                let length = usize::try_from(rest.varint()?).map_err(|_| MALFORMED)?;
                Some(rest.take(length)?)
            }
            _ => return Err(MALFORMED.into()),
        };
        let mut written = WipedBytes::default();
        let fate = match (meant.find(number), value) {
            (None, _) => Fate::Keep,
            (Some(_), None) => return Err(EncryptErrorKind::UnexpectedShape.into()),
            (Some(Meant::Value(rule)), Some(value)) => visit(*rule, value, &mut written)?,
            (Some(Meant::Inside(meant)), Some(value)) => {
                written = rewrite(value, meant, visit)?;
                Fate::Replace
            }
        };
        match fate {
            Fate::Keep => {
                let length = whole.len() - rest.0.len();
                out.append(whole.get(..length).unwrap_or_default());
            }
            Fate::Omit => {}
            Fate::Replace => {
                append_varint(&mut out, u64::from(tag));
                append_varint(&mut out, written.len() as u64);
                out.append(&written);
            }
        }
    }
    Ok(out)
}

const MALFORMED: EncryptErrorKind = EncryptErrorKind::MalformedMessage;

struct Reader<'r>(&'r [u8]);

impl<'r> Reader<'r> {
    fn take(&mut self, length: usize) -> Result<&'r [u8], EncryptError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, EncryptError> {
        let mut number = 0_u64;
        for shift in (0..).step_by(7).take(10) {
            let (&[byte], rest) = self.0.split_first_chunk().ok_or(MALFORMED)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            // The last byte of ten holds one bit; a last byte of none is one too many.
            if (shift == 63 && bits > 1) || (byte == 0 && shift > 0) {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(MALFORMED.into())
    }
}

fn append_varint(out: &mut WipedBytes, mut number: u64) {
    let mut bytes = [0; 10];
    let mut length = 0;
    for byte in &mut bytes {
        length += 1;
        *byte = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            break;
        }
        *byte |= 0x80;
    }
    out.append(bytes.get(..length).unwrap_or_default());
}
