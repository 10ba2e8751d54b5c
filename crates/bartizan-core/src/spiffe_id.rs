//! SPIFFE IDs: the names of workloads.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

const SCHEME: &str = "spiffe://";

/// The longest SPIFFE ID that is accepted, in bytes (SPIFFE-ID §2.3).
pub(crate) const MAX_ID_BYTES: usize = 2048;
/// The longest trust domain name that is accepted, in bytes (SPIFFE-ID §2.3).
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

/// A SPIFFE ID such as `spiffe://example.org/ns/shop/sa/orders`.
///
/// Parsing follows [SPIFFE-ID §2] to the letter and accepts the canonical form alone: lower-case
/// scheme and trust domain, no port, user info, query, fragment or percent-encoding, no empty,
/// `.` or `..` segment, no trailing slash. The standard lets a parser fold the case of scheme and
/// trust domain; this one does not, because two spellings of one name are a risk in
/// authorization rules and no issuer needs them.
///
/// Two IDs are equal when their text is. Cloning is one reference count.
///
/// ```
/// use bartizan_core::SpiffeId;
///
/// let id: SpiffeId = "spiffe://example.org/ns/shop/sa/orders".parse()?;
/// assert_eq!(id.trust_domain(), "example.org");
/// assert_eq!(id.path(), "/ns/shop/sa/orders");
/// assert!("spiffe://example.org/ns/../admin".parse::<SpiffeId>().is_err());
/// # Ok::<(), bartizan_core::SpiffeIdError>(())
/// ```
///
/// [SPIFFE-ID §2]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md#2-spiffe-identity
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpiffeId {
    text: Arc<str>,
    // Where the path begins. At most 9 + 255, and the text is immutable.
    path_start: u16,
}

impl SpiffeId {
    /// Parses the canonical text form.
    ///
    /// # Errors
    ///
    /// [`SpiffeIdError`] names the first rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        if text.len() > MAX_ID_BYTES {
            return Err(SpiffeIdError::TooLong { length: text.len() });
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let name_length = rest.find('/').unwrap_or(rest.len());
        let (name, path) = rest.split_at(name_length);
        check_trust_domain(name)?;
        check_path(path)?;
        Ok(Self {
            text: Arc::from(text),
            path_start: u16::try_from(SCHEME.len() + name_length).unwrap_or(u16::MAX),
        })
    }

    /// The whole ID, as it was parsed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain name, such as `example.org`.
    pub fn trust_domain(&self) -> &str {
        self.text
            .get(SCHEME.len()..usize::from(self.path_start))
            .unwrap_or_default()
    }

    /// The path with its leading slash, or the empty string for the ID of a trust domain itself.
    pub fn path(&self) -> &str {
        self.text
            .get(usize::from(self.path_start)..)
            .unwrap_or_default()
    }

    /// The segments of the path, in order.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1)
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        Self::parse(text)
    }
}

