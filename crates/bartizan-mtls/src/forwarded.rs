//! The headers in which proxies speak of their clients: read from the trusted, removed from all.

use bartizan_core::{Forwarded, ForwardedBy, Peer};
use http::{HeaderMap, HeaderName};

use crate::proxy::{ForwardedError, ProxyGrant};

const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// The grants of a layer. The first that admits a peer counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyGrants(Vec<ProxyGrant>);

impl ProxyGrants {
    pub(crate) fn add(&mut self, grant: ProxyGrant) {
        self.0.push(grant);
    }

    /// What this peer says of a client behind it, if it may say so and does.
    pub(crate) fn read(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> Result<Option<Forwarded>, ForwardedError> {
        let Some(grant) = self.of(peer) else {
            return Ok(None);
        };
        match grant.header() {
            // A proxy that appends does so at the end, to the last line or in a line of its own.
            ForwardedBy::Xfcc => match headers.get_all(XFCC).iter().next_back() {
                Some(line) => grant.read_xfcc(peer, line.as_bytes()).map(Some),
                None => Ok(None),
            },
            ForwardedBy::ClientCert => read_client_cert(grant, headers),
            // A header that this crate does not know has no grant either.
            _ => Ok(None),
        }
    }

    /// Removes the headers, except from a proxy that may hand its own on.
    pub(crate) fn strip(&self, peer: Option<&Peer>, headers: &mut HeaderMap) {
        if headers.is_empty() {
            return;
        }
        let kept = peer
            .and_then(|peer| self.of(peer))
            .filter(|grant| grant.keeps_header())
            .map(ProxyGrant::header);
        if kept != Some(ForwardedBy::Xfcc) {
            headers.remove(XFCC);
        }
        if kept != Some(ForwardedBy::ClientCert) {
            headers.remove(CLIENT_CERT);
            headers.remove(CLIENT_CERT_CHAIN);
        }
    }

    fn of(&self, peer: &Peer) -> Option<&ProxyGrant> {
        self.0.iter().find(|grant| grant.admits(peer.identity()))
    }
}

fn read_client_cert(
    grant: &ProxyGrant,
    headers: &HeaderMap,
) -> Result<Option<Forwarded>, ForwardedError> {
    let mut lines = headers.get_all(CLIENT_CERT).iter();
    let chain: Vec<_> = headers
        .get_all(CLIENT_CERT_CHAIN)
        .iter()
        .map(|line| line.as_bytes())
        .collect();
    let chain = (!chain.is_empty()).then(|| chain.join(&b','));
    match (lines.next(), lines.next()) {
        (None, _) if chain.is_none() => Ok(None),
        (Some(line), None) => grant
            .read_client_cert(line.as_bytes(), chain.as_deref())
            .map(Some),
        //= RFC 9440 §2.2: Client-Cert MUST NOT occur multiple times; §2.3: the chain MUST NOT
        //= be sent unless Client-Cert is also present.
        _ => Err(ForwardedError::Count),
    }
}
