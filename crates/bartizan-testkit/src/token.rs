//! Tokens: described, then signed rightly or wrongly.

use std::time::Duration;

use bartizan_core::WallTime;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::algorithm::SigningAlgorithm;
use crate::error::TestkitError;
use crate::signing_key::SigningKey;

/// How long a token lives unless said otherwise: short enough that a test which forgets time would
/// notice, long enough for a slow machine.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// Describes a token, right or wrong; made by [`TokenMint::token`](crate::TokenMint::token).
///
/// What is not said has the value of a good access token of RFC 9068: header `typ: at+jwt`, `alg`
/// and `kid` of the issuer's current key; claims `iss`, `sub: alice`, `client_id: test-client`,
/// `iat` now, `exp` in five minutes, and a `jti` that no other token has. `aud` has no default.
/// Nothing is checked, so that every wrong token can be made.
///
/// The builder is cloned freely: variants of one token differ in one call.
#[derive(Clone, Debug)]
#[must_use = "a token is made by `sign` or by one of the forging methods"]
pub struct TokenBuilder {
    key: SigningKey,
    algorithm: SigningAlgorithm,
    now: WallTime,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<Vec<u8>>,
    raw_payload: Option<Vec<u8>>,
}

impl TokenBuilder {
    pub(crate) fn new(issuer: &str, key: SigningKey, now: WallTime, token_id: String) -> Self {
        let builder = Self {
            algorithm: key.algorithm(),
            header: Map::new(),
            claims: Map::new(),
            raw_header: None,
            raw_payload: None,
            now,
            key: key.clone(),
        };
        builder
            .key(&key)
            .header("typ", "at+jwt")
            .issuer(issuer)
            .subject("alice")
            .client_id("test-client")
            .token_id(token_id)
            .issued_at(now)
            .expires_in(DEFAULT_LIFETIME)
    }

    /// Sets `iss`.
    pub fn issuer(self, issuer: &str) -> Self {
        self.claim("iss", issuer)
    }

    /// Sets `sub`.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Sets `aud` to one string.
    pub fn audience(self, audience: &str) -> Self {
        self.claim("aud", audience)
    }

