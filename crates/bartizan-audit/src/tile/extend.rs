//! Writes the tiles of segments that are finished.

use std::io;

use super::{EpochChange, TREE_FILE, TileId, Tiled, tile_bytes, tiled};
use crate::checkpoint::Checkpoint;
use crate::record::Kind;
use crate::segment::{At, Header, read_frame, segment_name, segment_number};
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
    let bytes = storage.read(&segment_name(number))?;
    let end = usize::try_from(next.previous_length).ok();
    let bytes = end.and_then(|end| bytes.get(..end));
    let bytes = bytes.ok_or_else(|| changed(number))?;
    let mut names = Vec::new();
    let before = files(&tiles);
    frames(storage, bytes, &mut tiles, &mut names)?;
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

fn frames<S: Storage>(
    storage: &S,
    segment: &[u8],
    tiles: &mut Tiled,
    names: &mut Vec<String>,
) -> io::Result<()> {
    let (_, mut at) = Header::decode(segment).map_err(|_| changed(0))?;
    let mut last: &[u8] = &[];
    while let At::Frame(frame) = read_frame(segment.get(at..).unwrap_or_default()) {
        at += frame.length;
        if frame.kind == Kind::Checkpoint {
            let note = frame.entry.get(2..).unwrap_or_default();
            if let Some(change) = EpochChange::of(tiles.tree.size(), last, note) {
                let name = EpochChange::file(change.epoch);
                storage.put(&name, change.to_string().as_bytes())?;
                names.push(name);
            }
            continue;
        }
        last = frame.entry;
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
