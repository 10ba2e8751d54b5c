//! What a verified token says.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Authenticated, Principal, Scheme, WallTime};
use serde::de::DeserializeOwned;

use crate::claims::{ClaimSet, Strings};
use crate::confirmation::Confirmation;
use crate::error::{JwtError, JwtErrorKind};
use crate::issuer::Issuer;
use crate::key::Thumbprint;

/// A token whose signature and claims were verified, as [`verify`](crate::verify) gives it.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    claims: Arc<VerifiedClaims>,
}

/// The claims of a verified token.
///
/// The layer puts them into the request's context as an `Arc<VerifiedClaims>`, beside the
/// [`Principal`] that stands for them everywhere else. There is no other way to make one.
// In this order, so that what each request looks at is on the line of memory that an `Arc` counts
// on: with many tokens alive a request waits for that line anyway.
#[repr(C)]
pub struct VerifiedClaims {
    facts: Facts,
    /// What signed the token that said this.
    key: Thumbprint,
    payload: String,
}

impl VerifiedToken {
    /// The claims.
    pub fn claims(&self) -> &VerifiedClaims {
        &self.claims
    }

    /// The claims, to be kept.
    pub fn into_claims(self) -> Arc<VerifiedClaims> {
        self.claims
    }

    pub(crate) fn shared_claims(&self) -> &Arc<VerifiedClaims> {
        &self.claims
    }

    /// The key that signed it. What was verified once holds only as long as the key is trusted
    /// ([`KeySet::trusts`](crate::KeySet::trusts)).
    pub fn key(&self) -> Thumbprint {
        self.claims.key
    }

    pub(crate) fn new(claims: VerifiedClaims) -> Self {
        Self {
            claims: Arc::new(claims),
        }
    }
}

/// What is taken out of the claims before the payload itself is kept.
#[repr(C)]
pub(crate) struct Facts {
    near: Near,
    issued_at: Option<WallTime>,
    not_before: Option<WallTime>,
    session: Option<Box<str>>,
    context_class: Option<Box<str>>,
    authenticated_at: Option<WallTime>,
}

/// What each request looks at.
#[repr(C)]
struct Near {
    expires: WallTime,
    confirmation: Option<Confirmation>,
    principal: Principal,
}

impl Facts {
    /// To be called for claims whose signature was verified, and which the rules admit.
    pub(crate) fn assert_verified(
        claims: &ClaimSet<'_>,
        issuer: &Issuer,
    ) -> Result<Self, JwtError> {
        Self::of(claims, issuer, Scheme::Jwt)
    }

    /// To be called for claims that their issuer vouched for when it was asked, and which the
    /// rules admit.
    pub(crate) fn assert_introspected(
        claims: &ClaimSet<'_>,
        issuer: &Issuer,
    ) -> Result<Self, JwtError> {
        Self::of(claims, issuer, Scheme::Introspection)
    }

    fn of(claims: &ClaimSet<'_>, issuer: &Issuer, scheme: Scheme) -> Result<Self, JwtError> {
        let moment = |seconds: Option<u64>| seconds.map(WallTime::from_unix_seconds);
        let expires = moment(claims.expires).ok_or(JwtError::claim("exp", "is missing"))?;
        Ok(Self {
            near: Near {
                principal: principal(claims, issuer, scheme, expires)?,
                expires,
                confirmation: claims.confirmation.flatten(),
            },
            issued_at: moment(claims.issued_at),
            not_before: moment(claims.not_before),
            session: claims.session.as_deref().map(Box::from),
            context_class: claims.context_class.as_deref().map(Box::from),
            authenticated_at: moment(claims.authenticated_at),
        })
    }

    /// Joins the facts to the payload that they were taken from, and to the key that signed it.
    pub(crate) fn with_payload(self, payload: String, key: Thumbprint) -> VerifiedClaims {
        VerifiedClaims {
            payload,
            facts: self,
            key,
        }
    }
}

