//! The contents of several files, as of one moment.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use crate::error::{SourceError, SourceErrorKind};
use crate::files::read::read_bounded;
use crate::secret::SecretBytes;

/// The contents of all files of a source, as of one moment.
///
/// The buffers are wiped when the set is dropped; `Debug` prints names and sizes alone.
pub struct FileSet {
    files: Vec<(PathBuf, SecretBytes)>,
}

/// Tells one content of a set from another without keeping it: private keys need not stay in
/// memory for the sake of comparing.
///
/// Two keyed hashes of 64 bits under keys that never leave the process. A chance collision, by
/// which a change would be missed, has probability 2^-128; nobody outside can aim at one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fingerprint([u64; 2]);

#[derive(Debug)]
pub(super) struct Fingerprints([RandomState; 2]);

/// How often a set is read anew when it changes while it is read.
const ATTEMPTS: usize = 5;

impl FileSet {
    /// The content of the file that was added under this path.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        let path = path.as_ref();
        self.iter()
            .find(|(named, _)| *named == path)
            .map(|(_, content)| content)
    }

    /// Paths and contents, in the order in which the files were added.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.files
            .iter()
            .map(|(path, content)| (path.as_path(), content.expose()))
    }

    /// Reads all files once. They need not belong together.
    fn read(paths: &[PathBuf], limit: usize) -> Result<Self, SourceError> {
        let read = |path: &PathBuf| Ok((path.clone(), read_bounded(path, limit)?));
        Ok(Self {
            files: paths.iter().map(read).collect::<Result<_, SourceError>>()?,
        })
    }

    /// Reads the files as a consistent whole, unless they still are what `known` says: then one
    /// reading is enough, and `None` is the answer.
    pub(super) fn read_if_changed(
        paths: &[PathBuf],
        limit: usize,
        fingerprints: &Fingerprints,
        known: Option<Fingerprint>,
    ) -> Result<Option<(Self, Fingerprint)>, SourceError> {
        Self::settle(|| Self::read(paths, limit), fingerprints, known)
    }

    /// A swap may fall between the first file and the second. Two readings in a row that agree
    /// show that none did.
    fn settle(
        mut read: impl FnMut() -> Result<Self, SourceError>,
        fingerprints: &Fingerprints,
        known: Option<Fingerprint>,
    ) -> Result<Option<(Self, Fingerprint)>, SourceError> {
        let mut set = read()?;
        if Some(fingerprints.of(&set)) == known {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS {
            let again = read()?;
            if again.same_as(&set) {
                let fingerprint = fingerprints.of(&again);
                return Ok(Some((again, fingerprint)));
            }
            set = again;
        }
        let message = "files keep changing while they are read";
        Err(SourceError::new(SourceErrorKind::Unsettled, message))
    }

    fn same_as(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for FileSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.files.iter().map(|(path, content)| (path, content)))
            .finish()
    }
}

impl Fingerprints {
    pub(super) fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    fn of(&self, set: &FileSet) -> Fingerprint {
        // Hashing a slice hashes its length too, so that neighbours cannot trade bytes.
        let hash = |state: &RandomState| {
            state.hash_one(
                set.files
                    .iter()
                    .map(|(_, content)| content.expose())
                    .collect::<Vec<_>>(),
            )
        };
        let [first, second] = &self.0;
        Fingerprint([hash(first), hash(second)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(contents: &[&str]) -> FileSet {
        let named = |content: &&str| (PathBuf::from("f"), SecretBytes::new((*content).into()));
        FileSet {
            files: contents.iter().map(named).collect(),
        }
    }

    #[test]
    fn fingerprints_tell_contents_apart() {
        let fingerprints = Fingerprints::new();
        let of = |contents: &[&str]| fingerprints.of(&set(contents));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", "c"]), of(&["ab", "d"]));
        assert_ne!(of(&["ab", ""]), of(&["ab"]));
        assert_ne!(
            of(&["ab"]),
            Fingerprints::new().of(&set(&["ab"])),
            "keys differ"
        );
    }

    /// Settles on readings that come out like this; says what was settled on, and after how many.
    fn settle(
        readings: &[&[&str]],
        known: Option<&[&str]>,
    ) -> (Result<Option<Vec<String>>, SourceErrorKind>, usize) {
        let fingerprints = Fingerprints::new();
        let known = known.map(|contents| fingerprints.of(&set(contents)));
        let mut taken = 0;
        let read = || {
            taken += 1;
            Ok(set(readings[taken - 1]))
        };
        let text = |(_, content): (&Path, &[u8])| String::from_utf8_lossy(content).into_owned();
        let settled = FileSet::settle(read, &fingerprints, known)
            .map(|settled| settled.map(|(set, _)| set.iter().map(text).collect()))
            .map_err(|error| error.kind());
        (settled, taken)
    }

    #[test]
    fn a_swap_between_two_files_is_read_over() {
        fn check(readings: &[&[&str]], expected: &[&str]) {
            let expected: Vec<String> = expected.iter().map(|&text| text.to_owned()).collect();
            assert_eq!(
                settle(readings, Some(&["c1", "k1"])),
                (Ok(Some(expected)), readings.len())
            );
        }
        check(&[&["c2", "k2"], &["c2", "k2"]], &["c2", "k2"]);
        check(
            &[&["c1", "k2"], &["c2", "k2"], &["c2", "k2"]],
            &["c2", "k2"],
        );
        check(
            &[&["c1", "k2"], &["c2", "k3"], &["c3", "k3"], &["c3", "k3"]],
            &["c3", "k3"],
        );
    }

    #[test]
    fn what_is_known_is_read_once() {
        assert_eq!(settle(&[&["c1", "k1"]], Some(&["c1", "k1"])), (Ok(None), 1));
    }

    #[test]
    fn what_never_settles_is_given_up() {
        let readings: Vec<[String; 1]> = (0..100).map(|n: u32| [n.to_string()]).collect();
        let readings: Vec<Vec<&str>> = readings.iter().map(|[text]| vec![text.as_str()]).collect();
        let readings: Vec<&[&str]> = readings.iter().map(Vec::as_slice).collect();
        assert_eq!(
            settle(&readings, None),
            (Err(SourceErrorKind::Unsettled), ATTEMPTS + 1)
        );
    }

    #[test]
    fn debug_prints_sizes_alone() {
        assert_eq!(
            format!("{:?}", set(&["hunter2"])),
            r#"{"f": SecretBytes(7 bytes)}"#
        );
    }
}
