//! The atomic replace on a real file system.

use bartizan_source::{FileMode, write_atomically};

use crate::support::Folder;

#[test]
fn replaces_the_content_and_leaves_nothing_else() {
    let folder = Folder::new();
    let path = folder.write("state.json", "old");
    write_atomically(&path, b"new", FileMode::WORLD_READABLE).expect("writable");
    assert_eq!(std::fs::read(&path).expect("there"), b"new");
    assert_eq!(folder.names(), ["state.json"]);
}

#[test]
fn a_mode_is_shown_as_people_write_it() {
    assert_eq!(format!("{:?}", FileMode::PRIVATE), "FileMode(0600)");
    assert_eq!(FileMode::GROUP_READABLE.bits(), 0o640);
}

#[test]
fn leaves_nothing_behind_when_the_rename_fails() {
    let folder = Folder::new();
    // A folder that is not empty cannot be renamed over.
    folder.write("target/inside", "");
    let error = write_atomically(&folder.path("target"), b"new", FileMode::PRIVATE);
    assert!(error.is_err());
    assert_eq!(folder.names(), ["target"]);
}

#[test]
fn tells_when_the_folder_is_missing() {
    let folder = Folder::new();
    let error = write_atomically(&folder.path("no/such"), b"", FileMode::PRIVATE);
    assert_eq!(
        error.expect_err("no folder").kind(),
        std::io::ErrorKind::NotFound
    );
}

#[cfg(unix)]
#[test]
fn sets_the_mode_exactly() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    for mode in [
        FileMode::PRIVATE,
        FileMode::GROUP_READABLE,
        FileMode::WORLD_READABLE,
    ] {
        // The mode of a file that was there before does not matter.
        let path = folder.write("key.pem", "old");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).expect("ours");
        write_atomically(&path, b"new", mode).expect("writable");
        let found = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(found & 0o7777, mode.bits());
    }
}

#[cfg(unix)]
#[test]
fn replaces_a_symbolic_link_and_not_what_it_points_to() {
    let folder = Folder::new();
    let target = folder.write("target", "old");
    std::os::unix::fs::symlink(&target, folder.path("link")).expect("linkable");
    write_atomically(&folder.path("link"), b"new", FileMode::PRIVATE).expect("writable");
    assert_eq!(std::fs::read(&target).expect("there"), b"old");
    assert_eq!(std::fs::read(folder.path("link")).expect("there"), b"new");
}
