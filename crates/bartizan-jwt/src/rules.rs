//! What a token must fulfil, and the checks that need nothing but its claims.

use std::time::Duration;

use bartizan_core::{SpiffeId, TrustDomain, WallTime};

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::claims::ClaimSet;
use crate::error::{ConfigError, Detail, JwtError, JwtErrorKind};
use crate::issuer::Issuer;
use crate::key::Purpose;
use crate::token::VerifiedClaims;

/// How far two clocks may differ. Machines that keep time by NTP are within a second; half a
/// minute forgives a bad one, and is a small part of the minutes that a token lives.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// More than this is no difference of clocks any more.
pub(crate) const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// What common proxies and servers accept as one header field. Tokens in use have 500 bytes to 3 KiB.
const DEFAULT_MAX_TOKEN: usize = 8 * 1024;

/// The longest subject, in bytes. OpenID Connect Core §2 allows 255 characters of ASCII.
const MAX_SUBJECT: usize = 255;

/// What a token must fulfil: who issued it, for whom, how it is signed, and when.
///
/// The default is the access token of [RFC 9068]: `typ` is `at+jwt`, and `iss`, `sub`, `aud`,
/// `exp`, `iat`, `jti` and `client_id` are present. Issuers that predate it need some of the
/// `allow_` verbs, each of which gives up one check.
///
/// ```
/// use std::time::Duration;
/// use bartizan_jwt::Rules;
///
/// let rules = Rules::builder("https://issuer.example", "https://orders.example")
///     .allow_type("JWT")
///     .with_leeway(Duration::from_secs(5))
///     .build()?;
/// assert_eq!(rules.issuer().as_str(), "https://issuer.example");
///
/// assert!(Rules::builder("https://issuer.example", "").build().is_err());
/// # Ok::<(), bartizan_jwt::ConfigError>(())
/// ```
///
/// [RFC 9068]: https://www.rfc-editor.org/rfc/rfc9068#section-4
#[derive(Clone, Debug)]
pub struct Rules {
    issuer: Issuer,
    wanted: Requirements,
}

/// Describes [`Rules`]; made by [`Rules::builder`].
#[derive(Clone, Debug)]
#[must_use = "call build to get the rules"]
pub struct RulesBuilder {
    issuer: Trusted,
    wanted: Requirements,
}

/// Whom the tokens come from.
#[derive(Clone, Debug)]
enum Trusted {
    Issuer(String),
    TrustDomain(TrustDomain),
}

/// Everything but the issuer.
#[derive(Clone, Debug)]
struct Requirements {
    audiences: Vec<Box<str>>,
    algorithms: AlgorithmSet,
    types: Vec<Box<str>>,
    needs_type: bool,
    needs_issued_at: bool,
    needs_token_id: bool,
    needs_client: bool,
    clients: Vec<Box<str>>,
    trust_domain: Option<TrustDomain>,
    leeway: Duration,
    max_lifetime: Option<Duration>,
    max_token: usize,
}

impl Rules {
    /// Begins with the strictest rules for tokens of `issuer` that are meant for `audience`, the
    /// identifier of this service.
    pub fn builder(issuer: &str, audience: &str) -> RulesBuilder {
        RulesBuilder {
            issuer: Trusted::Issuer(issuer.to_owned()),
            wanted: Requirements {
                audiences: vec![audience.into()],
                algorithms: AlgorithmSet::SIGNATURES,
                types: vec!["at+jwt".into()],
                needs_type: true,
                needs_issued_at: true,
                needs_token_id: true,
                needs_client: true,
                clients: Vec::new(),
                trust_domain: None,
                leeway: DEFAULT_LEEWAY,
                max_lifetime: None,
                max_token: DEFAULT_MAX_TOKEN,
            },
        }
    }