    /// Sets `aud` to an array of strings.
    pub fn audiences<'a>(self, audiences: impl IntoIterator<Item = &'a str>) -> Self {
        let audiences: Vec<&str> = audiences.into_iter().collect();
        self.claim("aud", audiences)
    }

    /// Sets `scope`, a list separated by spaces (RFC 8693 §4.2).
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Sets `client_id`.
    pub fn client_id(self, client: &str) -> Self {
        self.claim("client_id", client)
    }

    /// Sets `jti`.
    pub fn token_id(self, id: impl Into<String>) -> Self {
        self.claim("jti", id.into())
    }

    /// Sets `iat`, in whole seconds.
    pub fn issued_at(self, time: WallTime) -> Self {
        self.claim("iat", time.unix_seconds())
    }

    /// Sets `nbf`, in whole seconds.
    pub fn not_before(self, time: WallTime) -> Self {
        self.claim("nbf", time.unix_seconds())
    }

    /// Sets `exp`, in whole seconds.
    pub fn expires_at(self, time: WallTime) -> Self {
        self.claim("exp", time.unix_seconds())
    }

    /// Sets `exp` to `lifetime` after the time at which the builder was made.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let expiry = self.now + lifetime;
        self.expires_at(expiry)
    }

    /// Sets `exp` to `age` before the time at which the builder was made, and `iat` to five
    /// minutes before that.
    pub fn expired_since(self, age: Duration) -> Self {
        let expiry = self.now.saturating_sub(age);
        self.issued_at(expiry.saturating_sub(DEFAULT_LIFETIME))
            .expires_at(expiry)
    }

    /// Binds the token to a client certificate: `cnf` with `x5t#S256` (RFC 8705 §3.1), from the
    /// SHA-256 of its DER.
    pub fn bound_to_certificate(self, certificate_sha256: &[u8; 32]) -> Self {
        self.claim(
            "cnf",
            json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(certificate_sha256) }),
        )
    }

    /// Binds the token to a client's key: `cnf` with its `jkt` (RFC 9449 §6.1).
    pub fn bound_to_key(self, key: &SigningKey) -> Self {
        self.claim("cnf", json!({ "jkt": key.thumbprint() }))
    }

    /// Sets any claim to any JSON value.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets any header member to any JSON value. `alg` set here is text alone: what signs is
    /// chosen by [`key`](Self::key) and [`algorithm`](Self::algorithm).
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a header member out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signs with this key, and sets header members `alg` and `kid` to its own.
    pub fn key(mut self, key: &SigningKey) -> Self {
        self.key = key.clone();
        self.algorithm(key.algorithm()).header("kid", key.kid())
    }

    /// Signs with this algorithm of the key's family, and sets header member `alg` to it.
    pub fn algorithm(mut self, algorithm: SigningAlgorithm) -> Self {
        self.algorithm = algorithm;
        self.header("alg", algorithm.name())
    }

    /// Replaces the whole text of the header: duplicate members, a byte order mark, no JSON at
    /// all.
    pub fn raw_header(mut self, text: impl AsRef<[u8]>) -> Self {
        self.raw_header = Some(text.as_ref().to_vec());
        self
    }

    /// Replaces the whole text of the payload.
    pub fn raw_payload(mut self, text: impl AsRef<[u8]>) -> Self {
        self.raw_payload = Some(text.as_ref().to_vec());
        self
    }

    /// The claims as they stand.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The header members as they stand.
    pub fn headers(&self) -> &Map<String, Value> {
        &self.header
    }

    /// Makes the token, signed by the key and algorithm of the builder.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Key`] if the key cannot serve the algorithm, [`TestkitError::Random`] if
    /// the system has no random bytes.
    pub fn sign(&self) -> Result<String, TestkitError> {
        let input = self.signing_input();
        let signature = self.key.sign_as(self.algorithm, input.as_bytes())?;
        Ok(join(input, &signature))
    }

    /// Forges: the header names the issuer's key, the signature comes from `thief`.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign).
    pub fn sign_with_foreign_key(&self, thief: &SigningKey) -> Result<String, TestkitError> {
        let input = self.signing_input();
        let signature = thief.sign(input.as_bytes())?;
        Ok(join(input, &signature))
    }

    /// Forges: the header carries `thief`'s public key as `jwk` and the signature is `thief`'s, so
    /// that a verifier which trusts what the token brings accepts it (CVE-2018-0114).
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign).
    pub fn sign_with_embedded_key(&self, thief: &SigningKey) -> Result<String, TestkitError> {
        self.clone()
            .header("alg", thief.algorithm().name())
            .header("jwk", thief.bare_public_jwk())
            .sign_with_foreign_key(thief)
    }

    /// Forges: `alg: HS256`, with `secret` as the HMAC key.
    pub fn sign_hs256(&self, secret: &[u8]) -> String {
        let input = self.clone().header("alg", "HS256").signing_input();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, input.as_bytes());
        join(input, tag.as_ref())
    }

    /// Forges: `alg: HS256`, with the PEM text of the issuer's public key as the HMAC key
    /// (CVE-2016-10555).
    pub fn sign_hs256_with_public_key(&self) -> String {
        self.sign_hs256(self.key.public_key_pem().as_bytes())
    }

    /// Forges: this `alg` (`none`, `None`, `nOnE`), and an empty signature.
    pub fn unsigned(&self, algorithm: &str) -> String {
        join(self.clone().header("alg", algorithm).signing_input(), &[])
    }

    fn signing_input(&self) -> String {
        let header = text(self.raw_header.as_deref(), &self.header);
        let payload = text(self.raw_payload.as_deref(), &self.claims);
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        )
    }
}

fn text(raw: Option<&[u8]>, members: &Map<String, Value>) -> Vec<u8> {
    match raw {
        Some(raw) => raw.to_vec(),
        None => json!(members).to_string().into_bytes(),
    }
}

fn join(mut input: String, signature: &[u8]) -> String {
    input.push('.');
    input.push_str(&URL_SAFE_NO_PAD.encode(signature));
    input
}
