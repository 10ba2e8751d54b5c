//! Patterns over SPIFFE IDs, matched segment by segment.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::spiffe_id::{MAX_ID_BYTES, SpiffeId, SpiffeIdError, check_segment, check_trust_domain};

/// A set of SPIFFE IDs, written like an ID with wildcards for whole segments.
///
/// * `spiffe://example.org/ns/shop/sa/orders` is that ID alone.
/// * `*` stands for exactly one segment: `spiffe://example.org/ns/*/sa/orders`.
/// * `**`, as the last segment, stands for one segment or more: `spiffe://example.org/ns/shop/**`.
///
/// The trust domain is always spelled out, and a wildcard is never part of a segment: prefix
/// rules are how `/ns/prod` comes to admit `/ns/production`.
///
/// ```
/// use bartizan_core::{SpiffeId, SpiffePattern};
///
/// let pattern: SpiffePattern = "spiffe://example.org/ns/*/sa/orders".parse()?;
/// assert!(pattern.matches(&"spiffe://example.org/ns/shop/sa/orders".parse()?));
/// assert!(!pattern.matches(&"spiffe://example.org/ns/shop/x/sa/orders".parse()?));
/// assert!(!pattern.matches(&"spiffe://evil.org/ns/shop/sa/orders".parse()?));
/// # Ok::<(), bartizan_core::SpiffeIdError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct SpiffePattern {
    text: Arc<str>,
    trust_domain_length: u16,
    wild: bool,
}

const SCHEME: &str = "spiffe://";

impl SpiffePattern {
    /// Parses the text form.
    ///
    /// # Errors
    ///
    /// [`SpiffeIdError::Pattern`] for a misplaced wildcard, otherwise the rule of the SPIFFE ID
    /// grammar that the text breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        if text.len() > MAX_ID_BYTES {
            return Err(SpiffeIdError::TooLong { length: text.len() });
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let name_length = rest.find('/').unwrap_or(rest.len());
        let (name, path) = rest.split_at(name_length);
        check_trust_domain(name)?;
        let mut wild = false;
        if let Some(path) = path.strip_prefix('/') {
            let mut segments = path.split('/').peekable();
            while let Some(segment) = segments.next() {
                match segment {
                    "**" if segments.peek().is_some() => return Err(SpiffeIdError::Pattern),
                    "*" | "**" => wild = true,
                    _ if segment.contains('*') => return Err(SpiffeIdError::Pattern),
                    _ => check_segment(segment)?,
                }
            }
        }
        Ok(Self {
            text: Arc::from(text),
            trust_domain_length: u16::try_from(name_length).unwrap_or(u16::MAX),
            wild,
        })
    }

    /// The pattern of exactly one ID.
    pub fn exact(id: &SpiffeId) -> Self {
        Self {
            text: Arc::from(id.as_str()),
            trust_domain_length: u16::try_from(id.trust_domain().len()).unwrap_or(u16::MAX),
            wild: false,
        }
    }

    /// Whether `id` is in the set.
    pub fn matches(&self, id: &SpiffeId) -> bool {
        if !self.wild {
            return *self.text == *id.as_str();
        }
        if self.trust_domain() != id.trust_domain() {
            return false;
        }
        let path = self
            .text
            .get(SCHEME.len() + usize::from(self.trust_domain_length)..);
        let mut wanted = path.unwrap_or_default().split('/').skip(1);
        let mut seen = id.segments();
        loop {
            match (wanted.next(), seen.next()) {
                (None, None) | (Some("**"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(want), Some(see)) if want == see => {}
                _ => return false,
            }
        }
    }

    /// The trust domain that every match belongs to.
    pub fn trust_domain(&self) -> &str {
        let end = SCHEME.len() + usize::from(self.trust_domain_length);
        self.text.get(SCHEME.len()..end).unwrap_or_default()
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for SpiffePattern {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        Self::parse(text)
    }
}

impl From<&SpiffeId> for SpiffePattern {
    fn from(id: &SpiffeId) -> Self {
        Self::exact(id)
    }
}

impl fmt::Debug for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffePattern({})", self.text)
    }
}

impl fmt::Display for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, id: &str, expected: bool) {
        let matched = SpiffePattern::parse(pattern)
            .unwrap()
            .matches(&SpiffeId::parse(id).unwrap());
        assert_eq!(matched, expected, "{pattern} on {id}");
    }

    #[test]
    fn matches_by_whole_segments() {
        check("spiffe://a/ns/prod", "spiffe://a/ns/prod", true);
        check("spiffe://a/ns/prod", "spiffe://a/ns/production", false);
        check("spiffe://a/ns/*", "spiffe://a/ns/prod", true);
        check("spiffe://a/ns/*", "spiffe://a/ns", false);
        check("spiffe://a/ns/*", "spiffe://a/ns/prod/x", false);
        check("spiffe://a/ns/**", "spiffe://a/ns/prod/x", true);
        check("spiffe://a/ns/**", "spiffe://a/ns", false);
        check("spiffe://a/**", "spiffe://a/x", true);
        check("spiffe://a/**", "spiffe://a", false);
        check("spiffe://a/**", "spiffe://b/x", false);
        check("spiffe://a/*/sa/*", "spiffe://a/n/sa/o", true);
        check("spiffe://a/*/sa/*", "spiffe://a/n/sb/o", false);
        check("spiffe://ab.example/ns/*", "spiffe://ab.example/ns/x", true);
        check("spiffe://ab.example/ns/*", "spiffe://ab.example/n/x", false);
        check("spiffe://ab.example/*", "spiffe://ab.example", false);
        check("spiffe://a", "spiffe://a", true);
        check("spiffe://a", "spiffe://a/b", false);
    }

    #[test]
    fn refuses_partial_and_misplaced_wildcards() {
        for pattern in [
            "spiffe://a/ns-*",
            "spiffe://a/**/b",
            "spiffe://a/***",
            "spiffe://a/b*",
        ] {
            assert_eq!(
                SpiffePattern::parse(pattern),
                Err(SpiffeIdError::Pattern),
                "{pattern}"
            );
        }
        assert_eq!(
            SpiffePattern::parse("spiffe://*/a"),
            Err(SpiffeIdError::TrustDomainCharacter)
        );
        assert_eq!(SpiffePattern::parse("*"), Err(SpiffeIdError::Scheme));
        assert_eq!(
            SpiffePattern::parse("spiffe://a/*/"),
            Err(SpiffeIdError::EmptySegment)
        );
    }

    #[test]
    fn a_pattern_may_be_as_long_as_the_longest_id() {
        let long = format!("spiffe://a/{}", "b".repeat(MAX_ID_BYTES - 11));
        let id = SpiffeId::parse(&long).unwrap();
        assert!(SpiffePattern::parse(&long).unwrap().matches(&id));
        let length = MAX_ID_BYTES + 1;
        assert_eq!(
            SpiffePattern::parse(&format!("{long}b")),
            Err(SpiffeIdError::TooLong { length })
        );
    }

    #[test]
    fn an_exact_pattern_matches_its_id_alone() {
        let id = SpiffeId::parse("spiffe://a/b").unwrap();
        assert!(SpiffePattern::exact(&id).matches(&id));
        assert!(!SpiffePattern::exact(&id).matches(&SpiffeId::parse("spiffe://a/c").unwrap()));
    }
}
