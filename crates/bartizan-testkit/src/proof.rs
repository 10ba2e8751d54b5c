//! Proofs of possession as a client makes them (RFC 9449).

use std::collections::BTreeMap;

use bartizan_core::WallTime;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde_json::{Map, Value, json};

use crate::error::TestkitError;
use crate::signing_key::SigningKey;

/// Describes a DPoP proof; made by [`SigningKey::proof`].
#[derive(Clone, Debug)]
#[must_use = "a proof is made by `sign`"]
pub struct ProofBuilder {
    key: SigningKey,
    claims: Map<String, Value>,
}

impl SigningKey {
    /// Begins a DPoP proof of possession of this key, for a request with this method to this URI,
    /// made at `now`. Its `jti` is `proof-1` unless said.
    pub fn proof(&self, method: &str, uri: &str, now: WallTime) -> ProofBuilder {
        let proof = ProofBuilder {
            key: self.clone(),
            claims: Map::new(),
        };
        proof
            .id("proof-1")
            .claim("htm", method)
            .claim("htu", uri)
            .claim("iat", now.unix_seconds())
    }

    /// The thumbprint of the public key (RFC 7638, SHA-256), as `cnf.jkt` of a bound token has it.
    pub fn thumbprint(&self) -> String {
        let jwk = self.bare_public_jwk();
        // Sorted, which is the order that RFC 7638 §3 asks for.
        let members: BTreeMap<_, _> = jwk.as_object().into_iter().flatten().collect();
        encoded_hash(json!(members).to_string().as_bytes())
    }
}

impl ProofBuilder {
    /// The proof's name, which must differ from that of any other.
    pub fn id(self, id: &str) -> Self {
        self.claim("jti", id)
    }

    /// Makes it for use with this token (`ath`).
    pub fn for_token(self, token: &str) -> Self {
        let hash = encoded_hash(token.as_bytes());
        self.claim("ath", hash)
    }

    /// Sets a claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Makes the proof.
    ///
    /// # Errors
    ///
    /// As [`SigningKey::sign`].
    pub fn sign(&self) -> Result<String, TestkitError> {
        let header = json!({
            "typ": "dpop+jwt",
            "alg": self.key.algorithm().name(),
            "jwk": self.key.bare_public_jwk(),
        });
        let part = |text: String| URL_SAFE_NO_PAD.encode(text);
        let input = format!(
            "{}.{}",
            part(header.to_string()),
            part(Value::Object(self.claims.clone()).to_string())
        );
        let signature = self.key.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn encoded_hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}
