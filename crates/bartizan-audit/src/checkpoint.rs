//! Checkpoints ([C2SP tlog-checkpoint]): what a log commits to at one size.
//!
//! [C2SP tlog-checkpoint]: https://c2sp.org/tlog-checkpoint

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::merkle::Hash;

/// What a log commits to: so many entries, with this root.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The log.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// Further lines, which the log commits to as well. This crate writes none.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without further lines.
    #[must_use]
    pub fn new(origin: &str, size: u64, root: Hash) -> Self {
        Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: Vec::new(),
        }
    }

    /// Reads the text of a note. The root has to be one of SHA-256.
    ///
    /// # Errors
    ///
    /// If it is no checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let text = text.strip_suffix('\n').ok_or(CheckpointError::Form)?;
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty());
        let origin = origin.ok_or(CheckpointError::Origin)?;
        let size = lines
            .next()
            .and_then(decimal)
            .ok_or(CheckpointError::Size)?;
        let root = lines.next().and_then(|root| STANDARD.decode(root).ok());
        let root = root.and_then(|root| root.try_into().ok());
        let root = root.ok_or(CheckpointError::Root)?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::Form);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions,
        })
    }
}

/// A decimal number without sign and leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let short = text == "0" || !text.starts_with('0');
    (plain && short).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.origin)?;
        writeln!(f, "{}", self.size)?;
        writeln!(f, "{}", STANDARD.encode(self.root))?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Why a text is no checkpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It does not end with a line break, or has an empty line.
    Form,
    /// The first line is empty.
    Origin,
    /// The third line is not the base64 form of 32 bytes.
    Root,
    /// The second line is no number.
    Size,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "checkpoint has not the form of one",
            Self::Origin => "checkpoint names no log",
            Self::Root => "root of the checkpoint is not the base64 form of 32 bytes",
            Self::Size => "size of the checkpoint is no number",
        })
    }
}

impl std::error::Error for CheckpointError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_checkpoint_reads_as_it_prints() {
        let mut checkpoint = Checkpoint::new("example.com/log", 20, [9; 32]);
        assert_eq!(
            Checkpoint::parse(&checkpoint.to_string()),
            Ok(checkpoint.clone())
        );
        checkpoint.extensions.push("more".to_owned());
        assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let good = Checkpoint::new("log", 7, [9; 32]).to_string();
        for (bad, expected) in [
            (good.trim_end().to_owned(), CheckpointError::Form),
            (good.replacen("log", "", 1), CheckpointError::Origin),
            (good.replacen("\n7", "\n07", 1), CheckpointError::Size),
            (good.replacen("\n7", "\n+7", 1), CheckpointError::Size),
            (good.replacen("\n7", "\n", 1), CheckpointError::Size),
            (good.replacen('=', "", 1), CheckpointError::Root),
            (format!("{good}\n"), CheckpointError::Form),
            ("log\n1\nAAAA\n".to_owned(), CheckpointError::Root),
        ] {
            assert_eq!(Checkpoint::parse(&bad), Err(expected), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_checkpoint_or_an_error(text in "[a-z0-9+=\n]{0,90}") {
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert_eq!(checkpoint.to_string(), text);
            }
        }
    }
}
