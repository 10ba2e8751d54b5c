//! The forms that bodies have, and how a value stands in each.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::ciphertext::Ciphertext;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::json::{self, Fate, Paths, text_of};
#[cfg(feature = "prost")]
use crate::protobuf::{self, Numbers};
use crate::wiped::WipedBytes;

/// Which values of a body are meant, by the form of the body.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    Json(Paths),
    #[cfg(feature = "prost")]
    Message(Numbers),
}

/// Asked about each value that is meant: its rule, the value, and where to write another.
pub(crate) type Visit<'v> =
    dyn FnMut(usize, Token<'_>, &mut WipedBytes) -> Result<Fate, EncryptError> + 'v;

/// A value as it stands in a body.
#[derive(Clone, Copy)]
pub(crate) enum Token<'t> {
    /// As it is written, quotes and escapes and all.
    Json(&'t str),
    /// The bytes of a field.
    #[cfg(feature = "prost")]
    Message(&'t [u8]),
}

impl Selection {
    /// The body with the meant values changed.
    pub(crate) fn rewrite(
        &self,
        body: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<WipedBytes, EncryptError> {
        match self {
            Self::Json(paths) => {
                let body = std::str::from_utf8(body);
                let body = body.map_err(|_| EncryptErrorKind::MalformedJson)?;
                json::rewrite(body, paths, &mut |rule, token, out| {
                    visit(rule, Token::Json(token), out)
                })
            }
            #[cfg(feature = "prost")]
            Self::Message(numbers) => protobuf::rewrite(body, numbers, &mut |rule, bytes, out| {
                visit(rule, Token::Message(bytes), out)
            }),
        }
    }

    /// What was opened, as a value of this form. What a service sealed unseen must not become
    /// more than one value of a document.
    pub(crate) fn token<'t>(&self, content: &'t [u8]) -> Result<Token<'t>, EncryptError> {
        match self {
            Self::Json(_) => std::str::from_utf8(content)
                .ok()
                .filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
                .map(Token::Json)
                .ok_or(EncryptErrorKind::InvalidValue.into()),
            #[cfg(feature = "prost")]
            Self::Message(_) => Ok(Token::Message(content)),
        }
    }

    /// Writes a text in the place of a value.
    pub(crate) fn write(&self, text: &str, out: &mut WipedBytes) -> Result<Fate, EncryptError> {
        match self {
            Self::Json(_) => serde_json::to_writer(&mut **out, text)
                .map_err(|_| EncryptErrorKind::InvalidValue)?,
            #[cfg(feature = "prost")]
            Self::Message(_) => out.append(text.as_bytes()),
        }
        Ok(Fate::Replace)
    }

    /// Writes a ciphertext in the place of a value: its letters need no escapes.
    pub(crate) fn write_ciphertext(&self, sealed: &Ciphertext, out: &mut WipedBytes) {
        match self {
            Self::Json(_) => {
                out.push(b'"');
                sealed.append_text(out);
                out.push(b'"');
            }
            #[cfg(feature = "prost")]
            Self::Message(_) => sealed.append_text(out),
        }
    }

    /// Writes that there is no value.
    pub(crate) fn write_nothing(&self, out: &mut WipedBytes) -> Fate {
        match self {
            Self::Json(_) => {
                out.extend_from_slice(b"null");
                Fate::Replace
            }
            // What has no value is not there.
            #[cfg(feature = "prost")]
            Self::Message(_) => Fate::Omit,
        }
    }
}

impl<'t> Token<'t> {
    /// What is sealed.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Json(token) => token.as_bytes(),
            #[cfg(feature = "prost")]
            Self::Message(bytes) => bytes,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Json("null"))
    }

    /// The value as text, for masks and the like.
    pub(crate) fn text(&self) -> Result<Zeroizing<String>, EncryptError> {
        match self {
            Self::Json(token) => {
                Ok(text_of(token).unwrap_or_else(|| Zeroizing::new((*token).to_owned())))
            }
            #[cfg(feature = "prost")]
            Self::Message(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Zeroizing::new(text.to_owned())),
                Err(_) => Err(EncryptErrorKind::InvalidValue.into()),
            },
        }
    }

    /// The text, if it claims to be a ciphertext, and so is no secret.
    pub(crate) fn claimed(&self) -> Option<Cow<'t, str>> {
        let text = match self {
            Self::Json(token) => {
                let text = token.strip_prefix('"')?.strip_suffix('"')?;
                if text.contains('\\') {
                    let decoded = text_of(token)?;
                    let claimed = Ciphertext::is_claimed_by(&decoded);
                    return claimed.then(|| Cow::Owned(decoded.as_str().to_owned()));
                }
                text
            }
            #[cfg(feature = "prost")]
            Self::Message(bytes) => std::str::from_utf8(bytes).ok()?,
        };
        Ciphertext::is_claimed_by(text).then_some(Cow::Borrowed(text))
    }
}
