//! A token that is taken apart, changed, and put together again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::keys::Thief;
use crate::signer::Signer;

/// A token in parts. Each method changes one thing, and the last says whose signature it bears.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    raw_header: Option<Vec<u8>>,
    raw_payload: Option<Vec<u8>>,
    signature: Vec<u8>,
    signer: Option<Signer>,
}

impl Token {
    pub(crate) fn new(
        header: Map<String, Value>,
        claims: Map<String, Value>,
        signer: Option<Signer>,
    ) -> Self {
        let mut token = Self {
            header,
            claims,
            raw_header: None,
            raw_payload: None,
            signature: Vec::new(),
            signer,
        };
        if let Some(signer) = &token.signer {
            token.signature = signer.sign(token.input().as_bytes());
        }
        token
    }

    /// Takes a signed token apart; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else {
            return None;
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let (header, claims) = (decode(header)?, decode(claims)?);
        let mut token = Self::new(
            serde_json::from_slice(&header).ok()?,
            serde_json::from_slice(&claims).ok()?,
            None,
        );
        // As they were written, or the signature would not fit.
        token.raw_header = Some(header);
        token.raw_payload = Some(claims);
        token.signature = decode(signature)?;
        Some(token)
    }

    /// Sets a member of the header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.raw_header = None;
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a member of the header out.
    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.raw_header = None;
        self.header.remove(name);
        self
    }

    /// Sets a claim.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.raw_payload = None;
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    pub(crate) fn without_claim(mut self, name: &str) -> Self {
        self.raw_payload = None;
        self.claims.remove(name);
        self
    }

    /// Sets a claim to itself and a few seconds, which may be negative.
    pub(crate) fn moved(self, name: &str, seconds: i64) -> Self {
        let now = self.claims.get("iat").and_then(Value::as_i64);
        let time = now.unwrap_or_default().saturating_add(seconds);
        self.claim(name, time)
    }

    /// Replaces the text of the header.
    pub(crate) fn raw_header(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.raw_header = Some(text.into());
        self
    }

    /// Replaces the text of the claims.
    pub(crate) fn raw_payload(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.raw_payload = Some(text.into());
        self
    }

    pub(crate) fn header_text(&self) -> String {
        let raw = self.raw_header.as_deref();
        raw.map_or_else(
            || json!(self.header).to_string(),
            |raw| String::from_utf8_lossy(raw).into_owned(),
        )
    }

    pub(crate) fn payload_text(&self) -> String {
        let raw = self.raw_payload.as_deref();
        raw.map_or_else(
            || json!(self.claims).to_string(),
            |raw| String::from_utf8_lossy(raw).into_owned(),
        )
    }

    pub(crate) fn header_member(&self, name: &str) -> String {
        let member = self.header.get(name).and_then(Value::as_str);
        member.unwrap_or_default().to_owned()
    }

    /// The signing input (RFC 7515 §2).
    pub(crate) fn input(&self) -> String {
        let header = self.raw_header.clone();
        let header = header.unwrap_or_else(|| json!(self.header).to_string().into_bytes());
        let claims = self.raw_payload.clone();
        let claims = claims.unwrap_or_else(|| json!(self.claims).to_string().into_bytes());
        let encode = |bytes| URL_SAFE_NO_PAD.encode::<Vec<u8>>(bytes);
        format!("{}.{}", encode(header), encode(claims))
    }

    /// Signed by the issuer, where its key was given; otherwise with the signature that it had.
    pub(crate) fn sign(&self) -> String {
        match &self.signer {
            Some(signer) => self.with_signature(&signer.sign(self.input().as_bytes())),
            None => self.kept(),
        }
    }

    /// With the signature that it had before it was changed.
    pub(crate) fn kept(&self) -> String {
        self.with_signature(&self.signature)
    }

    /// The bytes of the signature that it had before it was changed.
    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// With any signature.
    pub(crate) fn with_signature(&self, signature: &[u8]) -> String {
        format!("{}.{}", self.input(), URL_SAFE_NO_PAD.encode(signature))
    }

    /// With an empty signature.
    pub(crate) fn unsigned(&self) -> String {
        self.with_signature(&[])
    }

    /// With a MAC under this secret.
    pub(crate) fn mac(&self, algorithm: &str, secret: &[u8]) -> String {
        let named = match algorithm {
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let token = self.clone().header("alg", algorithm);
        let tag = hmac::sign(&hmac::Key::new(named, secret), token.input().as_bytes());
        token.with_signature(tag.as_ref())
    }

    /// Signed by an attacker's key, by ES256.
    pub(crate) fn by(&self, thief: &Thief) -> String {
        let token = self.clone().header("alg", "ES256");
        let signature = thief.sign(token.input().as_bytes());
        token.with_signature(&signature)
    }
}

/// The three parts of a token, or of what should be one.
pub(crate) fn parts(token: &str) -> [String; 3] {
    let mut parts = token.splitn(3, '.').map(str::to_owned);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_apart_is_put_together_as_it_was() {
        let input = URL_SAFE_NO_PAD.encode(r#"{ "alg": "ES256" }"#);
        let text = format!("{input}.{}.AQI", URL_SAFE_NO_PAD.encode(r#"{"sub" :"a"}"#));
        let token = Token::parse(&text).unwrap();
        assert_eq!(token.kept(), text);
        assert_eq!(token.sign(), text);
        let changed = token.claim("sub", "b").kept();
        assert_eq!(parts(&changed)[0], input);
        assert_ne!(changed, text);
        assert!(Token::parse("opaque").is_none() && Token::parse("a.b.c").is_none());
    }
}
