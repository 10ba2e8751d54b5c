//! Patterns over paths and hosts.

use std::fmt;
use std::str::FromStr;

/// A set of paths, written as axum writes routes.
///
/// * `/orders` is that path alone;
/// * `{name}` stands for exactly one segment: `/orders/{id}`;
/// * `{*name}`, as the last segment, stands for one segment or more: `/files/{*rest}`.
///
/// A wildcard is never part of a segment: prefixes are how a rule about `/admin` comes to be one
/// about `/administrators`. A gRPC method is a path: `/shop.Payments/Charge`.
///
/// In a rule that allows, a pattern matches what it says. In one that denies it also matches other
/// spellings that a service might take for the same: upper and lower case make no difference, nor
/// does a trailing slash, and `{*name}` also stands for nothing.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PathPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Segment {
    Literal(Box<str>),
    One,
    /// At the end only.
    Rest,
}

/// Longer patterns match nothing that a server lets in.
const MAX_PATTERN_BYTES: usize = 2048;

impl PathPattern {
    /// Parses the text form.
    ///
    /// # Errors
    ///
    /// [`PatternError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        let rest = text.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        let mut segments = Vec::new();
        let mut parts = rest.split('/').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            segments.push(segment(part, last)?);
        }
        // What stands beside wildcards must be what canonical paths look like.
        let literal: String = segments.iter().map(Segment::sample).collect();
        let canonical = bartizan_core::CanonicalPath::parse(&literal);
        if canonical.map_err(|_| PatternError::NotCanonical)?.as_str() != literal {
            return Err(PatternError::NotCanonical);
        }
        Ok(Self {
            text: text.into(),
            segments: segments.into(),
        })
    }

    /// The pattern of a gRPC method, or of all methods of a service.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn grpc(service: &str, method: Option<&str>) -> Result<Self, PatternError> {
        Self::parse(&format!("/{service}/{}", method.unwrap_or("{method}")))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it matches, as a rule that allows has it, or as one that denies.
    pub(crate) fn matches(&self, path: &str, loosely: bool) -> bool {
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let path = match loosely {
            true => path.strip_suffix('/').unwrap_or(path),
            false => path,
        };
        let mut wanted = self.segments.iter();
        let mut seen = path.split('/');
        loop {
            match (wanted.next(), seen.next()) {
                (None, None) => return true,
                (Some(Segment::Rest), Some(rest)) => return loosely || !rest.is_empty(),
                (Some(Segment::Rest), None) => return loosely,
                (Some(Segment::One), Some(part)) if !part.is_empty() => {}
                (Some(Segment::Literal(want)), Some(part))
                    if **want == *part || (loosely && want.eq_ignore_ascii_case(part)) => {}
                // `/` itself is one empty segment, also without its slash.
                (Some(Segment::Literal(want)), None) if loosely && want.is_empty() => {}
                _ => return false,
            }
        }
    }
}

fn segment(part: &str, last: bool) -> Result<Segment, PatternError> {
    let Some(name) = part.strip_prefix('{') else {
        return match part.contains(['{', '}', '*']) {
            true => Err(PatternError::PartWildcard),
            false => Ok(Segment::Literal(part.into())),
        };
    };
    let name = name.strip_suffix('}').ok_or(PatternError::PartWildcard)?;
    let (rest, name) = match name.strip_prefix('*') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(PatternError::PartWildcard);
    }
    match (rest, last) {
        (false, _) => Ok(Segment::One),
        (true, true) => Ok(Segment::Rest),
        (true, false) => Err(PatternError::RestNotLast),
    }
}

impl Segment {
    /// A path segment that it matches.
    fn sample(&self) -> String {
        match self {
            Self::Literal(text) => format!("/{text}"),
            Self::One | Self::Rest => "/x".to_owned(),
        }
    }
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A set of hosts: one name, or with `*.` in front every name below it. Names compare without
/// regard to case, as DNS does.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HostPattern {
    /// In lower case.
    name: Box<str>,
    below: bool,
}

