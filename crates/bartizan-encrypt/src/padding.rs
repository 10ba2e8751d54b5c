//! Hides how long short values are.

use crate::cobblestone::MARK;
use crate::wiped::WipedBytes;

/// To which lengths a value is filled up before it is sealed.
///
/// A ciphertext is as long as what it holds: without padding, `true` and `false` differ by sight,
/// and so do salaries of five and six digits. Opening needs no setting: padding ends where its
/// mark is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Padding {
    /// The next multiple of 16 bytes. The default: hides short values for 8 bytes on average.
    #[default]
    To16,
    /// The next multiple of 64 bytes, for values of a few words.
    To64,
    /// The next power of two, 32 at least, for values whose length tells much.
    ToPowerOfTwo,
}

impl Padding {
    /// How long a content of this length becomes.
    pub(crate) fn length(self, content: usize) -> usize {
        let least = content + 1;
        match self {
            Self::To16 => least.next_multiple_of(16),
            Self::To64 => least.next_multiple_of(64),
            Self::ToPowerOfTwo => least.next_power_of_two().max(32),
        }
    }
}

/// The content of what was padded. `None` if there is no mark, so that it never was.
pub(crate) fn unpad(mut padded: WipedBytes) -> Option<WipedBytes> {
    let mark = padded.iter().rposition(|&byte| byte != 0)?;
    (padded.get(mark) == Some(&MARK)).then(|| {
        padded.truncate(mark);
        padded
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_hidden_in_steps() {
        for (padding, content, length) in [
            (Padding::To16, 0, 16),
            (Padding::To16, 15, 16),
            (Padding::To16, 16, 32),
            (Padding::To64, 20, 64),
            (Padding::To64, 64, 128),
            (Padding::ToPowerOfTwo, 4, 32),
            (Padding::ToPowerOfTwo, 31, 32),
            (Padding::ToPowerOfTwo, 32, 64),
        ] {
            assert_eq!(padding.length(content), length, "{padding:?} {content}");
        }
    }

    #[test]
    fn what_was_not_padded_is_refused() {
        for bytes in [&[][..], &[0; 16], &[1, 2, 3], &[0x80, 1]] {
            assert_eq!(unpad(WipedBytes::new(bytes.to_vec())), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn unpadding_gives_the_content(content: Vec<u8>) {
            for padding in [Padding::To16, Padding::To64, Padding::ToPowerOfTwo] {
                let mut padded = content.clone();
                padded.push(MARK);
                padded.resize(padding.length(content.len()), 0);
                let unpadded = unpad(WipedBytes::new(padded)).map(|content| content.to_vec());
                prop_assert_eq!(unpadded.as_ref(), Some(&content));
            }
        }
    }
}
