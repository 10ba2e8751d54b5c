//! `X-Forwarded-Client-Cert`, as Envoy writes it.

mod percent;
#[cfg(test)]
mod tests;

use std::fmt;

/// The most bytes that a field value may have.
///
/// A PEM certificate takes 2 KiB, URL-encoded with its chain 10 KiB.
const MAX_BYTES: usize = 64 * 1024;

/// The most elements that a field value may have: one for each proxy on the way.
const MAX_ELEMENTS: usize = 32;

/// The most pairs that an element may have.
const MAX_PAIRS: usize = 64;

/// The value of an `X-Forwarded-Client-Cert` field: one element for each proxy on the way.
///
/// The grammar is [Envoy's]: elements separated by `,`, pairs of an element by `;`, each
/// `key=value`. Keys are compared without regard to case. A value that holds one of `,` and `;` is
/// in double quotes, in which a backslash takes away the meaning of a quote or backslash after it.
/// `Cert` and `Chain` are URL-encoded PEM text.
///
/// Parsing is strict where leniency would let a client shift what its proxy appends: quotes must
/// open and close a whole value, and every element must be sound, not only the last. Keys that
/// Envoy does not know are passed over.
///
/// It states what the field says. Whether to believe it is for [`ProxyGrant`](crate::ProxyGrant).
///
/// ```
/// use bartizan_mtls::Xfcc;
///
/// let said: Xfcc = r#"By=spiffe://a.org/edge;Subject="CN=x, O=y";URI=spiffe://a.org/x"#.parse()?;
/// let last = said.last().ok_or("elements are never absent")?;
/// assert_eq!(last.uris(), ["spiffe://a.org/x"]);
/// assert!(r#"URI=spiffe://a.org/x;Subject=""#.parse::<Xfcc>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [Envoy's]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Xfcc(Vec<XfccElement>);

/// What one proxy says of the client that it answered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct XfccElement {
    by: Vec<String>,
    hash: Option<[u8; 32]>,
    certificate: Option<String>,
    chain: Option<String>,
    subject: Option<String>,
    uris: Vec<String>,
    dns_names: Vec<String>,
}

/// Why a text is no `X-Forwarded-Client-Cert`. No variant quotes the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum XfccError {
    /// A key that may occur once occurs twice in an element.
    #[error("key occurs twice in one element")]
    DuplicateKey,
    /// `Cert` or `Chain` is no URL-encoded text.
    #[error("value is not url-encoded")]
    Encoding,
    /// `Hash` is not 64 hexadecimal digits.
    #[error("hash is no sha-256 in hexadecimal form")]
    Hash,
    /// A pair has no `=`, or nothing before it; or an element is empty.
    #[error("pair is not key=value")]
    Pair,
    /// A quote does not enclose a whole value, or never closes.
    #[error("quotes do not enclose a value")]
    Quote,
    /// The text has more than 64 KiB.
    #[error("field is too large: {bytes} bytes, at most {MAX_BYTES}")]
    TooLarge {
        /// The size that was seen, in bytes.
        bytes: usize,
    },
    /// There are more than 32 elements, or more than 64 pairs in one.
    #[error("too many elements or pairs: at most {MAX_ELEMENTS} of {MAX_PAIRS}")]
    TooMany,
}

impl Xfcc {
    /// Parses a field value.
    ///
    /// # Errors
    ///
    /// [`XfccError`] names the first rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, XfccError> {
        if text.len() > MAX_BYTES {
            return Err(XfccError::TooLarge { bytes: text.len() });
        }
        let mut elements = Vec::new();
        for element in split(text, ',') {
            if elements.len() == MAX_ELEMENTS {
                return Err(XfccError::TooMany);
            }
            let element = element?.trim_matches([' ', '\t']);
            elements.push(XfccElement::parse(element)?);
        }
        Ok(Self(elements))
    }

    /// The elements, in the order of the proxies on the way: the client's own first.
    pub fn elements(&self) -> &[XfccElement] {
        &self.0
    }

    /// The element of the last proxy on the way, the one at the other end of the connection. It is
    /// the only one that this proxy vouches for.
    pub fn last(&self) -> Option<&XfccElement> {
        self.0.last()
    }
}

impl XfccElement {
    /// `By`: the URI names of the certificate that the proxy answered with.
    pub fn by(&self) -> &[String] {
        &self.by
    }

    /// `Hash`: SHA-256 of the client's certificate.
    pub fn hash(&self) -> Option<&[u8; 32]> {
        self.hash.as_ref()
    }

