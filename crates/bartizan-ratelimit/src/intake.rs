//! What a request may look like, before anything reads it.

use crate::error::{ConfigError, RateLimitErrorKind};

/// What a request may look like, by its head.
///
/// | setting | default | reason |
/// |---|---|---|
/// | target | 8 KiB | what RFC 9110 §4.1 asks everybody to support |
/// | headers | 16 KiB | room for tokens and traces; hyper takes some 400 KiB by default |
/// | header lines | 64 | more than any browser sends; hyper takes 100 |
/// | declared body | 2 MiB | what axum's extractors take |
/// | content types | any | which ones a service reads is its own to say |
///
/// ```
/// use bartizan_ratelimit::IntakeRules;
///
/// let rules = IntakeRules::builder()
///     .with_max_body(64 * 1024)
///     .allow_content_type("application/json")
///     .build()?;
/// # let _ = rules;
/// assert!(IntakeRules::builder().allow_content_type("json").build().is_err());
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IntakeRules {
    target: usize,
    headers: usize,
    lines: usize,
    body: u64,
    types: Vec<Box<str>>,
}

/// Describes [`IntakeRules`]; made by [`IntakeRules::builder`].
#[derive(Clone, Debug)]
#[must_use = "call build to get the rules"]
pub struct IntakeRulesBuilder(IntakeRules);

/// What a request looks like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head<'h> {
    /// The bytes of path and query.
    pub(crate) target: usize,
    /// The bytes of names and values of headers.
    pub(crate) headers: usize,
    /// How many lines of headers there are.
    pub(crate) lines: usize,
    /// The size that the body is declared to have.
    pub(crate) body: Option<u64>,
    /// Whether the head shows that there is a body, or leaves it open where one is to be expected.
    pub(crate) has_body: bool,
    /// The content type, as it was sent; `None` too if there are several.
    pub(crate) content_type: Option<&'h [u8]>,
}

impl IntakeRules {
    /// Begins rules with the defaults.
    pub fn builder() -> IntakeRulesBuilder {
        IntakeRulesBuilder(Self {
            target: 8 * 1024,
            headers: 16 * 1024,
            lines: 64,
            body: 2 * 1024 * 1024,
            types: Vec::new(),
        })
    }

    /// Says what is wrong with a request, if something is.
    pub(crate) fn judge(&self, head: &Head<'_>) -> Result<(), RateLimitErrorKind> {
        if head.target > self.target {
            return Err(RateLimitErrorKind::UriTooLong);
        }
        if head.headers > self.headers || head.lines > self.lines {
            return Err(RateLimitErrorKind::HeadersTooLarge);
        }
        if head.body.is_some_and(|size| size > self.body) {
            return Err(RateLimitErrorKind::BodyTooLarge);
        }
        if head.has_body && !self.types.is_empty() && !self.takes(head.content_type) {
            return Err(RateLimitErrorKind::UnsupportedMedia);
        }
        Ok(())
    }

    /// Whether a content type is on the list; its parameters do not matter.
    fn takes(&self, content_type: Option<&[u8]>) -> bool {
        let essence = content_type
            .and_then(|value| value.split(|byte| *byte == b';').next())
            .unwrap_or_default()
            .trim_ascii();
        let mut types = self.types.iter();
        types.any(|it| it.as_bytes().eq_ignore_ascii_case(essence))
    }
}

impl IntakeRulesBuilder {
    /// Sets how many bytes path and query may have.
    pub fn with_max_target(mut self, bytes: usize) -> Self {
        self.0.target = bytes;
        self
    }

    /// Sets how many bytes the names and values of all headers may have, and how many lines there
    /// may be.
    pub fn with_max_headers(mut self, bytes: usize, lines: usize) -> Self {
        self.0.headers = bytes;
        self.0.lines = lines;
        self
    }

    /// Sets how large a body may be declared to be.
    pub fn with_max_body(mut self, bytes: u64) -> Self {
        self.0.body = bytes;
        self
    }

    /// Takes bodies of this media type, such as `application/json`, and of no other that is not
    /// allowed likewise. For gRPC allow `application/grpc` and what your clients add to it.
    ///
    /// A `POST`, `PUT` or `PATCH` over HTTP/2 or later that says nothing of its body, not even that
    /// its length is zero, counts as one with a body of no media type.
    pub fn allow_content_type(mut self, media_type: &str) -> Self {
        self.0.types.push(media_type.into());
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Intake`] if a limit on the head is zero, or if a content type is not two
    /// names with a slash between them and nothing else.
    pub fn build(self) -> Result<IntakeRules, ConfigError> {
        let rules = self.0;
        if rules.target == 0 || rules.headers == 0 || rules.lines == 0 {
            return Err(ConfigError::Intake(
                "a limit of nothing refuses everybody".to_owned(),
            ));
        }
        for media_type in &rules.types {
            if !is_media_type(media_type) {
                let problem = format!("{media_type:?} is not a media type without parameters");
                return Err(ConfigError::Intake(problem));
            }
        }
        Ok(rules)
    }
}

//= RFC 9110 §8.3.1
//# media-type = type "/" subtype parameters
fn is_media_type(text: &str) -> bool {
    let is_token = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !name.is_empty() && name.bytes().all(allowed)
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> IntakeRules {
        IntakeRules::builder()
            .with_max_target(10)
            .with_max_headers(100, 3)
            .with_max_body(1_000)
            .allow_content_type("application/json")
            .build()
            .unwrap()
    }

    fn check(head: Head<'_>, expected: Result<(), RateLimitErrorKind>) {
        assert_eq!(rules().judge(&head), expected, "{head:?}");
    }

    #[test]
    fn each_limit_holds_to_the_byte() {
        use RateLimitErrorKind::{BodyTooLarge, HeadersTooLarge, UriTooLong};

        let head = Head::default();
        check(Head { target: 10, ..head }, Ok(()));
        check(Head { target: 11, ..head }, Err(UriTooLong));
        check(
            Head {
                headers: 100,
                lines: 3,
                ..head
            },
            Ok(()),
        );
        check(
            Head {
                headers: 101,
                ..head
            },
            Err(HeadersTooLarge),
        );
        check(Head { lines: 4, ..head }, Err(HeadersTooLarge));
        check(
            Head {
                body: Some(1_000),
                ..head
            },
            Ok(()),
        );
        check(
            Head {
                body: Some(1_001),
                ..head
            },
            Err(BodyTooLarge),
        );
        check(
            Head {
                body: Some(u64::MAX),
                ..head
            },
            Err(BodyTooLarge),
        );
    }

    #[test]
    fn bodies_are_of_an_allowed_type() {
        let of = |content_type| Head {
            has_body: true,
            content_type,
            ..Head::default()
        };
        let unsupported = Err(RateLimitErrorKind::UnsupportedMedia);
        check(of(Some(b"application/json")), Ok(()));
        check(of(Some(b"Application/JSON ; charset=utf-8")), Ok(()));
        check(of(Some(b"application/jsonp")), unsupported);
        check(of(Some(b"text/plain;application/json")), unsupported);
        check(of(Some(b"text/html, application/json")), unsupported);
        check(of(Some(b"")), unsupported);
        check(of(None), unsupported);
        check(Head::default(), Ok(()));
    }

    #[test]
    fn media_types_have_two_parts() {
        for (text, expected) in [
            ("application/json", true),
            ("application/problem+json", true),
            ("application/grpc", true),
            ("json", false),
            ("application/", false),
            ("/json", false),
            ("a/b/c", false),
            ("application/json; charset=utf-8", false),
        ] {
            assert_eq!(is_media_type(text), expected, "{text}");
        }
    }
}
