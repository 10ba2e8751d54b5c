//! What a token must fulfil.

mod builder;
mod claims;

use std::time::Duration;

use bartizan_core::{TrustDomain, WallTime};

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::error::ConfigError;
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
