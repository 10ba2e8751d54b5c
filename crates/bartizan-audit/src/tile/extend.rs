//! Writes the tiles of segments that are finished.

use std::io;

use super::{EpochChange, TREE_FILE, TileId, Tiled, tile_bytes, tiled};
use crate::checkpoint::Checkpoint;
use crate::record::Kind;
use crate::segment::{
    At, Frame, Header, LONGEST_FRAME, frame_length, read_frame, segment_name, segment_number,
};
use crate::storage::Storage;

/// The longest header of a segment, in bytes.
pub(super) const LONGEST_HEADER: u64 = 4096;

/// Writes the tiles of the next finished segment, and says up to which entry they reach now;
/// `None` if there is no such segment.
///
/// A segment is finished when the next one has begun. Tiles are durable before it is said that
/// they are there; whatever a crash leaves of them is written over.
pub(crate) fn extend<S: Storage>(storage: &S) -> io::Result<Option<u64>> {
    let reached = tiled(storage)?;
    let begin = reached.as_ref().map_or(0, |tree| tree.size);
    let Some((number, header, next)) = segment_at(storage, begin)? else {
        return Ok(None);
    };
    let mut tiles = Tiled::read(storage, begin)?;
    if tiles.tree != header.tree {
        return Err(changed(number));
    }
    let mut names = Vec::new();
    let before = files(&tiles);
    let segment = Pieces::new(storage, number, next.previous_length)?;
    frames(segment, &mut tiles, &mut names)?;
    // What the next header says is signed by every checkpoint behind it.
    if tiles.tree != next.tree {
        return Err(changed(number));
    }
    for (id, hashes) in tiles.edge.partial() {
        let name = id.file(hashes.len());
        storage.put(&name, &tile_bytes(hashes))?;
        names.push(name);
    }
    storage.persist(&names)?;
    let (size, root) = (tiles.tree.size(), tiles.tree.root());
    let tree = Checkpoint::new(&header.origin, size, root);
    storage.replace(TREE_FILE, tree.to_string().as_bytes())?;
    // They would do no harm.
    let now = files(&tiles);
    for name in before.iter().filter(|name| !now.contains(name)) {
        let _ = storage.remove(name);
    }
    Ok(Some(size))
}

fn files(tiles: &Tiled) -> Vec<String> {
    let partial = tiles.edge.partial();
    partial.map(|(id, hashes)| id.file(hashes.len())).collect()
}

/// The finished segment that begins with this entry: its number, its header, and the next one's.
fn segment_at<S: Storage>(storage: &S, begin: u64) -> io::Result<Option<(u64, Header, Header)>> {
    let headers = headers(storage, begin)?;
    for pair in headers.windows(2) {
        if let [(number, header), (after, next)] = pair
            // A segment without entries has no tiles to write.
            && header.tree.size() == begin
            && next.tree.size() > begin
            && *after == number + 1
        {
            return Ok(Some((*number, header.clone(), next.clone())));
        }
    }
    Ok(None)
}

/// The headers of all segments from the one that has this entry on.
pub(super) fn headers<S: Storage>(storage: &S, begin: u64) -> io::Result<Vec<(u64, Header)>> {
    let mut numbers: Vec<u64> = storage
        .list()?
        .iter()
        .filter_map(|name| segment_number(name))
        .collect();
    numbers.sort_unstable();
    let mut headers = Vec::new();
    for number in numbers.into_iter().rev() {
        let bytes = storage.read_start(&segment_name(number), LONGEST_HEADER)?;
        let (header, _) = Header::decode(&bytes).map_err(|_| changed(number))?;
        let is_first = header.tree.size() < begin;
        headers.push((number, header));
        if is_first {
            break;
        }
    }
    headers.reverse();
    Ok(headers)
}

/// A segment that is read piece by piece: it can be as long as memory.
struct Pieces<'s, S> {
    storage: &'s S,
    number: u64,
    /// How long the segment is.
    length: u64,
    /// Where the piece begins in the segment.
    begin: u64,
    piece: Vec<u8>,
    /// Where the next frame begins in the piece.
    at: usize,
}

/// How much is read at once, in bytes.
const PIECE: u64 = 1024 * 1024;

// There is always a whole frame in a piece that begins with one.
const _: () = assert!(LONGEST_FRAME as u64 <= PIECE && LONGEST_HEADER <= PIECE);

impl<'s, S: Storage> Pieces<'s, S> {
    fn new(storage: &'s S, number: u64, length: u64) -> io::Result<Self> {
        let piece = storage.read_part(&segment_name(number), 0, PIECE.min(length))?;
        let (_, at) = Header::decode(&piece).map_err(|_| changed(number))?;
        Ok(Self {
            storage,
            number,
            length,
            begin: 0,
            piece,
            at,
        })
    }

    /// The next frame, `None` behind the last one.
    fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        let rest = self.piece.get(self.at..).unwrap_or_default();
        // What is left of the piece may be the beginning of a frame.
        if frame_length(rest).is_none() && self.at > 0 {
            self.begin += self.at as u64;
            self.at = 0;
            let most = PIECE.min(self.length.saturating_sub(self.begin));
            let name = segment_name(self.number);
            self.piece = self.storage.read_part(&name, self.begin, most)?;
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let At::Frame(frame) = read_frame(rest) else {
            return Ok(None);
        };
        self.at += frame.length;
        Ok(Some(frame))
    }
}

fn frames<S: Storage>(
    mut segment: Pieces<'_, S>,
    tiles: &mut Tiled,
    names: &mut Vec<String>,
) -> io::Result<()> {
    let storage = segment.storage;
    let mut last = Vec::new();
    while let Some(frame) = segment.next()? {
        if frame.kind == Kind::Checkpoint {
            let note = frame.entry.get(2..).unwrap_or_default();
            if let Some(change) = EpochChange::of(tiles.tree.size(), &last, note) {
                let name = EpochChange::file(change.epoch);
                storage.put(&name, change.to_string().as_bytes())?;
                names.push(name);
            }
            continue;
        }
        last.clear();
        last.extend_from_slice(frame.entry);
        tiles.push(frame.hash, |id: TileId, hashes| {
            let name = id.file(hashes.len());
            storage.put(&name, &tile_bytes(hashes))?;
            names.push(name);
            Ok(())
        })?;
    }
    Ok(())
}

fn changed(segment: u64) -> io::Error {
    let text = format!("segment {segment} was changed");
    io::Error::new(io::ErrorKind::InvalidData, text)
}
