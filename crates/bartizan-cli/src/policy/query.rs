//! A request that is asked about: as flags, or as a row of a table.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, bail};
use bartizan::authz::{Facts, ReadClaims, ReadHeaders};
use bartizan::core::{
    CanonicalPath, Peer, PeerIdentity, Principal, Scheme, SecurityContext, VerifiedCertificate,
    WallTime,
};
use clap::Args;
use serde::Deserialize;

/// Who asks for what. What is not said is not there.
#[derive(Args, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Query {
    /// The method; GET unless said, POST for gRPC
    #[arg(long)]
    method: Option<String>,
    /// The path, as a client sends it
    #[arg(long, required_unless_present = "grpc")]
    path: Option<String>,
    /// The gRPC method, such as shop.Payments/Charge
    #[arg(long, value_name = "SERVICE/METHOD", conflicts_with = "path")]
    grpc: Option<String>,
    /// The peer's SPIFFE ID
    #[arg(long, value_name = "SPIFFE-ID")]
    peer: Option<String>,
    /// The principal's issuer
    #[arg(long, requires = "subject")]
    issuer: Option<String>,
    /// The principal
    #[arg(long, requires = "issuer")]
    subject: Option<String>,
    /// The OAuth client
    #[arg(long, requires = "subject")]
    client: Option<String>,
    /// A scope of the principal; may be given again
    #[arg(long = "scope", value_name = "SCOPE", requires = "subject")]
    scopes: Vec<String>,
    /// A role of the principal; may be given again
    #[arg(long = "role", value_name = "ROLE", requires = "subject")]
    roles: Vec<String>,
    /// A claim of the token, `name=value` or `[outer][inner]=value`; may be given again
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// A header, `name: value`; may be given again
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The authority, with its port if the client names one
    #[arg(long)]
    authority: Option<String>,
    /// The client's address
    #[arg(long)]
    address: Option<IpAddr>,
    /// The far end of the connection, if that is not the client
    #[arg(long)]
    source: Option<IpAddr>,
    /// What the connection was made to
    #[arg(long, value_name = "ADDRESS:PORT")]
    destination: Option<SocketAddr>,
    /// The name that the client asked for in the TLS handshake
    #[arg(long)]
    server_name: Option<String>,
}

impl Query {
    /// The request in few words.
    pub(super) fn told(&self) -> String {
        let path = match &self.grpc {
            Some(method) => method,
            None => self.path.as_deref().unwrap_or_default(),
        };
        let who = [&self.peer, &self.subject].into_iter().flatten();
        let who: Vec<_> = who.map(String::as_str).collect();
        let who = if who.is_empty() {
            "nobody".to_owned()
        } else {
            who.join(" for ")
        };
        format!("{} {path} by {who}", self.method())
    }

    fn method(&self) -> &str {
        let usual = if self.grpc.is_some() { "POST" } else { "GET" };
        self.method.as_deref().unwrap_or(usual)
    }

    /// Asks about it.
    pub(super) fn ask<R>(&self, ask: impl FnOnce(&Facts<'_>) -> R) -> anyhow::Result<R> {
        let path = match (&self.path, &self.grpc) {
            (Some(path), None) => path.clone(),
            (None, Some(method)) => format!("/{}", method.trim_start_matches('/')),
            _ => bail!("a request has a `path` or a `grpc` method"),
        };
        let path = path.split('?').next().unwrap_or_default();
        let path = CanonicalPath::parse(path).with_context(|| {
            format!("the layer refuses the path {path:?} before any rule is asked")
        })?;
        let peer = self.peer.as_deref().map(peer).transpose()?;
        let principal = self.principal()?;
        let told = Told {
            headers: pairs(&self.headers, ':', "header")?,
            claims: pairs(&self.claims, '=', "claim")?,
        };
        let context = SecurityContext::new(path.as_str().parse().context("the path is no URI")?);
        let mut facts = Facts::new(self.method(), path.as_str()).with_claims(&told, &context);
        facts.headers = Some(&told);
        facts.peer = peer.as_ref();
        facts.principal = principal.as_ref();
        facts.authority = self.authority.as_deref();
        if let Some(authority) = &self.authority {
            // The colons of an IPv6 address stand in brackets.
            let named = authority
                .rsplit_once(':')
                .filter(|(_, port)| !port.contains(']'));
            let (host, port) = named.unwrap_or((authority, ""));
            facts.host = Some(host);
            facts.port = match port {
                "" => None,
                port => Some(port.parse().context("the authority's port")?),
            };
        }
        facts.address = self.address;
        facts.source = self.source.or(self.address);
        facts.destination = self.destination;
        facts.server_name = self.server_name.as_deref();
        Ok(ask(&facts))
    }

    fn principal(&self) -> anyhow::Result<Option<Principal>> {
        let (issuer, subject) = match (&self.issuer, &self.subject) {
            (Some(issuer), Some(subject)) => (issuer, subject),
            (None, None)
                if self.client.is_none() && self.scopes.is_empty() && self.roles.is_empty() =>
            {
                return Ok(None);
            }
            _ => bail!("a principal has an `issuer` and a `subject`"),
        };
        let mut principal = Principal::builder(Scheme::Jwt, issuer, subject)
            .with_scopes(self.scopes.iter().map(String::as_str))
            .with_roles(self.roles.iter().map(String::as_str));
        if let Some(client) = &self.client {
            principal = principal.with_client(client);
        }
        Ok(Some(principal.assert_verified()))
    }
}

/// A peer of this ID. Nobody is let in by it: it is what is asked about.
fn peer(id: &str) -> anyhow::Result<Peer> {
    let parsed = id
        .parse()
        .with_context(|| format!("{id:?} is no SPIFFE ID"))?;
    Ok(Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe(parsed),
        certificate_sha256: [0; 32],
        serial: Box::new([]),
        not_after: WallTime::MAX,
    }))
}

fn pairs(texts: &[String], between: char, what: &str) -> anyhow::Result<Vec<(String, String)>> {
    let split = |text: &String| {
        let (name, value) = text.split_once(between)?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let pairs = texts
        .iter()
        .map(|text| split(text).with_context(|| format!("the {what} {text:?} has no `{between}`")));
    pairs.collect()
}

/// Headers and claims that were said.
struct Told {
    headers: Vec<(String, String)>,
    claims: Vec<(String, String)>,
}

impl ReadHeaders for Told {
    fn read(&self, name: &str, tell: &mut dyn FnMut(&[u8])) {
        let lines = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        lines.for_each(|(_, value)| tell(value.as_bytes()));
    }
}

impl ReadClaims for Told {
    fn read(&self, _: &SecurityContext, name: &str, tell: &mut dyn FnMut(&str)) {
        let values = self.claims.iter().filter(|(known, _)| known == name);
        values.for_each(|(_, value)| tell(value));
    }

    fn read_within(&self, context: &SecurityContext, path: &[String], tell: &mut dyn FnMut(&str)) {
        let name: String = path.iter().map(|name| format!("[{name}]")).collect();
        ReadClaims::read(self, context, &name, tell);
    }

    fn reads_within(&self) -> bool {
        true
    }
}
