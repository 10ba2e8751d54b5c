//! Segments: the files of a ledger.
//!
//! ```text
//! segment  header, frames, zeros
//! header   "BZAUDIT1" | length u16 | number u64 | first leaf u64 | length of the segment before u64
//!          | epoch u32 | public key (32) | heads (count u8, 32 each) | origin (length u8)
//! frame    length of the entry u32 | first 8 bytes of its hash | 0 | entry
//! ```
//!
//! Numbers are little-endian. Everything in a header follows from what stands before it in the
//! ledger, so that whoever verifies writes it anew and compares. The zero in front of an entry is
//! the prefix of leaves in the tree: frame and tree need one pass over the same bytes. A frame of
//! length 0 is the end.

use crate::merkle::{Hash, Tree, sha256};
use crate::record::{Input, Kind, LONGEST_ENTRY, RecordError, put_short_text, text};

const MAGIC: &[u8; 8] = b"BZAUDIT1";

/// What stands in front of an entry.
pub(crate) const FRAME_HEAD: usize = 4 + 8 + 1;

/// The longest frame.
pub(crate) const LONGEST_FRAME: usize = FRAME_HEAD + LONGEST_ENTRY;

/// Where the prefixed entry begins in a frame.
const PREFIXED: usize = 4 + 8;

/// What begins a segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) origin: String,
    pub(crate) number: u64,
    /// The length of the segment before, as far as it counts; 0 if there is none.
    pub(crate) previous_length: u64,
    pub(crate) epoch: u32,
    pub(crate) key: [u8; 32],
    /// The tree in front of the segment's first leaf.
    pub(crate) tree: Tree,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(MAGIC);
        out.extend([0, 0]);
        out.extend(self.number.to_le_bytes());
        out.extend(self.tree.size().to_le_bytes());
        out.extend(self.previous_length.to_le_bytes());
        out.extend(self.epoch.to_le_bytes());
        out.extend(self.key);
        let heads = self.tree.heads();
        out.push(u8::try_from(heads.len()).unwrap_or(u8::MAX));
        heads.iter().for_each(|head| out.extend(head));
        put_short_text(&mut out, &self.origin);
        let length = u16::try_from(out.len()).unwrap_or(u16::MAX);
        if let Some(place) = out.get_mut(8..10) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        out
    }

    /// Reads the header of a segment, and says how long it is.
    pub(crate) fn decode(segment: &[u8]) -> Result<(Self, usize), RecordError> {
        let mut input = Input::new(segment);
        if input.array()? != *MAGIC {
            return Err(RecordError::Value);
        }
        let length = usize::from(input.u16()?);
        let mut input = Input::new(segment.get(10..length).ok_or(RecordError::Truncated)?);
        let number = input.u64()?;
        let size = input.u64()?;
        let previous_length = input.u64()?;
        let epoch = input.u32()?;
        let key = input.array()?;
        let count = input.u8()?;
        let heads: Result<Vec<Hash>, _> = (0..count).map(|_| input.array()).collect();
        let tree = Tree::from_heads(size, heads?).ok_or(RecordError::Value)?;
        let length_of_origin = usize::from(input.u8()?);
        let origin = text(input.bytes(length_of_origin)?)?.to_owned();
        input.end()?;
        let header = Self {
            origin,
            number,
            previous_length,
            epoch,
            key,
            tree,
        };
        Ok((header, length))
    }
}

/// The name of a segment's file.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:012}.segment")
}

/// The number of the segment with this file name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let number: u64 = name.strip_suffix(".segment")?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// Appends a frame whose hash is still to be computed.
pub(crate) fn put_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    write(out);
    let length = out.len() - begin - FRAME_HEAD;
    if length > LONGEST_ENTRY {
        // Entries have bounds below this; what has none does not get in.
        out.truncate(begin);
        return;
    }
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(begin..begin + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// Makes a frame at the beginning of `place`, whose hash is still to be computed. `write` writes
/// the entry, and says how long it is. Empty if it does not fit.
pub(crate) fn fill_frame(place: &mut [u8], write: impl FnOnce(&mut [u8]) -> usize) -> &[u8] {
    let Some((head, entry)) = place.split_first_chunk_mut::<FRAME_HEAD>() else {
        return &[];
    };
    let length = write(entry);
    *head = [0; FRAME_HEAD];
    if let Some(place) = head.first_chunk_mut() {
        *place = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    }
    place.get(..FRAME_HEAD + length).unwrap_or_default()
}

/// The length of the first frame among `frames`, which were made by [`put_frame`].
pub(crate) fn frame_length(frames: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*frames.first_chunk()?);
    let length = FRAME_HEAD.checked_add(usize::try_from(length).ok()?)?;
    (length > FRAME_HEAD && length <= frames.len()).then_some(length)
}

