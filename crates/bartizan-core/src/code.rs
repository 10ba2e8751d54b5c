//! Stable, machine-readable names of refusals and events.

use std::fmt;

/// The stable name of a refusal or event, such as `jwt.expired`.
///
/// Codes are part of the public contract: clients match on them, dashboards count them, and they
/// are listed with their meaning in `docs/CODES.md`, which a test holds against the source. A
/// code never carries anything that a client sent, so it is safe as a metric label.
///
/// The form is two or more dot-separated words of `[a-z0-9_]`, checked when the constant is
/// compiled:
///
/// ```
/// use bartizan_core::Code;
///
/// const EXPIRED: Code = Code::new("jwt.expired");
/// assert_eq!(EXPIRED.as_str(), "jwt.expired");
/// ```
///
/// ```compile_fail
/// const BAD: bartizan_core::Code = bartizan_core::Code::new("Not a code");
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Code(&'static str);

impl Code {
    /// Names a code.
    ///
    /// # Panics
    ///
    /// If `text` is not two or more dot-separated words of `[a-z0-9_]`. Use it in a `const`, where
    /// that is a compile error.
    #[expect(
        clippy::indexing_slicing,
        reason = "const evaluation; the loop bounds the index"
    )]
    pub const fn new(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        let (mut index, mut word, mut dots) = (0, 0, 0);
        while index < bytes.len() {
            match bytes[index] {
                b'a'..=b'z' | b'0'..=b'9' | b'_' => word += 1,
                b'.' => {
                    assert!(word > 0, "a code has no empty word");
                    dots += 1;
                    word = 0;
                }
                _ => panic!("a code is made of a-z, 0-9, underscore and dots"),
            }
            index += 1;
        }
        assert!(word > 0 && dots > 0, "a code has two words or more");
        Self(text)
    }

    /// The code as text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({})", self.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
