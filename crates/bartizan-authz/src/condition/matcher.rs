//! One value of a condition, and what it matches.

use std::fmt;
use std::net::IpAddr;

use bartizan_core::{CanonicalPath, IpNetwork, Peer, Principal};

use super::Fact;

/// One value of a condition: as it was written, and what it means.
#[derive(Clone)]
pub(crate) struct Matcher {
    text: Box<str>,
    meaning: Meaning,
}

#[derive(Clone, Debug)]
enum Meaning {
    /// Of a service account: its namespace and its name.
    Account(Box<str>, Box<str>),
    Namespace(TextPattern),
    Network(IpNetwork),
    Peer(TextPattern),
    Port(u16),
    /// Of a principal: issuer and subject.
    Principal(TextPattern, TextPattern),
    Template(Template),
    Text(TextPattern),
    /// Whatever its case.
    Name(TextPattern),
    TrustDomain(TextPattern),
}

impl Matcher {
    pub(super) fn parse(fact: &Fact, text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("an empty value is no value");
        }
        let pattern = || TextPattern::parse(text);
        let meaning = match fact {
            Fact::Authority | Fact::ServerName => Meaning::Name(pattern().to_ascii_lowercase()),
            Fact::ClientAddress | Fact::DestinationAddress | Fact::SourceAddress => {
                Meaning::Network(text.parse().map_err(|_| "not a network or an address")?)
            }
            Fact::DestinationPort => Meaning::Port(text.parse().map_err(|_| "not a port number")?),
            Fact::Namespace => Meaning::Namespace(pattern()),
            Fact::Path => path(text)?,
            Fact::Peer => Meaning::Peer(pattern()),
            Fact::Principal => principal(text),
            Fact::ServiceAccount => match text.split_once('/') {
                Some((namespace, name)) if !text.contains('*') && !name.contains('/') => {
                    Meaning::Account(namespace.into(), name.into())
                }
                _ => return Err("a service account is a namespace and a name: `shop/web`"),
            },
            Fact::TrustDomain => Meaning::TrustDomain(pattern()),
            _ => Meaning::Text(pattern()),
        };
        Ok(Self {
            text: text.into(),
            meaning,
        })
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn is_text(&self, text: &str) -> bool {
        self.is_bytes(text.as_bytes())
    }

    pub(super) fn is_bytes(&self, bytes: &[u8]) -> bool {
        match &self.meaning {
            Meaning::Text(pattern) => pattern.matches(bytes, <[u8]>::eq),
            Meaning::Name(pattern) => pattern.matches(bytes, <[u8]>::eq_ignore_ascii_case),
            _ => false,
        }
    }

    /// Without wildcards.
    pub(super) fn is_exactly(&self, bytes: &[u8]) -> bool {
        matches!(&self.meaning, Meaning::Text(TextPattern::Exact(text)) if text.as_bytes() == bytes)
    }

    /// In any case of letters, if that is how it is read.
    pub(super) fn is_method(&self, method: &str, loosely: bool) -> bool {
        match &self.meaning {
            Meaning::Text(pattern) if loosely => {
                pattern.matches(method.as_bytes(), <[u8]>::eq_ignore_ascii_case)
            }
            _ => self.is_text(method),
        }
    }

    pub(super) fn is_within(&self, address: IpAddr) -> bool {
        matches!(&self.meaning, Meaning::Network(network) if network.contains(address))
    }

    pub(super) fn is_port(&self, port: u16) -> bool {
        matches!(&self.meaning, Meaning::Port(wanted) if *wanted == port)
    }

    pub(super) fn is_path(&self, path: &str) -> bool {
        match &self.meaning {
            Meaning::Template(template) => template.matches(path),
            _ => self.is_text(path),
        }
    }

    pub(super) fn is_principal(&self, principal: &Principal) -> bool {
        let Meaning::Principal(issuer, subject) = &self.meaning else {
            return false;
        };
        issuer.is(principal.issuer()) && subject.is(principal.subject())
    }

    /// Whether a namespace begins so; what stands behind its mark is given.
    pub(super) fn is_behind(&self, behind: &[u8]) -> bool {
        matches!(&self.meaning, Meaning::Namespace(pattern) if is_behind(pattern, behind))
    }