impl HostPattern {
    /// Parses the text form, without port.
    ///
    /// # Errors
    ///
    /// [`PatternError::Host`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if name.is_empty() || name.len() > 255 || !name.chars().all(is_name) {
            return Err(PatternError::Host);
        }
        Ok(Self {
            name: name.to_ascii_lowercase().into(),
            below,
        })
    }

    /// Whether this host is in the set.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        if !self.below {
            return self.name.eq_ignore_ascii_case(host);
        }
        let above = host.len().checked_sub(self.name.len());
        let Some((above, name)) = above.and_then(|at| host.split_at_checked(at)) else {
            return false;
        };
        self.name.eq_ignore_ascii_case(name) && above.len() > 1 && above.ends_with('.')
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        write!(f, "{below}{}", self.name)
    }
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Not a host name, with `*.` in front at most.
    #[error("not a host name, with `*.` in front at most")]
    Host,
    /// The path does not begin with a slash.
    #[error("a path begins with a slash")]
    NotAbsolute,
    /// No canonical path looks like that, so that the rule would be about nothing.
    #[error("no canonical path looks like that")]
    NotCanonical,
    /// A wildcard is a whole segment: `{name}` or `{*name}`.
    #[error("a wildcard is a whole segment: {{name}} or {{*name}}")]
    PartWildcard,
    /// `{*name}` can only be the last segment.
    #[error("{{*name}} can only be the last segment")]
    RestNotLast,
    /// Longer than 2,048 bytes.
    #[error("longer than 2048 bytes")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str, strictly: bool, loosely: bool) {
        let parsed = PathPattern::parse(pattern).unwrap();
        assert_eq!(parsed.matches(path, false), strictly, "{pattern} {path}");
        assert_eq!(
            parsed.matches(path, true),
            loosely,
            "{pattern} {path}, loosely"
        );
    }

    #[test]
    fn a_pattern_matches_whole_segments() {
        check("/orders", "/orders", true, true);
        check("/orders", "/orders/", false, true);
        check("/orders", "/Orders", false, true);
        check("/orders", "/orders/7", false, false);
        check("/orders", "/ordersandmore", false, false);
        check("/orders/{id}", "/orders/7", true, true);
        check("/orders/{id}", "/orders/", false, false);
        check("/orders/{id}", "/orders/7/8", false, false);
        check("/orders/{id}/items", "/ORDERS/7/items/", false, true);
        check("/files/{*rest}", "/files/a/b", true, true);
        check("/files/{*rest}", "/files/", false, true);
        check("/files/{*rest}", "/files", false, true);
        check("/files/{*rest}", "/filesystem", false, false);
        check("/", "/", true, true);
        check("/", "/a", false, false);
        check("/{*rest}", "/", false, true);
        check("/{*rest}", "/a/b", true, true);
        check("/a/", "/a/", true, true);
        check("/a/", "/a", false, true);
        check(
            "/shop.Payments/Charge",
            "/shop.payments/charge",
            false,
            true,
        );
    }

    #[test]
    fn what_could_match_nothing_is_no_pattern() {
        use PatternError::*;
        for (text, expected) in [
            ("orders", NotAbsolute),
            ("/a//b", NotCanonical),
            ("/a/../b", NotCanonical),
            ("/a%2fb", NotCanonical),
            ("/%61", NotCanonical),
            ("/a*", PartWildcard),
            ("/{id", PartWildcard),
            ("/{}", PartWildcard),
            ("/a{id}", PartWildcard),
            ("/{*rest}/a", RestNotLast),
        ] {
            assert_eq!(PathPattern::parse(text), Err(expected), "{text}");
        }
        assert_eq!(PathPattern::parse(&"/a".repeat(2000)), Err(TooLong));
    }

    #[test]
    fn a_host_below_another_is_not_one_that_ends_like_it() {
        for (pattern, host, expected) in [
            ("shop.example", "shop.example", true),
            ("Shop.Example", "shop.example", true),
            ("shop.example", "shop.example.", true),
            ("shop.example", "a.shop.example", false),
            ("*.shop.example", "a.shop.example", true),
            ("*.shop.example", "a.b.SHOP.example", true),
            ("*.shop.example", "shop.example", false),
            ("*.shop.example", "evilshop.example", false),
            ("*.shop.example", ".shop.example", false),
        ] {
            let pattern = HostPattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(host), expected, "{pattern:?} {host}");
        }
        for text in ["", "*", "*.", "a.*.b", "a b", "a/b"] {
            assert_eq!(HostPattern::parse(text), Err(PatternError::Host), "{text}");
        }
    }
}
