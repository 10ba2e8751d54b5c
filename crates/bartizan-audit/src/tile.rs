//! Tiles: the tree's hashes in files of 256 ([C2SP tlog-tiles]), from which everything can be proven
//! without the entries.
//!
//! ```text
//! tile/L/N        tile N of level L: the roots of 256 subtrees of 256^L leaves each
//! tile/L/N.p/W    one that has no more than W hashes yet
//! tile/tree       how far the tiles reach: a checkpoint without signature
//! epoch/E         how epoch E began: the entry, and the last checkpoint of the key before
//! ```
//!
//! Tiles follow from the entries, so that whoever verifies computes them anew, as long as the
//! entries are there; and what follows from the tiles is held against signed checkpoints, when
//! they are not.
//!
//! [C2SP tlog-tiles]: https://c2sp.org/tlog-tiles

mod change;
mod extend;
mod prune;

use std::io;

use crate::checkpoint::Checkpoint;
use crate::merkle::{Hash, Tree};
use crate::storage::Storage;

pub(crate) use self::change::EpochChange;
pub(crate) use self::extend::extend;
#[cfg(test)]
pub(crate) use self::prune::Cut;
pub(crate) use self::prune::{Age, cut_at, older_than, remove_bodies};

/// How many hashes a tile has.
pub(crate) const WIDTH: usize = 256;

/// The file that says how far the tiles reach.
pub(crate) const TREE_FILE: &str = "tile/tree";

/// The longest file of that kind, in bytes.
const LONGEST_TREE: u64 = 1024;

/// A place in the tree of tiles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TileId {
    pub(crate) level: u32,
    pub(crate) index: u64,
}

impl TileId {
    /// The file of the tile when it has so many hashes.
    //= C2SP tlog-tiles: encoded into zero-padded 3-digit path elements. All but the last path
    //= element MUST begin with an x.
    pub(crate) fn file(self, width: usize) -> String {
        let mut name = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            name = format!("x{:03}/{name}", rest % 1000);
            rest /= 1000;
        }
        let level = self.level;
        if width < WIDTH {
            format!("tile/{level}/{name}.p/{width}")
        } else {
            format!("tile/{level}/{name}")
        }
    }

    /// How many hashes the tile has in a tree of this size.
    pub(crate) fn width(self, size: u64) -> usize {
        let shift = self.level * 8;
        let hashes = if shift < 64 { size >> shift } else { 0 };
        let behind = hashes.saturating_sub(self.index.saturating_mul(WIDTH as u64));
        usize::try_from(behind).unwrap_or(WIDTH).min(WIDTH)
    }
}

/// The rightmost tiles of a growing tree, one for each level.
#[derive(Clone, Debug, Default)]
pub(crate) struct TileEdge {
    levels: Vec<(u64, Vec<Hash>)>,
}

impl TileEdge {
    /// Takes the root of a subtree of this height that was completed, as
    /// [`Tree::push_noting`] tells of them. Gives the tile that it completes.
    pub(crate) fn take(&mut self, height: u32, hash: Hash) -> Option<(TileId, Vec<Hash>)> {
        if !height.is_multiple_of(8) {
            return None;
        }
        let level = height / 8;
        let at = usize::try_from(level).ok()?;
        while self.levels.len() <= at {
            self.levels.push((0, Vec::with_capacity(WIDTH)));
        }
        let (index, hashes) = self.levels.get_mut(at)?;
        hashes.push(hash);
        if hashes.len() < WIDTH {
            return None;
        }
        let id = TileId {
            level,
            index: *index,
        };
        *index += 1;
        Some((id, std::mem::take(hashes)))
    }

    /// The tiles that are not full.
    pub(crate) fn partial(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        let levels = (0_u32..).zip(&self.levels);
        levels.filter_map(|(level, (index, hashes))| {
            let index = *index;
            (!hashes.is_empty()).then_some((TileId { level, index }, hashes.as_slice()))
        })
    }
}

/// A tree whose tiles are in files, up to where they reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tiled {
    pub(crate) tree: Tree,
    pub(crate) edge: TileEdge,
}

impl Tiled {
    /// Reads what it takes to go on behind this many leaves.
    pub(crate) fn read<S: Storage>(storage: &S, size: u64) -> io::Result<Self> {
        let mut edge = TileEdge::default();
        let mut heads = Vec::new();
        for level in (0..8).take_while(|level| size >> (level * 8) > 0) {
            let index = (size >> (level * 8)) / WIDTH as u64;
            let id = TileId { level, index };
            let hashes = match id.width(size) {
                0 => Vec::new(),
                width => read_tile(storage, id, width)?,
            };
            // The bits of the size that this level stands for, the lowest level's last.
            let mut part = Tree::new();
            hashes.iter().for_each(|hash| part.push(*hash));
            heads.splice(0..0, part.heads().iter().copied());
            edge.levels.push((index, hashes));
        }
        let tree = Tree::from_heads(size, heads).ok_or_else(damaged)?;
        Ok(Self { tree, edge })
    }

    /// Appends a leaf; `full` gets the tiles that it completes.
    pub(crate) fn push(
        &mut self,
        leaf: Hash,
        mut full: impl FnMut(TileId, &[Hash]) -> io::Result<()>,
    ) -> io::Result<()> {
        let (edge, mut result) = (&mut self.edge, Ok(()));
        self.tree.push_noting(leaf, |height, hash| {
            if let Some((id, hashes)) = edge.take(height, hash)
                && result.is_ok()
            {
                result = full(id, &hashes);
            }
        });
        result
    }
}

/// How far the tiles reach; `None` if there are none.
pub(crate) fn tiled<S: Storage>(storage: &S) -> io::Result<Option<Checkpoint>> {
    let bytes = match storage.read_start(TREE_FILE, LONGEST_TREE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
    let tree = Checkpoint::parse(text).map_err(|_| damaged())?;
    // One tree has one spelling.
    if tree.to_string() == text && tree.extensions.is_empty() {
        Ok(Some(tree))
    } else {
        Err(damaged())
    }
}

/// Reads a tile of which so many hashes have to be there.
pub(crate) fn read_tile<S: Storage>(
    storage: &S,
    id: TileId,
    width: usize,
) -> io::Result<Vec<Hash>> {
    let bytes = storage.read_start(&id.file(width), (WIDTH * 32 + 1) as u64)?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() && hashes.len() == width {
        Ok(hashes.to_vec())
    } else {
        Err(damaged())
    }
}

/// Reads the first hashes of a tile, so many, that was not wider when somebody looked. A ledger that
/// is being written may have replaced it by a wider one since.
pub(crate) fn read_first<S: Storage>(
    storage: &S,
    id: TileId,
    width: usize,
) -> io::Result<Vec<Hash>> {
    let missing = match read_tile(storage, id, width) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => error,
        read => return read,
    };
    let wider = id.width(tiled(storage)?.map_or(0, |tree| tree.size));
    if wider <= width {
        return Err(missing);
    }
    let mut hashes = read_tile(storage, id, wider)?;
    hashes.truncate(width);
    Ok(hashes)
}

/// The bytes of a tile's file.
pub(crate) fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.concat()
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a tile cannot be read")
}

#[cfg(test)]
mod tests;