    /// Begins with the rules of JWT-SVIDs ([SPIFFE JWT-SVID §3]): tokens by which a workload of
    /// `trust_domain` proves itself to `audience`. `sub` is a SPIFFE ID of that trust domain, and
    /// takes the place of `iss`; `typ` is `JWT`, `JOSE` or absent; `alg` is of RSA or ECDSA.
    ///
    /// The keys are those of [`KeySet::from_spiffe_bundle`](crate::KeySet::from_spiffe_bundle),
    /// or are fetched from a location; there is no discovery. The peer of the connection is
    /// another matter: a JWT-SVID is a bearer token, and names a principal.
    ///
    /// ```
    /// use bartizan_jwt::Rules;
    ///
    /// let domain = "example.org".parse()?;
    /// let rules = Rules::svid(&domain, "spiffe://example.org/api").build()?;
    /// assert_eq!(rules.issuer().as_str(), "spiffe://example.org");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [SPIFFE JWT-SVID §3]: https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md#3-jwt-claims
    pub fn svid(trust_domain: &TrustDomain, audience: &str) -> RulesBuilder {
        let mut rules = Self::builder("", audience);
        rules.issuer = Trusted::TrustDomain(trust_domain.clone());
        rules.wanted = Requirements {
            trust_domain: Some(trust_domain.clone()),
            algorithms: AlgorithmSet::from([
                Algorithm::Es256,
                Algorithm::Es384,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
            ]),
            types: vec!["JWT".into(), "JOSE".into()],
            needs_type: false,
            needs_issued_at: false,
            needs_token_id: false,
            needs_client: false,
            ..rules.wanted
        };
        rules
    }

    /// What the keys have to be published for.
    pub(crate) fn purpose(&self) -> Purpose {
        match self.wanted.trust_domain {
            Some(_) => Purpose::Svid,
            None => Purpose::Signature,
        }
    }

