//! The checks that need nothing but what a token says.

use std::time::Duration;

use bartizan_core::{SpiffeId, WallTime};

use super::{Rules, without_prefix};
use crate::claims::ClaimSet;
use crate::error::{Detail, JwtError, JwtErrorKind};

/// The longest subject, in bytes. OpenID Connect Core §2 allows 255 characters of ASCII.
const MAX_SUBJECT: usize = 255;

impl Rules {
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