impl VerifiedClaims {
    /// Whoever the token stands for.
    ///
    /// | of the principal | from |
    /// |---|---|
    /// | issuer, subject | `iss` (of a JWT-SVID: its trust domain), `sub` |
    /// | client | `client_id`, or else `azp` |
    /// | scopes | `scope`, or else `scp`: a string that spaces divide, or a list of strings |
    /// | roles | `roles` (as Entra writes them), or else `roles` in `realm_access` (as Keycloak does): a list of strings or a string |
    /// | token id, expiry | `jti`, `exp` |
    pub fn principal(&self) -> &Principal {
        &self.facts.near.principal
    }

    /// When the token stops being valid, leeway not counted.
    pub fn expires(&self) -> WallTime {
        self.facts.near.expires
    }

    /// Since when it is valid, if it says.
    pub fn not_before(&self) -> Option<WallTime> {
        self.facts.not_before
    }

    /// When it was issued, if it says.
    pub fn issued_at(&self) -> Option<WallTime> {
        self.facts.issued_at
    }

    /// What the token is bound to, if to anything; the layer has checked that the request proves
    /// possession of it.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.facts.near.confirmation
    }

    /// The session at the issuer, `sid`, if it says.
    pub fn session_id(&self) -> Option<&str> {
        self.facts.session.as_deref()
    }

    /// How the user authenticated, `acr`, if it says.
    pub fn authentication_context(&self) -> Option<&str> {
        self.facts.context_class.as_deref()
    }

    /// When the user authenticated, `auth_time`, if it says.
    pub fn authenticated_at(&self) -> Option<WallTime> {
        self.facts.authenticated_at
    }

    /// The whole payload, as the issuer wrote it: JSON without duplicate members.
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// Reads the claims as a type of the application's own.
    ///
    /// ```no_run
    /// # use bartizan_jwt::{JwtError, VerifiedClaims};
    /// #[derive(serde::Deserialize)]
    /// struct Tenancy {
    ///     tenant: String,
    /// }
    ///
    /// # fn handle(claims: &VerifiedClaims) -> Result<(), JwtError> {
    /// let tenancy: Tenancy = claims.deserialize()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`JwtErrorKind::ClaimsMismatch`] if the token does not carry what `T` asks for.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, JwtError> {
        serde_json::from_str(&self.payload).map_err(|_| JwtError::new(JwtErrorKind::ClaimsMismatch))
    }
}

impl Authenticated for VerifiedClaims {
    fn principal(&self) -> &Principal {
        self.principal()
    }
}

/// Two are equal if the issuer wrote the same.
impl PartialEq for VerifiedClaims {
    fn eq(&self, other: &Self) -> bool {
        self.payload == other.payload
    }
}

impl Eq for VerifiedClaims {}

impl fmt::Debug for VerifiedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The payload stays out of logs: it is about a person.
        f.debug_struct("VerifiedClaims")
            .field("principal", &self.facts.near.principal)
            .field("expires", &self.facts.near.expires)
            .finish_non_exhaustive()
    }
}

fn principal(
    claims: &ClaimSet<'_>,
    issuer: &Issuer,
    scheme: Scheme,
    expires: WallTime,
) -> Result<Principal, JwtError> {
    let subject = claims
        .subject
        .as_deref()
        .ok_or(JwtError::claim("sub", "is missing"))?;
    let mut principal = Principal::builder(scheme, issuer.as_str(), subject).with_expires(expires);
    if let Some(client) = claims
        .client
        .as_deref()
        .or(claims.authorized_party.as_deref())
    {
        principal = principal.with_client(client);
    }
    match claims.scope.as_ref().or(claims.scp.as_ref()) {
        // A list is taken as it is: an item with a space in it is one scope, and matches none.
        Some(Strings::Many(list)) => {
            principal = principal.with_scopes(list.iter().map(|scope| &**scope));
        }
        Some(Strings::One(text)) => {
            let scopes = text.split(' ').filter(|scope| !scope.is_empty());
            principal = principal.with_scopes(scopes);
        }
        None => {}
    }
    if let Some(roles) = claims.roles.as_ref().or(claims.realm_roles.as_ref()) {
        principal = principal.with_roles(roles.iter());
    }
    if let Some(token_id) = &claims.token_id {
        principal = principal.with_token_id(token_id);
    }
    Ok(principal.assert_verified())
}