    /// Who must have issued a token.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// For whom a token may be meant.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.wanted.audiences.iter().map(|audience| &**audience)
    }

    /// How a token may be signed.
    pub fn algorithms(&self) -> AlgorithmSet {
        self.wanted.algorithms
    }

    /// Whether tokens are signed with a secret that issuer and service share.
    pub(crate) fn needs_secret(&self) -> bool {
        let symmetric = AlgorithmSet::SYMMETRIC;
        !self.wanted.algorithms.intersection(symmetric).is_empty()
    }

    /// How far the clocks of issuer and service may differ.
    pub fn leeway(&self) -> Duration {
        self.wanted.leeway
    }

    /// The longest token that is looked at, in bytes.
    pub fn max_token_bytes(&self) -> usize {
        self.wanted.max_token
    }

    /// When a token stops being accepted: its expiry, and the leeway.
    pub(crate) fn end_of(&self, claims: &VerifiedClaims) -> WallTime {
        claims.expires() + self.wanted.leeway
    }

    /// Checks `typ`, which is a media type with or without `application/` ([RFC 7515 §4.1.9]).
    ///
    /// [RFC 7515 §4.1.9]: https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9
    pub(crate) fn check_type(&self, token_type: Option<&str>) -> Result<(), JwtError> {
        let is_accepted = match token_type {
            None => !self.wanted.needs_type,
            Some(stated) => {
                let stated = without_prefix(stated);
                self.wanted
                    .types
                    .iter()
                    .any(|accepted| accepted.eq_ignore_ascii_case(stated))
            }
        };
        if is_accepted {
            Ok(())
        } else {
            Err(JwtError::new(JwtErrorKind::WrongType))
        }
    }

    /// Checks the claims at the time `now`. What is left afterwards is the signature.
    pub(crate) fn check_claims(
        &self,
        claims: &ClaimSet<'_>,
        now: WallTime,
    ) -> Result<(), JwtError> {
        //= RFC 9068 §4: the issuer identifier MUST exactly match the value of the "iss" claim.
        match &claims.issuer {
            // Who vouches for a JWT-SVID is its trust domain.
            _ if self.wanted.trust_domain.is_some() => {}
            None => return Err(JwtError::claim("iss", "is missing")),
            Some(issuer) if **issuer != *self.issuer.as_str() => {
                return Err(JwtError::new(JwtErrorKind::WrongIssuer));
            }
            Some(_) => {}
        }
        //= RFC 7519 §4.1.3: a principal that does not identify itself with a value in "aud" MUST
        //= reject the token.
        let audience = claims.audience.as_ref();
        let audience = audience.ok_or(JwtError::claim("aud", "is missing"))?;
        if !audience
            .iter()
            .any(|stated| self.wanted.audiences.iter().any(|ours| **ours == *stated))
        {
            return Err(JwtError::new(JwtErrorKind::WrongAudience));
        }
        self.check_times(claims, now)?;
        match &claims.subject {
            None => return Err(JwtError::claim("sub", "is missing")),
            Some(subject) if subject.is_empty() => {
                return Err(JwtError::claim("sub", "is empty"));
            }
            Some(subject) if subject.len() > MAX_SUBJECT => {
                return Err(JwtError::claim("sub", "is longer than 255 bytes"));
            }
            Some(_) => {}
        }
        if let Some(domain) = &self.wanted.trust_domain {
            let subject = claims.subject.as_deref().unwrap_or_default();
            let Ok(id) = subject.parse::<SpiffeId>() else {
                return Err(JwtError::claim("sub", "is no SPIFFE ID"));
            };
            // The keys of one trust domain vouch for no other.
            if !domain.contains(&id) {
                return Err(JwtError::new(JwtErrorKind::WrongIssuer));
            }
        }
        // Names are compared, logged and shown: what is no text has no place in them.
        for (name, text) in [
            ("sub", &claims.subject),
            ("client_id", &claims.client),
            ("azp", &claims.authorized_party),
            ("jti", &claims.token_id),
        ] {
            if text
                .as_ref()
                .is_some_and(|text| text.contains(char::is_control))
            {
                return Err(JwtError::claim(name, "has control characters"));
            }
        }
        if self.wanted.needs_token_id && claims.token_id.is_none() {
            return Err(JwtError::claim("jti", "is missing"));
        }
        if self.wanted.needs_client && claims.client.is_none() {
            return Err(JwtError::claim("client_id", "is missing"));
        }
        if !self.wanted.clients.is_empty() {
            let stated = claims.client.as_ref().or(claims.authorized_party.as_ref());
            if stated.is_none_or(|stated| self.wanted.clients.iter().all(|one| **one != **stated)) {
                return Err(JwtError::new(JwtErrorKind::WrongClient));
            }
        }
        // A binding that is not understood cannot be checked, and taking the token without it would
        // turn it into a bearer token.
        if claims.confirmation == Some(None) {
            return Err(JwtError::new(JwtErrorKind::BoundToken));
        }
        Ok(())
    }

    fn check_times(&self, claims: &ClaimSet<'_>, now: WallTime) -> Result<(), JwtError> {
        let now_seconds = now.unix_seconds();
        let fail = |kind, claim, value| {
            Err(JwtError::with_detail(
                kind,
                Detail::Time {
                    claim,
                    value,
                    now: now_seconds,
                },
            ))
        };
        //= RFC 7519 §4.1.4: the current date/time MUST be before the expiration date/time.
        let expires = claims.expires.ok_or(JwtError::claim("exp", "is missing"))?;
        if now >= WallTime::from_unix_seconds(expires) + self.wanted.leeway {
            return fail(JwtErrorKind::Expired, "exp", expires);
        }
        let latest = now + self.wanted.leeway;
        //= RFC 7519 §4.1.5: the current date/time MUST be after or equal to the not-before
        //= date/time.
        if let Some(start) = claims.not_before
            && WallTime::from_unix_seconds(start) > latest
        {
            return fail(JwtErrorKind::NotYetValid, "nbf", start);
        }
        match claims.issued_at {
            None if self.wanted.needs_issued_at => {
                return Err(JwtError::claim("iat", "is missing"));
            }
            Some(issued) if WallTime::from_unix_seconds(issued) > latest => {
                return fail(JwtErrorKind::IssuedInFuture, "iat", issued);
            }
            _ => {}
        }
        let lifetime = expires.saturating_sub(claims.issued_at.unwrap_or(now_seconds));
        if self
            .wanted
            .max_lifetime
            .is_some_and(|longest| Duration::from_secs(lifetime) > longest)
        {
            return fail(JwtErrorKind::LifetimeTooLong, "exp", expires);
        }
        Ok(())
    }
}

impl RulesBuilder {
    /// Accepts tokens that are meant for `audience` as well: for a service of more than one name.
    pub fn add_audience(mut self, audience: &str) -> Self {
        self.wanted.audiences.push(audience.into());
        self
    }

