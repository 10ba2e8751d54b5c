//! `http-attacks`: text of attackers, put wherever a parser of ours meets text of strangers.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, bail};
use bartizan_core::{
    CanonicalPath, ForwardingHeader, IpNetwork, SpiffeId, SpiffePattern, TrustDomain,
    TrustedProxies, WallTime,
};
use bartizan_jwt::{KeySet, Rules, verify};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::fields::Sealing;
use crate::jwk;
use crate::material::{Material, Members, items};
use crate::tally::{Expected, Observed, Tally, reason};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(1, 2, 3, 4));

/// What strings are put through, set up once.
struct Parsers {
    keys: KeySet,
    rules: Rules,
    network: IpNetwork,
}

/// The big list of naughty strings.
pub(crate) fn strings(material: &Material, tally: &mut Tally) -> Result<()> {
    let (parsers, sealing) = (Parsers::new()?, Sealing::new()?);
    for (position, string) in items(&material.json()?)?.iter().enumerate() {
        let encoded = string.as_str().context("an item that is not text")?;
        let bytes = STANDARD.decode(encoded)?;
        tally.judge(&format!("string {position}"), Expected::ACCEPTED, || {
            parsers.take(&bytes)
        });
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let id = format!("string {position} as a sealed value");
            tally.judge(&id, Expected::ACCEPTED, || sealing.value(text));
            let id = format!("string {position} beside a sealed value");
            let document = serde_json::to_vec(text)?;
            tally.judge(&id, Expected::value(""), || sealing.document(&document));
        }
    }
    Ok(())
}

/// Requests of a rule set for web application firewalls.
pub(crate) fn requests(material: &Material, tally: &mut Tally) -> Result<()> {
    let parsers = Parsers::new()?;
    for (position, line) in material.text()?.lines().enumerate() {
        let request: Value = serde_json::from_str(line)?;
        let headers = request
            .get("headers")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let mut texts: Vec<Vec<u8>> = headers
            .filter_map(|(_, value)| Some(value.as_str()?.as_bytes().to_vec()))
            .chain(
                ["uri", "method", "data"]
                    .into_iter()
                    .filter_map(|name| Some(request.maybe_text(name)?.as_bytes().to_vec())),
            )
            .collect();
        if let Some(raw) = request.maybe_text("raw_b64") {
            let raw: String = raw.split_ascii_whitespace().collect();
            texts.push(STANDARD.decode(raw)?);
        }
        tally.judge(&format!("request {position}"), Expected::ACCEPTED, || {
            texts
                .iter()
                .try_fold(String::new(), |_, text| parsers.take(text))
        });
    }
    Ok(())
}