    pub(super) fn is_peer(&self, peer: &Peer) -> bool {
        if let Meaning::Peer(TextPattern::Any) = &self.meaning {
            return true;
        }
        let Some(id) = peer.spiffe_id() else {
            return false;
        };
        let text = id.as_str().strip_prefix("spiffe://").unwrap_or_default();
        match &self.meaning {
            Meaning::Peer(pattern) => pattern.is(text),
            Meaning::TrustDomain(pattern) => id.path().len() > 1 && pattern.is(id.trust_domain()),
            Meaning::Namespace(pattern) => is_namespace(pattern, text),
            Meaning::Account(namespace, name) => {
                let mut segments = id.path().split('/');
                // Any segments may stand between the two, and behind the last.
                while let Some(segment) = segments.next() {
                    let mut behind = segments.clone();
                    if segment == "ns" && behind.next() == Some(&**namespace) {
                        let mut pairs = behind.clone().zip(behind.skip(1));
                        if pairs.any(|pair| pair == ("sa", &**name)) {
                            return true;
                        }
                    }
                }
                false
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Whether what stands between `/ns/` and a slash behind it is one of these. Where that leaves a
/// choice, one that matches is enough.
fn is_namespace(pattern: &TextPattern, id: &str) -> bool {
    let mut left = id.as_bytes();
    while let Some(at) = left.iter().position(|byte| *byte == b'/') {
        left = left.get(at + 1..).unwrap_or_default();
        let Some(behind) = left.strip_prefix(b"ns/") else {
            continue;
        };
        if is_behind(pattern, behind) {
            return true;
        }
    }
    false
}

/// The same of what stands behind one `/ns/`.
fn is_behind(pattern: &TextPattern, behind: &[u8]) -> bool {
    let has_slash = |bytes: &[u8]| bytes.contains(&b'/');
    match pattern {
        TextPattern::Any => behind.get(1..).is_some_and(has_slash),
        TextPattern::Exact(name) => behind
            .strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b'/')),
        TextPattern::Prefix(begin) => behind.strip_prefix(begin.as_bytes()).is_some_and(has_slash),
        TextPattern::Suffix(end) => {
            let mut slashes = behind.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            slashes.any(|(at, _)| {
                let name = behind.get(..at).unwrap_or_default();
                name.ends_with(end.as_bytes())
            })
        }
    }
}

/// A text, or what texts begin or end with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum TextPattern {
    /// Any that is not empty.
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
}

impl TextPattern {
    fn parse(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            _ => match (text.strip_prefix('*'), text.strip_suffix('*')) {
                (Some(suffix), _) => Self::Suffix(suffix.into()),
                (_, Some(prefix)) => Self::Prefix(prefix.into()),
                _ => Self::Exact(text.into()),
            },
        }
    }

    fn to_ascii_lowercase(&self) -> Self {
        let lower = |text: &str| text.to_ascii_lowercase().into();
        match self {
            Self::Any => Self::Any,
            Self::Exact(text) => Self::Exact(lower(text)),
            Self::Prefix(text) => Self::Prefix(lower(text)),
            Self::Suffix(text) => Self::Suffix(lower(text)),
        }
    }

    fn is(&self, text: &str) -> bool {
        self.matches(text.as_bytes(), <[u8]>::eq)
    }

    fn matches(&self, bytes: &[u8], equal: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        let part = match self {
            Self::Any => return !bytes.is_empty(),
            Self::Exact(text) => return equal(text.as_bytes(), bytes),
            Self::Prefix(text) => bytes.get(..text.len()).map(|part| (part, text)),
            Self::Suffix(text) => bytes
                .len()
                .checked_sub(text.len())
                .and_then(|at| bytes.get(at..))
                .map(|part| (part, text)),
        };
        part.is_some_and(|(part, text)| equal(text.as_bytes(), part))
    }
}

/// A path with `{*}` for one segment and `{**}`, behind all of those, for any text.
#[derive(Clone, Debug)]
struct Template {
    /// Texts that one segment each stands between.
    parts: Box<[Box<str>]>,
    /// What paths end with behind any text.
    tail: Option<Box<str>>,
}

impl Template {
    fn parse(text: &str) -> Option<Self> {
        for segment in text.split('/') {
            if segment.contains(['{', '}', '*']) && segment != "{*}" && segment != "{**}" {
                return None;
            }
        }
        let (head, tail) = match text.split_once("{**}") {
            Some((_, tail)) if tail.contains('{') => return None,
            Some((head, tail)) => (head, Some(tail.into())),
            None => (text, None),
        };
        Some(Self {
            parts: head.split("{*}").map(Box::from).collect(),
            tail,
        })
    }

    fn matches(&self, path: &str) -> bool {
        let mut left = path;
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                let end = left.find('/').unwrap_or(left.len());
                let (segment, behind) = left.split_at(end);
                if segment.is_empty() {
                    return false;
                }
                left = behind;
            }
            match left.strip_prefix(&**part) {
                Some(behind) => left = behind,
                None => return false,
            }
        }
        match &self.tail {
            None => left.is_empty(),
            Some(tail) => left.ends_with(&**tail),
        }
    }
}

