//! What a request's body may look like while it comes in.

use std::time::Duration;

use crate::error::{ConfigError, RateLimitErrorKind};
use crate::json::{JsonExcess, JsonLimits, JsonScan};
use crate::pace::{Pace, PaceLimits};
use crate::ticks::Ticks;

/// What a request's body may look like, measured while it comes in.
///
/// | setting | default | reason |
/// |---|---|---|
/// | size | 2 MiB | what axum's extractors take |
/// | JSON: depth | 64 | deeper than people nest; half of what `serde_json` takes |
/// | JSON: values and names | 100,000 | a value of two bytes may become a hundred in memory |
/// | JSON: longest string or number | 1 MiB | room for a file in base64 |
/// | pace | 240 bytes a second over 5 s, 5 s of grace | slower than any modem, too fast for a hundred thousand idle uploads |
///
/// JSON is looked into where the content type says it is JSON (`application/json`, `text/json`,
/// anything that ends in `+json`), and nowhere else: allow no other types
/// ([`IntakeRules`](crate::IntakeRules)) if your handlers parse whatever comes.
///
/// ```
/// use std::time::Duration;
/// use bartizan_ratelimit::UploadRules;
///
/// let rules = UploadRules::builder()
///     .with_max_body(64 * 1024)
///     .with_json(16, 1_000, 4_096)
///     .with_min_rate(1_024, Duration::from_secs(10))
///     .build()?;
/// # let _ = rules;
/// assert!(UploadRules::builder().with_json(0, 1, 1).build().is_err());
/// # Ok::<(), bartizan_ratelimit::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UploadRules {
    body: Option<u64>,
    json: Option<JsonLimits>,
    pace: Option<PaceLimits>,
}

/// Describes [`UploadRules`]; made by [`UploadRules::builder`].
#[derive(Clone, Copy, Debug)]
#[must_use = "call build to get the rules"]
pub struct UploadRulesBuilder {
    rules: UploadRules,
    grace: Option<Duration>,
}

impl UploadRules {
    /// Nothing is measured: for what may stream for hours.
    pub const NONE: Self = Self {
        body: None,
        json: None,
        pace: None,
    };

    /// Begins rules with the defaults.
    pub fn builder() -> UploadRulesBuilder {
        let window = Duration::from_secs(5);
        UploadRulesBuilder {
            rules: Self {
                body: Some(2 * 1024 * 1024),
                json: Some(JsonLimits {
                    depth: 64,
                    values: 100_000,
                    text: 1024 * 1024,
                }),
                pace: Some(PaceLimits {
                    rate: 240,
                    window,
                    grace: window,
                }),
            },
            grace: None,
        }
    }

    /// Says what is wrong with a body by what its head declares, if something is.
    pub(crate) fn judge(
        &self,
        declared: Option<u64>,
        json: Json,
    ) -> Result<(), RateLimitErrorKind> {
        if declared > self.body && self.body.is_some() {
            return Err(RateLimitErrorKind::BodyTooLarge);
        }
        // What cannot be looked into cannot be let through either.
        match (self.json, json) {
            (Some(_), Json::Coded) => Err(RateLimitErrorKind::UnsupportedCoding),
            _ => Ok(()),
        }
    }

    /// What measures one body; `None` if nothing does.
    pub(crate) fn measure(&self, json: Json) -> Option<Measure> {
        let limits = self.json.filter(|_| json == Json::Plain);
        let measure = Measure {
            room: self.body.unwrap_or(u64::MAX),
            json: limits.map(JsonScan::new),
            pace: self.pace.map(Pace::new),
        };
        (self.body.is_some() || limits.is_some() || self.pace.is_some()).then_some(measure)
    }
}

/// Whether a body is JSON, by its head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Json {
    /// It is, in a coding that cannot be looked into.
    Coded,
    /// It is something else.
    No,
    /// It is, as it is.
    Plain,
}

/// Measures one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    room: u64,
    json: Option<JsonScan>,
    pace: Option<Pace>,
}

impl Measure {
    /// Whether time matters to it.
    pub(crate) fn has_pace(&self) -> bool {
        self.pace.is_some()
    }

    /// Takes note that nothing has come, and gives the moment until which it is waited.
    pub(crate) fn wait(&mut self, now: Ticks) -> Option<Ticks> {
        self.pace.as_mut().map(|pace| pace.wait(now))
    }

