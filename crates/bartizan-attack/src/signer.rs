//! The issuer's half: what makes tokens that the service accepts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_core::{Clock as _, SystemClock};
use serde_json::{Map, Value};

use crate::error::GivenError;
use crate::keys::PrivateKey;
use crate::pem;
use crate::token::Token;

/// How long a token lives that is made here.
const LIFETIME: u64 = 300;

type Sign = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// Makes tokens as the issuer of a test makes them, so that attacks can differ from a good token in
/// one thing alone: an expiry, an audience, a header.
///
/// Give it a key of a test's issuer, never one that a service in use trusts.
///
/// ```
/// use bartizan_attack::Signer;
/// use serde_json::json;
/// # fn sign_with_the_key_of_this_test(input: &[u8]) -> Vec<u8> { input.to_vec() }
///
/// let header = json!({ "alg": "ES256", "kid": "key-1", "typ": "at+jwt" });
/// let claims = json!({ "iss": "https://issuer.example", "aud": "orders", "sub": "alice" });
/// let signer = Signer::new(header, claims, |input| sign_with_the_key_of_this_test(input));
/// # let _ = signer;
/// ```
#[derive(Clone)]
pub struct Signer {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    varied: Option<String>,
    sign: Arc<Sign>,
    made: Arc<AtomicU64>,
}

impl Signer {
    /// Signs with a function: it is handed the signing input (RFC 7515 §2), and returns the bytes of
    /// the signature.
    ///
    /// `header` and `claims` are those of a good token, as objects. `iat`, `exp` and `jti` are made
    /// anew for each, with a life of five minutes.
    pub fn new(
        header: Value,
        claims: Value,
        sign: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let members = |value| match value {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self {
            header: members(header),
            claims: members(claims),
            varied: None,
            sign: Arc::new(sign),
            made: Arc::default(),
        }
    }

    /// Signs with a private key, PEM of PKCS#8, by the algorithm that `header` names as `alg`.
    ///
    /// # Errors
    ///
    /// [`GivenError::Pem`] without a key in the text, [`GivenError::Key`] for one that does not fit
    /// the algorithm, or an algorithm that is not one of ES256, ES384, EdDSA, RS256 to RS512 and
    /// PS256 to PS512.
    pub fn from_pem(header: Value, claims: Value, pem: &str) -> Result<Self, GivenError> {
        let keys = pem::blocks(pem, "PRIVATE KEY");
        let key = keys.first().ok_or(GivenError::Pem("private key"))?;
        let algorithm = header.get("alg").and_then(Value::as_str);
        let key = PrivateKey::for_tokens(algorithm.unwrap_or_default(), key)?;
        Ok(Self::new(header, claims, move |input| key.sign(input)))
    }

    /// Appends a number to this claim, another for each token, so that limits per subject do not end
    /// the attack early. Only for services that let any value of it in.
    #[must_use]
    pub fn vary_claim(mut self, name: impl Into<String>) -> Self {
        self.varied = Some(name.into());
        self
    }

    /// A good token, to be signed or changed.
    pub(crate) fn token(&self) -> Token {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let now = SystemClock.wall().unix_seconds();
        let mut claims = self.claims.clone();
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), (now + LIFETIME).into());
        claims.insert("jti".to_owned(), format!("attack-{now}-{number}").into());
        if let Some(claim) = self.varied.as_ref().and_then(|it| claims.get_mut(it)) {
            let value = claim.as_str().unwrap_or_default();
            *claim = format!("{value}-{number}").into();
        }
        Token::new(self.header.clone(), claims, Some(self.clone()))
    }

    pub(crate) fn sign(&self, input: &[u8]) -> Vec<u8> {
        (self.sign)(input)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}
