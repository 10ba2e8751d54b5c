//! What a verification can find.

use std::fmt;

/// One thing that does not fit, or that the reader should know.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: FindingKind,
}

impl Finding {
    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

/// A place in a ledger.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Place {
    /// The number of the segment.
    pub segment: u64,
    /// The byte within it.
    pub offset: u64,
    /// The entry.
    pub entry: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "segment {} byte {} entry {}",
            self.segment, self.offset, self.entry
        )
    }
}

/// What a verification found.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FindingKind {
    /// A change of epochs does not follow the epoch before, or is not sealed by its key.
    BadEpoch,
    /// The cosigned checkpoint in the ledger's folder, or one that was given, cannot be read, or
    /// holds a signature that claims to be of a witness and is none.
    BadCosignature,
    /// The key in the ledger's folder cannot be read, or is not the one that was pinned.
    BadKey,
    /// A tile does not fit the entries, is missing, or cannot be read.
    BadTile,
    /// A frame is not whole: bytes of it were changed, or a crash tore it.
    BrokenFrame,
    /// The clock went back by so many nanoseconds.
    ClockWentBack(u64),
    /// A checkpoint is signed by a key that may not sign at this place, or by none.
    ForeignSignature,
    /// The header of a segment is not the one that follows from what is before it.
    Header,
    /// So many bytes stand behind the end of a segment that was given up after a failure.
    Leftover(u64),
    /// Events were lost, and counted by the service.
    Lost(u64),
    /// A record cannot be read.
    MalformedRecord,
    /// A segment is missing.
    MissingSegment(u64),
    /// There is no key to verify with.
    NoKey,
    /// The last run has no end.
    NotStopped,
    /// The bodies of the first entries were removed, as a record says. Their hashes are there, and
    /// lead to what is signed.
    Pruned(u64),
    /// The ledger was continued after a crash; so many bytes were torn.
    Recovered(u64),
    /// The storage failed, and the service went on elsewhere.
    StorageFault,
    /// What becomes of a run's events does not add up.
    Sum,
    /// There is something behind the end of a segment.
    Trailing,
    /// The ledger is shorter than a checkpoint says it was.
    Truncated {
        /// How many entries the checkpoint commits to.
        committed: u64,
    },
    /// No key was given, and the one in the folder proves nothing against who can write there.
    Unpinned,
    /// Entries at the end that no checkpoint covers.
    Unsealed(u64),
    /// No checkpoint was cosigned by as many witnesses as it takes, or not lately enough.
    Unwitnessed {
        /// How many cosigned the best one.
        found: usize,
        /// How many it takes.
        wanted: usize,
    },
    /// The root is not the one that a checkpoint commits to: an entry was changed, left out, put
    /// in or moved.
    WrongRoot,
}

impl FindingKind {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::BadCosignature
            | Self::BadEpoch
            | Self::BadKey
            | Self::BadTile
            | Self::BrokenFrame
            | Self::ForeignSignature
            | Self::Header
            | Self::MalformedRecord
            | Self::MissingSegment(_)
            | Self::Sum
            | Self::Trailing
            | Self::Truncated { .. }
            | Self::WrongRoot => Severity::Tampered,
            Self::NoKey | Self::NotStopped | Self::Unsealed(_) | Self::Unwitnessed { .. } => {
                Severity::Incomplete
            }
            Self::ClockWentBack(_)
            | Self::Leftover(_)
            | Self::Lost(_)
            | Self::Pruned(_)
            | Self::Recovered(_)
            | Self::StorageFault
            | Self::Unpinned => Severity::Note,
        }
    }

    /// A short stable name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::BadCosignature => "bad_cosignature",
            Self::BadEpoch => "bad_epoch",
            Self::BadKey => "bad_key",
            Self::BadTile => "bad_tile",
            Self::BrokenFrame => "broken_frame",
            Self::ClockWentBack(_) => "clock_went_back",
            Self::ForeignSignature => "foreign_signature",
            Self::Header => "header",
            Self::Leftover(_) => "leftover",
            Self::Lost(_) => "lost",
            Self::MalformedRecord => "malformed_record",
            Self::MissingSegment(_) => "missing_segment",
            Self::NoKey => "no_key",
            Self::NotStopped => "not_stopped",
            Self::Pruned(_) => "pruned",
            Self::Recovered(_) => "recovered",
            Self::StorageFault => "storage_fault",
            Self::Sum => "sum",
            Self::Trailing => "trailing",
            Self::Truncated { .. } => "truncated",
            Self::Unpinned => "unpinned",
            Self::Unsealed(_) => "unsealed",
            Self::Unwitnessed { .. } => "unwitnessed",
            Self::WrongRoot => "wrong_root",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCosignature => f.write_str("a cosigned checkpoint cannot be read or verified"),
            Self::BadEpoch => f.write_str("a change of epochs does not follow the one before"),
            Self::BadKey => f.write_str("the key in the folder is damaged, or another than the pinned"),
            Self::BadTile => f.write_str("the tiles of the tree do not fit its entries"),
            Self::BrokenFrame => f.write_str("a record is not whole: changed or torn"),
            Self::ClockWentBack(by) => write!(f, "the clock went back by {by} ns"),
            Self::ForeignSignature => {
                f.write_str("a checkpoint is not signed by the key of its epoch")
            }
            Self::Header => f.write_str("the header does not follow from what is before it"),
            Self::Leftover(bytes) => {
                write!(f, "{bytes} bytes were given up after the storage failed")
            }
            Self::Lost(events) => write!(f, "{events} events were lost, and counted"),
            Self::MalformedRecord => f.write_str("a record cannot be read"),
            Self::MissingSegment(number) => write!(f, "segment {number} is missing"),
            Self::NoKey => f.write_str("there is no key to verify with"),
            Self::NotStopped => f.write_str("the last run has no end"),
            Self::Pruned(entries) => {
                write!(f, "the first {entries} entries were pruned; their hashes are there, and fit")
            }
            Self::Recovered(torn) => {
                write!(f, "continued after a crash; {torn} bytes were torn")
            }
            Self::StorageFault => f.write_str("the storage failed, and writing went on elsewhere"),
            Self::Sum => f.write_str("accepted events are not durable and lost ones together"),
            Self::Trailing => f.write_str("there is something behind the end of the segment"),
            Self::Truncated { committed } => {
                write!(f, "the ledger is cut: a checkpoint commits to {committed} entries")
            }
            Self::Unpinned => f.write_str("verified by the key in the ledger's own folder"),
            Self::Unsealed(entries) => write!(f, "no checkpoint covers the last {entries} entries"),
            Self::Unwitnessed { found, wanted } => write!(
                f,
                "no checkpoint is cosigned by as many witnesses as it takes: {found} of {wanted}"
            ),
            Self::WrongRoot => f.write_str(
                "the entries are not those that a checkpoint commits to: changed, left out, put in or moved",
            ),
        }
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Nothing shows that it was changed, and it cannot be vouched for as a whole.
    Incomplete,
    /// Somebody or something changed it.
    Tampered,
}

