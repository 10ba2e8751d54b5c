//! Reads one file, up to a limit, into a buffer that is wiped.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{SourceError, SourceErrorKind};
use crate::secret::SecretBytes;

/// The whole content of the file at `path`, through symbolic links.
///
/// Only regular files: a FIFO would block the reader for ever, and a device has no end.
pub(super) fn read_bounded(path: &Path, limit: usize) -> Result<SecretBytes, SourceError> {
    let unreadable = |error: io::Error| {
        let message = format!("cannot read {}", path.display());
        SourceError::caused(SourceErrorKind::Unreadable, message, error)
    };
    // Asked before opening, because opening a FIFO already blocks, and again afterwards, because
    // what was opened may be something else by then.
    let regular = fs::metadata(path).map_err(unreadable)?.is_file();
    if !regular {
        return Err(not_a_file(path));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(not_a_file(path));
    }
    let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    // The size is only a hint: the file may grow while it is read, and some have no size. One byte
    // more than the limit
    // tells a file that fills the limit from one that exceeds it.
    let buffer = read_up_to(&mut file, expected, limit.saturating_add(1)).map_err(unreadable)?;
    if buffer.len() > limit {
        return Err(too_large(path, limit));
    }
    Ok(SecretBytes::from_wiped(buffer))
}

/// Reads to the end or to `most` bytes, whichever comes first. Grows by moving into a larger
/// buffer, so that the smaller one is wiped; a growing `Vec` would free it as it is.
fn read_up_to(
    reader: &mut impl Read,
    expected: usize,
    most: usize,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; expected.saturating_add(1).min(most)]);
    let mut filled = 0;
    loop {
        let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) else {
            if filled >= most {
                return Ok(buffer);
            }
            let mut larger = Zeroizing::new(vec![0; filled.saturating_mul(2).max(64).min(most)]);
            for (to, from) in larger.iter_mut().zip(buffer.iter()) {
                *to = *from;
            }
            buffer = larger;
            continue;
        };
        match reader.read(free) {
            Ok(0) => {
                buffer.truncate(filled);
                return Ok(buffer);
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn not_a_file(path: &Path) -> SourceError {
    let message = format!("{} is not a regular file", path.display());
    SourceError::new(SourceErrorKind::NotAFile, message)
}

fn too_large(path: &Path, limit: usize) -> SourceError {
    let message = format!("{} is larger than {limit} bytes", path.display());
    SourceError::new(SourceErrorKind::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives its bytes in small pieces, as a slow disk may.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    /// Is interrupted as often as it says, and then broken.
    struct Broken(u32);

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::Other)?;
            Err(io::ErrorKind::Interrupted.into())
        }
    }

    #[test]
    fn what_is_interrupted_goes_on_and_what_is_broken_is_told() {
        let mut broken = Broken(3);
        let error = read_up_to(&mut broken, 0, 1).expect_err("broken");
        assert_eq!((error.kind(), broken.0), (io::ErrorKind::Other, 0));
    }

    proptest! {
        #[test]
        fn reads_all_up_to_the_most_whatever_was_expected(
            content in prop::collection::vec(any::<u8>(), 0..300),
            expected in 0_usize..300,
            most in 1_usize..300,
            piece in 1_usize..50,
        ) {
            let read = read_up_to(&mut Pieces(&content, piece), expected, most).expect("memory");
            prop_assert_eq!(&read[..], &content[..content.len().min(most)]);
        }
    }
}