    /// `Cert`: the client's certificate as PEM text, decoded from its URL encoding.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// `Chain`: the client's chain, leaf first, as PEM text, decoded from its URL encoding.
    pub fn chain(&self) -> Option<&str> {
        self.chain.as_deref()
    }

    /// `Subject` of the client's certificate.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// `URI`: the URI names of the client's certificate.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// `DNS`: the DNS names of the client's certificate.
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    fn parse(text: &str) -> Result<Self, XfccError> {
        let mut element = Self::default();
        for (position, pair) in split(text, ';').enumerate() {
            if position == MAX_PAIRS {
                return Err(XfccError::TooMany);
            }
            let (key, value) = pair?.split_once('=').ok_or(XfccError::Pair)?;
            element.add(key, unquote(value)?)?;
        }
        Ok(element)
    }

    fn add(&mut self, key: &str, value: String) -> Result<(), XfccError> {
        let known = |name: &str| key.eq_ignore_ascii_case(name);
        if key.is_empty() || key.contains(['"', ' ', '\t']) {
            return Err(XfccError::Pair);
        }
        if known("by") {
            self.by.push(value);
        } else if known("hash") {
            set(
                &mut self.hash,
                percent::hash(&value).ok_or(XfccError::Hash)?,
            )?;
        } else if known("cert") {
            let text = percent::decode(&value).ok_or(XfccError::Encoding)?;
            set(&mut self.certificate, text)?;
        } else if known("chain") {
            let text = percent::decode(&value).ok_or(XfccError::Encoding)?;
            set(&mut self.chain, text)?;
        } else if known("subject") {
            set(&mut self.subject, value)?;
        } else if known("uri") {
            self.uris.push(value);
        } else if known("dns") {
            self.dns_names.push(value);
        }
        Ok(())
    }
}

impl std::str::FromStr for Xfcc {
    type Err = XfccError;

    fn from_str(text: &str) -> Result<Self, XfccError> {
        Self::parse(text)
    }
}

impl fmt::Display for Xfcc {
    /// The field value, without the keys that were passed over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, element) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            write!(f, "{separator}{element}")?;
        }
        Ok(())
    }
}

impl fmt::Display for XfccElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut pair = |f: &mut fmt::Formatter<'_>, key: &str, value: &str| {
            write!(f, "{separator}{key}=\"")?;
            separator = ";";
            for character in value.chars() {
                if matches!(character, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{character}")?;
            }
            f.write_str("\"")
        };
        for by in &self.by {
            pair(f, "By", by)?;
        }
        if let Some(hash) = &self.hash {
            pair(f, "Hash", &percent::hexadecimal(hash))?;
        }
        if let Some(certificate) = &self.certificate {
            pair(f, "Cert", &percent::encode(certificate))?;
        }
        if let Some(chain) = &self.chain {
            pair(f, "Chain", &percent::encode(chain))?;
        }
        if let Some(subject) = &self.subject {
            pair(f, "Subject", subject)?;
        }
        for uri in &self.uris {
            pair(f, "URI", uri)?;
        }
        for name in &self.dns_names {
            pair(f, "DNS", name)?;
        }
        Ok(())
    }
}

/// The pieces of `text` between separators outside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = Result<&str, XfccError>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let piece = rest.take()?;
        let (mut quoted, mut escaped) = (false, false);
        for (at, character) in piece.char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ if character == separator && !quoted => {
                    let (piece, after) = piece.split_at(at);
                    rest = after.strip_prefix(separator);
                    return Some(Ok(piece));
                }
                _ => {}
            }
        }
        Some(if quoted {
            Err(XfccError::Quote)
        } else {
            Ok(piece)
        })
    })
}

/// The value without its quotes. Quotes stand around the whole of it or nowhere.
fn unquote(value: &str) -> Result<String, XfccError> {
    let Some(inner) = value.strip_prefix('"') else {
        return if value.contains('"') {
            Err(XfccError::Quote)
        } else {
            Ok(value.to_owned())
        };
    };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    loop {
        match characters.next() {
            Some('"') if characters.as_str().is_empty() => return Ok(text),
            Some('"') | None => return Err(XfccError::Quote),
            Some('\\') => match characters.next() {
                Some(quoted @ ('"' | '\\')) => text.push(quoted),
                // Envoy writes subjects as RFC 2253 escapes them: such an escape stays.
                Some(other) => text.extend(['\\', other]),
                None => return Err(XfccError::Quote),
            },
            Some(character) => text.push(character),
        }
    }
}

fn set<T>(slot: &mut Option<T>, value: T) -> Result<(), XfccError> {
    if slot.replace(value).is_some() {
        return Err(XfccError::DuplicateKey);
    }
    Ok(())
}
