use super::*;
use crate::merkle::leaf_hash;
use crate::storage::fragile::FragileDisk;

#[test]
fn tiles_have_the_names_that_c2sp_gives_them() {
    for (level, index, width, expected) in [
        (0, 0, 256, "tile/0/000"),
        (0, 273, 112, "tile/0/273.p/112"),
        (1, 1_234_067, 256, "tile/1/x001/x234/067"),
        (2, 1000, 1, "tile/2/x001/000.p/1"),
    ] {
        assert_eq!(TileId { level, index }.file(width), expected);
    }
}

#[test]
fn a_tree_has_the_tiles_that_c2sp_says() {
    let check = |level, index, size, expected| {
        assert_eq!(TileId { level, index }.width(size), expected, "{size}");
    };
    // The example of the specification.
    for (level, index, expected) in [
        (0, 272, 256),
        (0, 273, 112),
        (0, 274, 0),
        (1, 0, 256),
        (1, 1, 17),
        (2, 0, 1),
        (3, 0, 0),
    ] {
        check(level, index, 70_000, expected);
    }
    check(1, 0, 256, 1);
    check(7, 0, u64::MAX, 255);
    check(63, 0, u64::MAX, 0);
}

#[test]
fn a_tree_is_continued_from_its_tiles_at_every_size() {
    let disk = FragileDisk::default();
    let mut tiles = Tiled::default();
    let mut tree = Tree::new();
    for size in 0..700_u64 {
        let partial: Vec<_> = tiles.edge.partial().collect();
        for (id, hashes) in partial {
            assert_eq!(id.width(size), hashes.len());
            disk.put(&id.file(hashes.len()), tile_bytes(hashes));
        }
        let read = Tiled::read(&disk, size).unwrap();
        assert_eq!(read.tree, tree, "{size}");
        tiles = read;
        let leaf = leaf_hash(&size.to_le_bytes());
        tree.push(leaf);
        let full = |id: TileId, hashes: &[Hash]| {
            disk.put(&id.file(WIDTH), tile_bytes(hashes));
            Ok(())
        };
        tiles.push(leaf, full).unwrap();
    }
    let expected = read_tile(&disk, TileId { level: 0, index: 1 }, WIDTH).unwrap();
    let leaves = (256..512_u64).map(|leaf| leaf_hash(&leaf.to_le_bytes()));
    assert_eq!(expected, leaves.collect::<Vec<_>>());
    let mut second = Tree::new();
    expected.iter().for_each(|leaf| second.push(*leaf));
    let above = TileId { level: 1, index: 0 };
    assert_eq!(read_tile(&disk, above, 2).unwrap()[1], second.root());
}

#[test]
fn a_tile_that_grew_meanwhile_is_read_as_it_was() {
    let disk = FragileDisk::default();
    let id = TileId { level: 0, index: 0 };
    let hashes: Vec<Hash> = (0..9).map(|leaf| leaf_hash(&[leaf])).collect();
    assert!(read_first(&disk, id, 5).is_err());
    disk.put(&id.file(9), tile_bytes(&hashes));
    assert!(
        read_first(&disk, id, 5).is_err(),
        "nothing says that it is there"
    );
    let tree = Checkpoint::new("log", 9, [0; 32]);
    disk.put(TREE_FILE, tree.to_string().into_bytes());
    assert_eq!(read_first(&disk, id, 5).unwrap(), hashes[..5]);
    assert_eq!(read_first(&disk, id, 9).unwrap(), hashes);
    assert!(read_first(&disk, id, 10).is_err());
}

#[test]
fn a_damaged_tile_is_no_tile() {
    let disk = FragileDisk::default();
    let id = TileId { level: 0, index: 0 };
    for (bytes, width) in [(64, 1), (31, 1), (33, 1), (8192, 255), (8224, 256)] {
        disk.put(&id.file(width), vec![1; bytes]);
        assert!(read_tile(&disk, id, width).is_err(), "{bytes}");
    }
    for text in ["", "x", "log\n1\n", "log\n01\nAAAA\n"] {
        disk.put(TREE_FILE, text.as_bytes().to_vec());
        assert!(tiled(&disk).is_err(), "{text}");
    }
}

mod pruned;