fn path(text: &str) -> Result<Meaning, &'static str> {
    const NOT_CANONICAL: &str = "no canonical path looks like that";
    let pattern = TextPattern::parse(text);
    let meaning = match text.contains(['{', '}']) {
        true => Meaning::Template(
            Template::parse(text)
                .ok_or("a template has `{*}` for whole segments and, last of those, `{**}`")?,
        ),
        false => Meaning::Text(pattern.clone()),
    };
    let sample = match (&meaning, &pattern) {
        (Meaning::Template(_), _) => text.replace("{**}", "x").replace("{*}", "x"),
        (_, TextPattern::Any) => return Ok(meaning),
        (_, TextPattern::Exact(text)) => text.to_string(),
        (_, TextPattern::Prefix(text)) => format!("{text}x"),
        (_, TextPattern::Suffix(text)) => format!("/x{text}"),
    };
    if !sample.starts_with('/') {
        return Err("a path begins with a slash");
    }
    match CanonicalPath::parse(&sample) {
        Ok(path) if path.as_str() == sample => Ok(meaning),
        _ => Err(NOT_CANONICAL),
    }
}

/// Issuer and subject are parted by the last slash: an issuer is a URL with slashes of its own.
fn principal(text: &str) -> Meaning {
    let exact = |text: &str| TextPattern::Exact(text.into());
    let (issuer, subject) = match (text.rsplit_once('/'), TextPattern::parse(text)) {
        (_, TextPattern::Any) => (TextPattern::Any, TextPattern::Any),
        (Some((issuer, subject)), TextPattern::Suffix(_)) => {
            (TextPattern::parse(issuer), exact(subject))
        }
        (None, suffix @ TextPattern::Suffix(_)) => (TextPattern::Any, suffix),
        (Some((issuer, subject)), TextPattern::Prefix(_)) => {
            (exact(issuer), TextPattern::parse(subject))
        }
        (None, prefix @ TextPattern::Prefix(_)) => (prefix, TextPattern::Any),
        (Some((issuer, subject)), _) => (exact(issuer), exact(subject)),
        (None, whole) => (whole, exact("")),
    };
    Meaning::Principal(issuer, subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_matches_segments_and_any_rest() {
        for (template, path, expected) in [
            ("/foo/{*}", "/foo/bar", true),
            ("/foo/{*}", "/foo/", false),
            ("/foo/{*}", "/foo/bar/baz", false),
            ("/foo/{**}/", "/foo/bar/", true),
            ("/foo/{**}/", "/foo/bar", false),
            ("/foo/{**}", "/foo/", true),
            ("/foo/{**}", "/foo", false),
            ("/foo/{*}/bar/{**}", "/foo/buzz/bar/", true),
            ("/foo/{*}/bar/{**}", "/foo/buzz/bar/baz", true),
            ("/foo/{*}/bar/{**}", "/foo/a/b/bar/baz", false),
            ("/{**}/path/template", "/x/path/template", true),
            ("/{**}/path/template", "/x/y/path/template", true),
            ("/{**}/path/template", "/path/template", false),
            ("/{*}", "/", false),
        ] {
            let matcher = Matcher::parse(&Fact::Path, template).unwrap();
            assert_eq!(matcher.is_path(path), expected, "{template} {path}");
        }
        for template in [
            "/foo/{*}.txt",
            "/{**}/foo/{*}",
            "/*/baz/{*}",
            "/foo/{x}",
            "foo/{*}",
        ] {
            assert!(Matcher::parse(&Fact::Path, template).is_err(), "{template}");
        }
    }

    #[test]
    fn a_path_that_no_request_has_is_no_value() {
        for path in [
            "orders", "/a//b", "/a/../b", "/a%2fb", "/%61*", "/a/./*", "*/../b",
        ] {
            assert!(Matcher::parse(&Fact::Path, path).is_err(), "{path}");
        }
        for path in ["*", "/a*", "/a/*", "*/b", "*.html", "/a%20b"] {
            assert!(Matcher::parse(&Fact::Path, path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_namespace_stands_behind_its_mark() {
        for (pattern, id, expected) in [
            ("shop", "a.org/ns/shop/sa/web", true),
            ("shop", "a.org/ns/shopping/sa/web", false),
            ("shop", "a.org/ns/shop", false),
            ("shop", "a.org/x/ns/shop/y", true),
            ("sh*", "a.org/ns/shop/sa/web", true),
            ("*op", "a.org/ns/shop/sa/web", true),
            ("*web", "a.org/ns/shop/sa/web", false),
            ("*", "a.org/ns/shop/sa/web", true),
            ("*", "a.org/shop/sa/web", false),
        ] {
            let found = is_namespace(&TextPattern::parse(pattern), id);
            assert_eq!(found, expected, "{pattern} {id}");
        }
    }
}