    /// Replaces the allowed algorithms. The default is every one of public keys, since a key can
    /// only be used with its own; those of a [`SharedSecret`](crate::SharedSecret) have to be
    /// named, and cannot be allowed beside others.
    pub fn with_algorithms(mut self, algorithms: impl Into<AlgorithmSet>) -> Self {
        self.wanted.algorithms = algorithms.into();
        self
    }

    /// Replaces how far the clocks of issuer and service may differ: zero to 300 seconds, by
    /// default 30. A token counts as expired from `exp` plus this.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.wanted.leeway = leeway;
        self
    }

    /// Replaces the longest token that is looked at, in bytes: 256 to 65536, by default 8192.
    pub fn with_max_token_bytes(mut self, limit: usize) -> Self {
        self.wanted.max_token = limit;
        self
    }

    /// Refuses tokens that are valid for longer than `lifetime`, from `iat` (or, where that may
    /// be missing and is, from now) to `exp`. There is no limit by default.
    pub fn require_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.wanted.max_lifetime = Some(lifetime);
        self
    }

    /// Accepts a further `typ`, such as `JWT` from issuers that do not follow RFC 9068.
    ///
    /// An ID token is then told from an access token by its audience alone.
    pub fn allow_type(mut self, token_type: &str) -> Self {
        self.wanted.types.push(without_prefix(token_type).into());
        self
    }

    /// Accepts tokens without `typ`.
    pub fn allow_missing_type(mut self) -> Self {
        self.wanted.needs_type = false;
        self
    }

    /// Accepts tokens without `iat`.
    pub fn allow_missing_issued_at(mut self) -> Self {
        self.wanted.needs_issued_at = false;
        self
    }

    /// Accepts tokens without `jti`, which then cannot be revoked one by one.
    pub fn allow_missing_token_id(mut self) -> Self {
        self.wanted.needs_token_id = false;
        self
    }

    /// Accepts tokens of this client, and of others only if they are named as well. The client is
    /// `client_id`, or else `azp`. Without it, every client of the issuer is accepted.
    pub fn require_client(mut self, client: &str) -> Self {
        self.wanted.clients.push(client.into());
        self
    }

    /// Accepts tokens without `client_id`.
    pub fn allow_missing_client(mut self) -> Self {
        self.wanted.needs_client = false;
        self
    }

    /// Checks the rules.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<Rules, ConfigError> {
        let wanted = self.wanted;
        if wanted.audiences.iter().any(|audience| audience.is_empty()) {
            return Err(ConfigError::EmptyAudience);
        }
        if wanted.algorithms.is_empty() {
            return Err(ConfigError::NoAlgorithm);
        }
        let symmetric = wanted.algorithms.intersection(AlgorithmSet::SYMMETRIC);
        if !symmetric.is_empty() && symmetric != wanted.algorithms {
            return Err(ConfigError::MixedAlgorithms);
        }
        let is_media_type =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if let Some(bad) = wanted.types.iter().find(|text| !is_media_type(text)) {
            return Err(ConfigError::InvalidTokenType(bad.to_string()));
        }
        within("leeway", wanted.leeway, Duration::ZERO, MAX_LEEWAY)?;
        if let Some(lifetime) = wanted.max_lifetime {
            within(
                "max_lifetime",
                lifetime,
                Duration::from_secs(1),
                Duration::MAX,
            )?;
        }
        let (setting, value, least, most) = ("max_token_bytes", wanted.max_token, 256, 65_536);
        if !(least..=most).contains(&value) {
            return Err(ConfigError::SizeOutOfRange {
                setting,
                value,
                least,
                most,
            });
        }
        Ok(Rules {
            issuer: match &self.issuer {
                Trusted::Issuer(issuer) => Issuer::new(issuer)?,
                Trusted::TrustDomain(domain) => Issuer::trust_domain(domain),
            },
            wanted,
        })
    }
}

/// Checks that a setting is within its bounds.
pub(crate) fn within(
    setting: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::OutOfRange {
            setting,
            value,
            least,
            most,
        })
    }
}

fn without_prefix(media_type: &str) -> &str {
    const PREFIX: &str = "application/";
    match media_type.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => media_type,
    }
}

#[cfg(test)]
mod tests;