/// What a verification comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Everything is as it was written.
    Intact,
    /// The end is missing or not sealed.
    Incomplete,
    /// Something was changed.
    Tampered,
}

impl Verdict {
    /// The exit code of tools: 0 intact, 1 tampered, 2 incomplete.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Intact => 0,
            Self::Incomplete => 2,
            Self::Tampered => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_finding_has_a_name_a_severity_and_words_with_its_numbers() {
        use FindingKind as Kind;
        use Severity::{Incomplete, Note, Tampered};

        let truncated = Kind::Truncated { committed: 77 };
        let unwitnessed = Kind::Unwitnessed {
            found: 1,
            wanted: 2,
        };
        let rows = [
            (Kind::BadCosignature, Tampered, "cosigned checkpoint"),
            (Kind::BadEpoch, Tampered, "change of epochs"),
            (Kind::BadKey, Tampered, "key in the folder"),
            (Kind::BadTile, Tampered, "tiles"),
            (Kind::BrokenFrame, Tampered, "changed or torn"),
            (Kind::ClockWentBack(77), Note, "77 ns"),
            (Kind::ForeignSignature, Tampered, "key of its epoch"),
            (Kind::Header, Tampered, "header"),
            (Kind::Leftover(77), Note, "77 bytes"),
            (Kind::Lost(77), Note, "77 events"),
            (Kind::MalformedRecord, Tampered, "cannot be read"),
            (Kind::MissingSegment(77), Tampered, "segment 77"),
            (Kind::NoKey, Incomplete, "no key"),
            (Kind::NotStopped, Incomplete, "no end"),
            (Kind::Pruned(77), Note, "77 entries"),
            (Kind::Recovered(77), Note, "77 bytes"),
            (Kind::StorageFault, Note, "storage failed"),
            (Kind::Sum, Tampered, "durable and lost"),
            (Kind::Trailing, Tampered, "behind the end"),
            (truncated, Tampered, "77 entries"),
            (Kind::Unpinned, Note, "own folder"),
            (Kind::Unsealed(77), Incomplete, "77 entries"),
            (unwitnessed, Incomplete, "1 of 2"),
            (Kind::WrongRoot, Tampered, "not those"),
        ];
        let mut names = BTreeSet::new();
        for (kind, severity, words) in &rows {
            let text = kind.to_string();
            assert!(text.contains(words), "{kind:?}: {text}");
            assert!(names.insert(kind.as_str()), "{kind:?}");
            // The name is that of the variant.
            let variant = format!("{kind:?}").replace(|c: char| !c.is_alphanumeric(), " ");
            let variant = variant.split(' ').next().map(str::to_lowercase);
            assert_eq!(variant, Some(kind.as_str().replace('_', "")));
            let place = Place::default();
            let kind = kind.clone();
            assert_eq!(Finding { place, kind }.severity(), *severity, "{text}");
        }
        let place = Place {
            segment: 1,
            offset: 2,
            entry: 3,
        };
        assert_eq!(place.to_string(), "segment 1 byte 2 entry 3");
    }

    #[test]
    fn tools_end_with_a_code_of_their_own_for_each_verdict() {
        let verdicts = [Verdict::Intact, Verdict::Tampered, Verdict::Incomplete];
        assert_eq!(verdicts.map(Verdict::exit_code), [0, 1, 2]);
    }
}
