//! One spelling for each path, or none.

use std::borrow::Cow;
use std::fmt;

/// A request path in the one spelling that rules are matched against.
///
/// Routers, proxies and file systems disagree about what `/a%2fb`, `/a/../b` or `//a` mean, and
/// every disagreement is a way around a rule. So these are refused:
///
/// * encoded separators `%2f` and `%5c`, and a plain backslash;
/// * `.` and `..` segments, plain or encoded;
/// * empty segments (`//`), but a single trailing slash is kept: it is another path;
/// * an encoded control character (`%00`), a bad percent-encoding, a character beyond ASCII that
///   is not encoded, and a `;` parameter;
/// * a path that does not begin with `/`.
///
/// What remains is normalised as [RFC 3986 §6.2.2] says: percent-encoded characters that may stand
/// in a segment as they are (`a`, `~`, `:`, `@`) are decoded, and hexadecimal digits are upper-case.
/// Case is kept: paths are case-sensitive.
///
/// [RFC 3986 §6.2.2]: https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2
///
/// ```
/// use bartizan_core::CanonicalPath;
///
/// assert_eq!(CanonicalPath::parse("/orders/%7Ealice")?.as_str(), "/orders/~alice");
/// assert!(CanonicalPath::parse("/orders/%2e%2e/admin").is_err());
/// # Ok::<(), bartizan_core::PathError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CanonicalPath<'p>(Cow<'p, str>);

impl<'p> CanonicalPath<'p> {
    /// Brings a path into its canonical spelling. Allocates only if that differs.
    ///
    /// # Errors
    ///
    /// [`PathError`] says why the path has no one meaning.
    pub fn parse(path: &'p str) -> Result<Self, PathError> {
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let decoded = decode(path)?;
        let mut segments = decoded.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            match segment {
                "." | ".." => return Err(PathError::DotSegment),
                "" if segments.peek().is_some() => return Err(PathError::EmptySegment),
                _ => {}
            }
        }
        Ok(Self(decoded))
    }

    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The canonical spelling as text of its own, or `None` if it is the one that was given.
    pub fn into_changed(self) -> Option<String> {
        match self.0 {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text),
        }
    }
}

/// Decodes unreserved characters, upper-cases hexadecimal digits, and refuses the rest of what
/// the type's documentation lists.
fn decode(path: &str) -> Result<Cow<'_, str>, PathError> {
    let refused = |b: &u8| !b.is_ascii() || b.is_ascii_control() || matches!(b, b'\\' | b';');
    if let Some(byte) = path.as_bytes().iter().copied().find(refused) {
        return Err(match byte {
            b';' => PathError::Parameter,
            b'\\' => PathError::EncodedSeparator,
            128.. => PathError::NotAscii,
            _ => PathError::Control,
        });
    }
    let mut pieces = path.split('%');
    let first = pieces.next().unwrap_or_default();
    if first.len() == path.len() {
        return Ok(Cow::Borrowed(path));
    }
    let mut decoded = String::with_capacity(path.len());
    decoded.push_str(first);
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(PathError::Encoding)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(PathError::Encoding);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| PathError::Encoding)?;
        match byte {
            b'/' | b'\\' => return Err(PathError::EncodedSeparator),
            b';' => return Err(PathError::Parameter),
            _ if byte.is_ascii_control() => return Err(PathError::Control),
            _ if stands_in_a_segment(byte) => decoded.push(char::from(byte)),
            _ => {
                decoded.push('%');
                decoded.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
            }
        }
        decoded.push_str(rest);
    }
    Ok(if decoded == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(decoded)
    })
}

//= RFC 3986 §3.3: pchar = unreserved / pct-encoded / sub-delims / ":" / "@". The semicolon, which
//= is one of them, was refused before.
fn stands_in_a_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte)
}

/// Why a path has no one meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PathError {
    /// A control character, plain or encoded.
    Control,
    /// A `.` or `..` segment, plain or encoded.
    DotSegment,
    /// An empty segment: two slashes in a row.
    EmptySegment,
    /// A backslash, or an encoded slash or backslash.
    EncodedSeparator,
    /// A percent sign that two hexadecimal digits do not follow.
    Encoding,
    /// The path does not begin with a slash.
    NotAbsolute,
    /// A character beyond ASCII that is not percent-encoded.
    NotAscii,
    /// A `;`, which some routers take for the start of a parameter.
    Parameter,
    /// The path as it was sent matches another route than its canonical spelling does.
    Spelling,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "path has a control character",
            Self::DotSegment => "path has a dot segment",
            Self::EmptySegment => "path has an empty segment",
            Self::EncodedSeparator => "path has a backslash or an encoded separator",
            Self::Encoding => "path has a bad percent-encoding",
            Self::NotAbsolute => "path does not begin with a slash",
            Self::NotAscii => "path has a character beyond ascii that is not encoded",
            Self::Parameter => "path has a semicolon",
            Self::Spelling => "path matches another route as it is spelled",
        })
    }
}

impl std::error::Error for PathError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, expected: Result<&str, PathError>) {
        let parsed = CanonicalPath::parse(path);
        assert_eq!(
            parsed.as_ref().map(CanonicalPath::as_str).map_err(|e| *e),
            expected,
            "{path}"
        );
    }

    #[test]
    fn gives_each_path_one_spelling() {
        check("/", Ok("/"));
        check("/a/b", Ok("/a/b"));
        check("/a/", Ok("/a/"));
        check("/a/%7e%41", Ok("/a/~A"));
        check("/%c3%bc", Ok("/%C3%BC"));
        check("/a%20b", Ok("/a%20b"));
        check("/pkg.Service/Method", Ok("/pkg.Service/Method"));
        check("/...", Ok("/..."));
        check("/a%25b", Ok("/a%25b"));
        check("/users/a%3Ab%40c", Ok("/users/a:b@c"));
        check("/a%2C%3D", Ok("/a,="));
    }

    #[test]
    fn refuses_what_has_no_one_meaning() {
        use PathError::*;
        check("", Err(NotAbsolute));
        check("*", Err(NotAbsolute));
        check("a/b", Err(NotAbsolute));
        check("//", Err(EmptySegment));
        check("//a", Err(EmptySegment));
        check("/a//b", Err(EmptySegment));
        check("/a/.", Err(DotSegment));
        check("/a/../b", Err(DotSegment));
        check("/a/%2e%2E/b", Err(DotSegment));
        check("/a/.%2e", Err(DotSegment));
        check("/a%2fb", Err(EncodedSeparator));
        check("/a%2Fb", Err(EncodedSeparator));
        check("/a%5cb", Err(EncodedSeparator));
        check("/a\\b", Err(EncodedSeparator));
        check("/a%00", Err(Control));
        check("/a%0d%0a", Err(Control));
        check("/a%", Err(Encoding));
        check("/a%4", Err(Encoding));
        check("/a%zz", Err(Encoding));
        check("/a%+1", Err(Encoding));
        check("/a%ü", Err(NotAscii));
        check("/ü", Err(NotAscii));
        check("/a;b=c", Err(Parameter));
        check("/a%3bb", Err(Parameter));
    }

    proptest! {
        #[test]
        fn is_idempotent(path in "/[ -~]{0,32}") {
            if let Ok(canonical) = CanonicalPath::parse(&path) {
                let again = CanonicalPath::parse(canonical.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), canonical.as_str());
            }
        }

        #[test]
        fn never_panics(path in any::<String>()) {
            let _ = CanonicalPath::parse(&path);
        }
    }
}
