//! The header in which a caller tells the trace that its request belongs to.

use std::fmt;

/// The trace that a request belongs to, and the span of its caller: a `traceparent` header
/// ([W3C Trace Context §3.2]).
///
/// Reading is strict, and what is not well-formed is no trace: a caller may send what it wants.
///
/// ```
/// use bartizan_telemetry::TraceParent;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent = TraceParent::parse(header.as_bytes()).ok_or("is well-formed")?;
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), header);
/// assert_eq!(TraceParent::parse(b"00-0-0-0"), None);
/// # Ok::<(), &str>(())
/// ```
///
/// [W3C Trace Context §3.2]: https://www.w3.org/TR/trace-context/#traceparent-header
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TraceParent {
    /// The trace; never all zeros.
    pub trace_id: [u8; 16],
    /// The span of the caller; never all zeros.
    pub parent_id: [u8; 8],
    /// The flags. The lowest bit says that the caller may have recorded its span.
    pub flags: u8,
}

/// The length of version 00, and the least of any other.
const LENGTH: usize = 55;
/// Longer headers of a version to come are not looked at.
const LONGEST: usize = 512;
const SAMPLED: u8 = 1;

impl TraceParent {
    /// Reads a header of version 00, or as much of one of a later version as version 00 has;
    /// `None` for anything else.
    pub fn parse(header: &[u8]) -> Option<Self> {
        if header.len() > LONGEST {
            return None;
        }
        let (known, more) = header.split_at_checked(LENGTH)?;
        let [version] = hexadecimal::<1>(known.get(..2)?)?;
        let fits = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => matches!(more.first(), None | Some(b'-')),
        };
        let dashes = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
        if !fits || !dashes {
            return None;
        }
        let trace_id = hexadecimal(known.get(3..35)?)?;
        let parent_id = hexadecimal(known.get(36..52)?)?;
        let [flags] = hexadecimal(known.get(53..55)?)?;
        (trace_id != [0; 16] && parent_id != [0; 8]).then_some(Self {
            trace_id,
            parent_id,
            flags,
        })
    }

    /// Whether the caller may have recorded its span.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceParent {
    /// As a header of version 00, with the one flag that it defines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace_id = u128::from_be_bytes(self.trace_id);
        let parent_id = u64::from_be_bytes(self.parent_id);
        let flags = self.flags & SAMPLED;
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{flags:02x}")
    }
}

/// Digits in lower case alone, as the specification has them.
fn hexadecimal<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | value;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn check(header: &str, expected: bool) {
        let parsed = TraceParent::parse(header.as_bytes());
        assert_eq!(parsed.is_some(), expected, "{header}");
    }

    #[test]
    fn well_formed_headers_are_read_and_no_others() {
        check(GOOD, true);
        check(&GOOD.replace("-01", "-00"), true);
        check(&GOOD.replace("-01", "-ff"), true);
        // A version to come may have more, behind a dash.
        check(&format!("cc{}", &GOOD[2..]), true);
        check(&format!("cc{}-what-comes", &GOOD[2..]), true);
        check(&format!("cc{}.what-comes", &GOOD[2..]), false);
        check(&format!("cc{}-{}", &GOOD[2..], "x".repeat(512)), false);
        check(&format!("ff{}", &GOOD[2..]), false);
        check(&format!("{GOOD}-what-comes"), false);
        check(&format!("{GOOD}-"), false);
        check(&format!(" {GOOD}"), false);
        check(&GOOD.to_uppercase(), false);
        check(&GOOD.replace('-', "_"), false);
        check(
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            false,
        );
        check(&GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)), false);
        check(&GOOD.replace("-01", "-0"), false);
        check(&GOOD.replace("-01", "-0g"), false);
        check(&GOOD.replace("00f0", "+0f0"), false);
        check("", false);
        check("00", false);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(trace in 1_u128.., parent in 1_u64.., flags in 0..2_u8) {
            let written = TraceParent {
                trace_id: trace.to_be_bytes(),
                parent_id: parent.to_be_bytes(),
                flags,
            };
            let read = TraceParent::parse(written.to_string().as_bytes());
            prop_assert_eq!(read, Some(written));
        }

        #[test]
        fn no_header_panics(header in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = TraceParent::parse(&header);
        }

        #[test]
        fn what_is_read_is_printed_as_it_was(header in "0[0-9]-[0-9a-f]{32}-[0-9a-f]{16}-0[01]") {
            if let Some(parent) = TraceParent::parse(header.as_bytes()) {
                prop_assert_eq!(&parent.to_string()[2..], &header[2..]);
            }
        }
    }
}
