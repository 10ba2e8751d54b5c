//! Keys that sign: those that were given, and those of an attacker.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

use crate::der;
use crate::error::GivenError;

/// A private key and the algorithm that it signs by.
pub(crate) enum PrivateKey {
    Ecdsa(EcdsaKeyPair, SystemRandom),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding, SystemRandom),
}

impl PrivateKey {
    /// For tokens, by the name of the algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
    pub(crate) fn for_tokens(algorithm: &str, pkcs8: &[u8]) -> Result<Self, GivenError> {
        let rsa = |encoding| Self::rsa(pkcs8, encoding);
        let key = match algorithm {
            "ES256" => Self::ecdsa(pkcs8, &ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => Self::ecdsa(pkcs8, &ECDSA_P384_SHA384_FIXED_SIGNING),
            "EdDSA" | "Ed25519" => Self::ed25519(pkcs8),
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "PS384" => rsa(&RSA_PSS_SHA384),
            "PS512" => rsa(&RSA_PSS_SHA512),
            _ => None,
        };
        key.ok_or_else(|| GivenError::Key(algorithm.to_owned()))
    }

    /// For certificates: the key, and how its algorithm is written in them.
    pub(crate) fn for_certificates(pkcs8: &[u8]) -> Result<(Self, Vec<u8>), GivenError> {
        const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
        const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
        const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
        let named = |oid: &[u8]| der::sequence(&[der::oid(oid)]);
        if let Some(key) = Self::ecdsa(pkcs8, &ECDSA_P256_SHA256_ASN1_SIGNING) {
            return Ok((key, named(ECDSA_SHA256)));
        }
        if let Some(key) = Self::ecdsa(pkcs8, &ECDSA_P384_SHA384_ASN1_SIGNING) {
            return Ok((key, named(ECDSA_SHA384)));
        }
        if let Some(key) = Self::ed25519(pkcs8) {
            return Ok((key, named(ED25519)));
        }
        let rsa = Self::rsa(pkcs8, &RSA_PKCS1_SHA256);
        let name = der::sequence(&[der::oid(RSA_SHA256), der::value(5, &[])]);
        rsa.map(|key| (key, name))
            .ok_or_else(|| GivenError::Key("certificates".to_owned()))
    }

    fn ecdsa(pkcs8: &[u8], algorithm: &'static EcdsaSigningAlgorithm) -> Option<Self> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &random).ok()?;
        Some(Self::Ecdsa(key, random))
    }

    fn ed25519(pkcs8: &[u8]) -> Option<Self> {
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?;
        Some(Self::Ed25519(key))
    }

    fn rsa(pkcs8: &[u8], encoding: &'static dyn RsaEncoding) -> Option<Self> {
        let key = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
        Some(Self::Rsa(key, encoding, SystemRandom::new()))
    }

    /// The signature; empty if the system has no random bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ecdsa(key, random) => {
                let signature = key.sign(random, message);
                signature.map_or_else(|_| Vec::new(), |it| it.as_ref().to_vec())
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Rsa(key, encoding, random) => {
                let mut signature = vec![0; key.public().modulus_len()];
                match key.sign(*encoding, random, message, &mut signature) {
                    Ok(()) => signature,
                    Err(_) => Vec::new(),
                }
            }
        }
    }
}

/// A key of the attacker's own, for ES256.
pub(crate) struct Thief {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Thief {
    pub(crate) fn generate() -> Result<Self, GivenError> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(GivenError::random)?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random);
        let key = key.map_err(|_| GivenError::Random)?;
        Ok(Self { key, random })
    }

    /// The signature; empty if the system has no random bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(&self.random, message);
        signature.map_or_else(|_| Vec::new(), |it| it.as_ref().to_vec())
    }

    /// The public half (RFC 7517 §4).
    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.coordinates();
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
    }

    /// The thumbprint of the public half (RFC 7638 §3).
    pub(crate) fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        // The order of members matters, and there is no white space.
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        URL_SAFE_NO_PAD.encode(hash)
    }

    fn coordinates(&self) -> (String, String) {
        let point = self.key.public_key().as_ref();
        let half = |from: usize| {
            let bytes = point.get(from..from + 32).unwrap_or_default();
            URL_SAFE_NO_PAD.encode(bytes)
        };
        (half(1), half(33))
    }
}

/// The public keys of a key set as other programs would hold them: PEM with and without a last
/// line feed, DER, the JWK as text. Each has been used as the secret of a MAC.
pub(crate) fn spellings(key_set: &Value) -> Vec<Vec<u8>> {
    let keys = key_set.get("keys").and_then(Value::as_array);
    let mut found = Vec::new();
    for jwk in keys.into_iter().flatten() {
        found.push(jwk.to_string().into_bytes());
        let Some(der) = public_key(jwk) else {
            continue;
        };
        let pem = crate::pem::write("PUBLIC KEY", &der);
        found.push(pem.trim_end().as_bytes().to_vec());
        found.push(pem.into_bytes());
        found.push(der);
    }
    found
}

/// The `SubjectPublicKeyInfo` of a JWK.
fn public_key(jwk: &Value) -> Option<Vec<u8>> {
    const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    let member = |name: &str| {
        let text = jwk.get(name)?.as_str()?;
        URL_SAFE_NO_PAD.decode(text).ok()
    };
    let info = |algorithm: Vec<u8>, key: &[u8]| der::sequence(&[algorithm, der::bit_string(key)]);
    match jwk.get("kty")?.as_str()? {
        "RSA" => {
            let algorithm = der::sequence(&[der::oid(RSA), der::value(5, &[])]);
            let key = der::sequence(&[der::integer(&member("n")?), der::integer(&member("e")?)]);
            Some(info(algorithm, &key))
        }
        "EC" => {
            let p256 = jwk.get("crv")?.as_str()? == "P-256";
            let curve = if p256 { P256 } else { P384 };
            let algorithm = der::sequence(&[der::oid(EC), der::oid(curve)]);
            Some(info(
                algorithm,
                &[vec![4], member("x")?, member("y")?].concat(),
            ))
        }
        "OKP" => Some(info(der::sequence(&[der::oid(ED25519)]), &member("x")?)),
        _ => None,
    }
}