impl AsRef<str> for SpiffeId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({})", self.text)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name of a trust domain, such as `example.org`.
///
/// ```
/// use bartizan_core::TrustDomain;
///
/// assert!("example.org".parse::<TrustDomain>().is_ok());
/// assert!("Example.org".parse::<TrustDomain>().is_err());
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Parses a trust domain name, without scheme or path.
    ///
    /// # Errors
    ///
    /// [`SpiffeIdError`] names the first rule that `name` breaks.
    pub fn parse(name: &str) -> Result<Self, SpiffeIdError> {
        check_trust_domain(name)?;
        Ok(Self(Arc::from(name)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `id` is a member of this trust domain. Trust domains do not nest.
    pub fn contains(&self, id: &SpiffeId) -> bool {
        id.trust_domain() == self.as_str()
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeIdError;

    fn from_str(name: &str) -> Result<Self, SpiffeIdError> {
        Self::parse(name)
    }
}

impl AsRef<str> for TrustDomain {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

// Lets a map keyed by trust domain be asked with the text inside a `SpiffeId`.
impl std::borrow::Borrow<str> for TrustDomain {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustDomain({})", self.0)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rule of the SPIFFE ID grammar that a text breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// A path segment is empty, which includes a trailing slash.
    EmptySegment,
    /// The trust domain name is empty.
    EmptyTrustDomain,
    /// A pattern uses a wildcard where none may stand.
    Pattern,
    /// A path segment has a character outside `[a-zA-Z0-9._-]`.
    PathCharacter,
    /// A path segment is `.` or `..`.
    RelativeSegment,
    /// The text does not begin with `spiffe://`.
    Scheme,
    /// The whole ID is longer than 2048 bytes.
    TooLong {
        /// The length that was seen, in bytes.
        length: usize,
    },
    /// The trust domain name has a character outside `[a-z0-9._-]`.
    TrustDomainCharacter,
    /// The trust domain name is longer than 255 bytes.
    TrustDomainTooLong {
        /// The length that was seen, in bytes.
        length: usize,
    },
}

impl fmt::Display for SpiffeIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptySegment => f.write_str("path has an empty segment or a trailing slash"),
            Self::EmptyTrustDomain => f.write_str("trust domain is empty"),
            Self::Pattern => {
                f.write_str("a wildcard stands for a whole segment, and `**` only at the end")
            }
            Self::PathCharacter => f.write_str("path has a character outside a-z A-Z 0-9 . _ -"),
            Self::RelativeSegment => f.write_str("path has a `.` or `..` segment"),
            Self::Scheme => f.write_str("text does not begin with spiffe://"),
            Self::TooLong { length } => {
                write!(f, "id is too long: {length} bytes, at most {MAX_ID_BYTES}")
            }
            Self::TrustDomainCharacter => {
                f.write_str("trust domain has a character outside a-z 0-9 . _ -")
            }
            Self::TrustDomainTooLong { length } => write!(
                f,
                "trust domain is too long: {length} bytes, at most {MAX_TRUST_DOMAIN_BYTES}"
            ),
        }
    }
}

impl std::error::Error for SpiffeIdError {}

//= SPIFFE-ID §2.1: the trust domain name is made of lower-case letters, digits, dot, hyphen and
//= underscore, and is not percent-encoded.
pub(crate) fn check_trust_domain(name: &str) -> Result<(), SpiffeIdError> {
    if name.is_empty() {
        return Err(SpiffeIdError::EmptyTrustDomain);
    }
    if name.len() > MAX_TRUST_DOMAIN_BYTES {
        return Err(SpiffeIdError::TrustDomainTooLong { length: name.len() });
    }
    if !name
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
    {
        return Err(SpiffeIdError::TrustDomainCharacter);
    }
    Ok(())
}

//= SPIFFE-ID §2.2: no empty segments, no relative modifiers, no trailing slash.
fn check_path(path: &str) -> Result<(), SpiffeIdError> {
    let Some(path) = path.strip_prefix('/') else {
        return Ok(());
    };
    path.split('/').try_for_each(check_segment)
}

pub(crate) fn check_segment(segment: &str) -> Result<(), SpiffeIdError> {
    match segment {
        "" => Err(SpiffeIdError::EmptySegment),
        "." | ".." => Err(SpiffeIdError::RelativeSegment),
        _ if segment
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) =>
        {
            Ok(())
        }
        _ => Err(SpiffeIdError::PathCharacter),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(&str, &str), SpiffeIdError>) {
        let parsed = SpiffeId::parse(text);
        let seen = parsed
            .as_ref()
            .map(|id| (id.trust_domain(), id.path()))
            .map_err(|e| *e);
        assert_eq!(seen, expected, "{text:?}");
        if let Ok(id) = parsed {
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn follows_the_grammar() {
        use SpiffeIdError::*;
        check("spiffe://example.org", Ok(("example.org", "")));
        check("spiffe://example.org/a", Ok(("example.org", "/a")));
        check("spiffe://10.0.0.1/A-b_c.d", Ok(("10.0.0.1", "/A-b_c.d")));
        check("spiffe://a/...", Ok(("a", "/...")));
        check("spiffe://a/..b/.c", Ok(("a", "/..b/.c")));
        check("", Err(Scheme));
        check("spiffe:/a", Err(Scheme));
        check("SPIFFE://a/b", Err(Scheme));
        check("https://a/b", Err(Scheme));
        check("spiffe://", Err(EmptyTrustDomain));
        check("spiffe:///a", Err(EmptyTrustDomain));
        check("spiffe://A/b", Err(TrustDomainCharacter));
        check("spiffe://a:80/b", Err(TrustDomainCharacter));
        check("spiffe://u@a/b", Err(TrustDomainCharacter));
        check("spiffe://[::1]/b", Err(TrustDomainCharacter));
        check("spiffe://a%20/b", Err(TrustDomainCharacter));
        check("spiffe://a?b", Err(TrustDomainCharacter));
        check("spiffe://a/", Err(EmptySegment));
        check("spiffe://a/b/", Err(EmptySegment));
        check("spiffe://a//b", Err(EmptySegment));
        check("spiffe://a/./b", Err(RelativeSegment));
        check("spiffe://a/b/..", Err(RelativeSegment));
        check("spiffe://a/b?c", Err(PathCharacter));
        check("spiffe://a/b#c", Err(PathCharacter));
        check("spiffe://a/%2e", Err(PathCharacter));
        check("spiffe://a/b\0", Err(PathCharacter));
        check("spiffe://a/ü", Err(PathCharacter));
    }

    #[test]
    fn holds_its_length_limits() {
        let name = "a".repeat(255);
        assert!(SpiffeId::parse(&format!("spiffe://{name}/b")).is_ok());
        assert_eq!(
            SpiffeId::parse(&format!("spiffe://{name}a/b")),
            Err(SpiffeIdError::TrustDomainTooLong { length: 256 })
        );
        let longest = format!("spiffe://a/{}", "b".repeat(MAX_ID_BYTES - 11));
        assert_eq!(longest.len(), MAX_ID_BYTES);
        assert!(SpiffeId::parse(&longest).is_ok());
        assert_eq!(
            SpiffeId::parse(&format!("{longest}b")),
            Err(SpiffeIdError::TooLong { length: 2049 })
        );
    }

    #[test]
    fn trust_domains_do_not_nest() {
        let parent = TrustDomain::parse("example.org").unwrap();
        assert!(parent.contains(&SpiffeId::parse("spiffe://example.org/a").unwrap()));
        assert!(!parent.contains(&SpiffeId::parse("spiffe://sub.example.org/a").unwrap()));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,64}") {
            let _ = SpiffeId::parse(&text);
        }

        #[test]
        fn parsing_what_was_printed_gives_the_same(
            name in "[a-z0-9._-]{1,20}", path in "(/[a-z]{1,4}[a-zA-Z0-9._-]{0,6}){0,4}"
        ) {
            let text = format!("spiffe://{name}{path}");
            let id = SpiffeId::parse(&text).unwrap();
            prop_assert_eq!(id.to_string(), text);
            prop_assert_eq!((id.trust_domain(), id.path()), (name.as_str(), path.as_str()));
        }
    }
}