    /// Looks at the next piece, and says what is wrong with the body, if something is.
    pub(crate) fn receive(&mut self, now: Ticks, piece: &[u8]) -> Result<(), RateLimitErrorKind> {
        let room = self.room.checked_sub(piece.len() as u64);
        self.room = room.ok_or(RateLimitErrorKind::BodyTooLarge)?;
        if let Some(pace) = &mut self.pace {
            pace.receive(now, piece.len());
        }
        match self.json.as_mut().map_or(Ok(()), |json| json.feed(piece)) {
            Ok(()) => Ok(()),
            Err(JsonExcess::Depth) => Err(RateLimitErrorKind::JsonTooDeep),
            Err(JsonExcess::Size) => Err(RateLimitErrorKind::JsonTooLarge),
        }
    }
}

impl UploadRulesBuilder {
    /// Sets how many bytes a body may have.
    pub fn with_max_body(mut self, bytes: u64) -> Self {
        self.rules.body = Some(bytes);
        self
    }

    /// Sets how many objects and arrays of a JSON document may stand inside of one another, how
    /// many values and names it may have altogether, and how many bytes each string or number may
    /// have as it is written.
    pub fn with_json(mut self, depth: u32, values: u64, text: u64) -> Self {
        self.rules.json = Some(JsonLimits {
            depth,
            values,
            text,
        });
        self
    }

    /// Sets how many bytes per second a body must bring on average, for as long as it is waited
    /// for. A client that was faster may be silent for the `window` at most. Time in which nobody
    /// reads the body does not count.
    pub fn with_min_rate(mut self, bytes_per_second: u64, window: Duration) -> Self {
        self.rules.pace = Some(PaceLimits {
            rate: bytes_per_second,
            window,
            grace: window,
        });
        self
    }

    /// Sets how long is waited for the first bytes; as long as the window unless set.
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Lets a body be as large as it likes.
    pub fn allow_any_size(mut self) -> Self {
        self.rules.body = None;
        self
    }

    /// Lets a JSON document look as it likes.
    pub fn allow_any_json(mut self) -> Self {
        self.rules.json = None;
        self
    }

    /// Lets a body take as long as it likes.
    pub fn allow_any_pace(mut self) -> Self {
        self.rules.pace = None;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Upload`] if a limit on JSON or the rate is zero, or if no time is left for
    /// anything to come in.
    pub fn build(self) -> Result<UploadRules, ConfigError> {
        let Self { mut rules, grace } = self;
        if let Some(json) = rules.json
            && (json.depth == 0 || json.values == 0 || json.text == 0)
        {
            return Err(ConfigError::Upload("no JSON document is made of nothing"));
        }
        if let (Some(pace), Some(grace)) = (&mut rules.pace, grace) {
            pace.grace = grace;
        }
        if let Some(pace) = rules.pace
            && (pace.rate == 0 || pace.window.is_zero() || pace.grace.is_zero())
        {
            return Err(ConfigError::Upload("no body comes in within no time"));
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_hold_to_the_byte() {
        let rules = UploadRules::builder().with_max_body(10).build().unwrap();
        let too_large = Err(RateLimitErrorKind::BodyTooLarge);
        assert_eq!(rules.judge(Some(10), Json::No), Ok(()));
        assert_eq!(rules.judge(Some(11), Json::No), too_large);
        assert_eq!(rules.judge(None, Json::No), Ok(()));
        let mut measure = rules.measure(Json::No).unwrap();
        assert_eq!(measure.receive(Ticks::ZERO, &[0; 10]), Ok(()));
        assert_eq!(measure.receive(Ticks::ZERO, &[]), Ok(()));
        assert_eq!(measure.receive(Ticks::ZERO, &[0]), too_large);
        assert_eq!(UploadRules::NONE.judge(Some(u64::MAX), Json::Coded), Ok(()));
        assert!(UploadRules::NONE.measure(Json::Plain).is_none());
    }

    #[test]
    fn only_json_is_looked_into() {
        let rules = UploadRules::builder().with_json(1, 9, 9).build().unwrap();
        let deep = |json| rules.measure(json).unwrap().receive(Ticks::ZERO, b"[[");
        assert_eq!(deep(Json::Plain), Err(RateLimitErrorKind::JsonTooDeep));
        assert_eq!(deep(Json::No), Ok(()));
        let coded = Err(RateLimitErrorKind::UnsupportedCoding);
        assert_eq!(rules.judge(None, Json::Coded), coded);
    }
}