/// Hashes a frame, and writes into it the part of the hash that it carries.
pub(crate) fn seal_frame(frame: &mut [u8]) -> Hash {
    let hash = sha256(frame.get(PREFIXED..).unwrap_or_default());
    if let (Some(place), Some(part)) = (frame.get_mut(4..PREFIXED), hash.get(..8)) {
        place.copy_from_slice(part);
    }
    hash
}

/// A frame, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'s> {
    pub(crate) kind: Kind,
    pub(crate) entry: &'s [u8],
    pub(crate) hash: Hash,
    /// How long it is, with what stands in front of the entry.
    pub(crate) length: usize,
}

/// What stands at a place of a segment.
#[derive(Debug)]
pub(crate) enum At<'s> {
    /// No frame: neither zeros nor one that is whole.
    Broken,
    /// Nothing but zeros to the end of the file.
    End,
    /// A frame.
    Frame(Frame<'s>),
}

/// Reads what stands at the beginning of `rest`.
pub(crate) fn read_frame(rest: &[u8]) -> At<'_> {
    match whole_frame(rest) {
        Some(frame) => At::Frame(frame),
        None if rest.iter().all(|byte| *byte == 0) => At::End,
        None => At::Broken,
    }
}

fn whole_frame(rest: &[u8]) -> Option<Frame<'_>> {
    let mut input = Input::new(rest);
    let length = usize::try_from(input.u32().ok()?).ok()?;
    if length == 0 || length > LONGEST_ENTRY {
        return None;
    }
    let part = input.array::<8>().ok()?;
    let prefixed = input.bytes(length + 1).ok()?;
    let (prefix, entry) = prefixed.split_first()?;
    let hash = sha256(prefixed);
    let kind = Kind::of(entry).ok()?;
    (*prefix == 0 && hash.starts_with(&part)).then_some(Frame {
        kind,
        entry,
        hash,
        length: FRAME_HEAD + length,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::leaf_hash;
    use crate::record::Record;

    fn header() -> Header {
        let mut tree = Tree::new();
        (0..7).for_each(|index| tree.push([index; 32]));
        Header {
            origin: "log.example/audit".to_owned(),
            number: 4,
            previous_length: 99,
            epoch: 2,
            key: [5; 32],
            tree,
        }
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        let mut bytes = header().encode();
        let length = bytes.len();
        bytes.extend([0; 40]);
        assert_eq!(Header::decode(&bytes), Ok((header(), length)));
        for cut in 0..length {
            assert!(Header::decode(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn names_are_numbers_of_one_spelling() {
        assert_eq!(segment_name(7), "000000000007.segment");
        for (name, expected) in [
            ("000000000007.segment", Some(7)),
            ("7.segment", None),
            ("+00000000007.segment", None),
            ("000000000007.segment.new", None),
            ("key", None),
        ] {
            assert_eq!(segment_number(name), expected, "{name}");
        }
    }

    #[test]
    fn a_frame_reads_as_it_was_sealed_and_no_bit_of_it_is_free() {
        let record = Record::Heartbeat { time: 7 };
        let mut entry = Vec::new();
        record.encode(&mut entry);
        let mut frame = Vec::new();
        put_frame(&mut frame, |out| record.encode(out));
        let hash = seal_frame(&mut frame);
        assert_eq!(hash, leaf_hash(&entry));
        assert_eq!(frame_length(&frame), Some(frame.len()));
        let At::Frame(read) = read_frame(&frame) else {
            panic!("a frame");
        };
        assert_eq!(
            (read.entry, read.hash, read.length),
            (&*entry, hash, frame.len())
        );
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(read_frame(&flipped), At::Broken), "{bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::decode(&bytes);
            let _ = read_frame(&bytes);
            let mut headed = header().encode();
            headed.extend(&bytes);
            prop_assert!(Header::decode(&headed).is_ok());
        }
    }
}