/// Documents that are JSON, or nearly, each as a member of a key set: the one place where a
/// document of a stranger is read as a whole.
pub(crate) fn documents(material: &Material, tally: &mut Tally) -> Result<()> {
    let sealing = Sealing::new()?;
    for case in items(&material.json()?)? {
        let expected = match case.text("expect")? {
            "accept" => Expected::ACCEPTED,
            "reject" => Expected::Refused,
            _ => Expected::Either,
        };
        let document = STANDARD.decode(case.text("b64")?)?;
        let name = case.text("name")?;
        let guarded = match expected {
            Expected::Accepted(_) => Expected::value(""),
            ref other => other.clone(),
        };
        tally.judge(name, expected, || json(&document));
        let id = format!("{name}, beside a sealed value");
        tally.judge(&id, guarded, || sealing.document(&document));
    }
    // The suite has these too; they are too large to be kept in the file.
    for (name, unit) in [("nested arrays", "["), ("nested objects", r#"{"":"#)] {
        let document = unit.repeat(100_000);
        let id = format!("100000 {name}, never closed");
        tally.judge(&id, Expected::Refused, || json(document.as_bytes()));
        let id = format!("{id}, beside a sealed value");
        tally.judge(&id, Expected::Refused, || {
            sealing.document(document.as_bytes())
        });
    }
    Ok(())
}

fn json(document: &[u8]) -> Observed {
    let document = std::str::from_utf8(document).map_err(reason)?;
    let set = format!(r#"{{"keys":[],"more":{document}}}"#);
    KeySet::from_json(&set)
        .map(|_| String::new())
        .map_err(reason)
}

impl Parsers {
    fn new() -> Result<Self> {
        let keys = KeySet::from_json(
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
        )?;
        if keys.is_empty() {
            bail!("the key of RFC 8037 appendix A is not usable");
        }
        let rules = Rules::builder("https://issuer.example", "audience")
            .allow_missing_type()
            .build()?;
        Ok(Self {
            keys,
            rules,
            network: "10.0.0.0/8".parse()?,
        })
    }

    /// Puts one string everywhere. What must hold for each is checked; otherwise it is enough not
    /// to panic.
    fn take(&self, bytes: &[u8]) -> Result<String, String> {
        let text = String::from_utf8_lossy(bytes);
        path(&text)?;
        path(&format!("/{text}"))?;
        spiffe(&text)?;
        self.address(bytes)?;
        self.token(&text)?;
        Ok(String::new())
    }

    /// What stands left of the element that the proxy appended never makes up a client. An escape
    /// spoils its line of `Forwarded`; the proxy that let it through then counts as the client.
    fn address(&self, bytes: &[u8]) -> Result<(), String> {
        for (header, appended) in [
            (ForwardingHeader::Forwarded, &b", for=1.2.3.4"[..]),
            (ForwardingHeader::XForwardedFor, &b", 1.2.3.4"[..]),
        ] {
            let proxies = TrustedProxies::networks(header, [self.network]);
            let _ = proxies.client(PROXY, [bytes]);
            let seen = proxies.client(PROXY, [[bytes, appended].concat().as_slice()]);
            let lines = proxies.client(PROXY, [bytes, appended]);
            let escaped = header == ForwardingHeader::Forwarded && bytes.contains(&b'\\');
            let expected = if escaped { PROXY } else { CLIENT };
            if (seen, lines) != (expected, CLIENT) {
                return Err(format!("{} gives {seen} and {lines}", header.name()));
            }
        }
        Ok(())
    }

    /// No token of an attacker verifies.
    fn token(&self, text: &str) -> Result<(), String> {
        let (header, payload) = (jwk::encode(r#"{"alg":"EdDSA"}"#), jwk::encode(text));
        let claims = format!(
            r#"{{"iss":"https://issuer.example","aud":"audience","sub":{},"exp":2,"iat":1,"jti":"1","client_id":"c"}}"#,
            Value::from(text)
        );
        let named = jwk::encode(format!(r#"{{"alg":"EdDSA","kid":{}}}"#, Value::from(text)));
        let signature = jwk::encode([0; 64]);
        for token in [
            text.to_owned(),
            format!("{payload}.{payload}.{payload}"),
            format!("{header}.{payload}.{signature}"),
            format!("{header}.{}.{signature}", jwk::encode(&claims)),
            format!("{named}.{}.{signature}", jwk::encode(&claims)),
            format!("{header}.{}.{payload}", jwk::encode(claims)),
        ] {
            if verify(
                &token,
                &self.keys,
                &self.rules,
                WallTime::from_unix_seconds(1),
            )
            .is_ok()
            {
                return Err(format!("verified {token:?}"));
            }
        }
        let _ = KeySet::from_json(text);
        Ok(())
    }
}

/// A path that has one spelling keeps it.
fn path(text: &str) -> Result<(), String> {
    let Ok(canonical) = CanonicalPath::parse(text) else {
        return Ok(());
    };
    match CanonicalPath::parse(canonical.as_str()) {
        Ok(again) if again.as_str() == canonical.as_str() => Ok(()),
        _ => Err(format!("{text:?} has two spellings")),
    }
}

/// What is printed reads back.
fn spiffe(text: &str) -> Result<(), String> {
    for text in [
        text.to_owned(),
        format!("spiffe://example.org/{text}"),
        format!("spiffe://{text}/a"),
    ] {
        if let Ok(id) = SpiffeId::parse(&text)
            && SpiffeId::parse(id.as_str()).as_ref() != Ok(&id)
        {
            return Err(format!("{text:?} does not read back"));
        }
        let _ = SpiffePattern::parse(&text);
    }
    let _ = TrustDomain::parse(text);
    Ok(())
}
