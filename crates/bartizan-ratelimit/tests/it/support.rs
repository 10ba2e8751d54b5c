//! A clock, a layer, and requests of several callers.

use std::net::SocketAddr;
use std::sync::Arc;

use bartizan_core::{
    Check, Connection, Guard as _, Inspection, Peer, PeerIdentity, Principal, Rejection, Scheme,
    SecurityContext, VerifiedCertificate, WallTime,
};
use bartizan_ratelimit::{
    Key, Policy, Rate, RateLimitConfig, RateLimitConfigBuilder, RateLimitLayer, RateLimitPass,
};
use bartizan_testkit::{Call, Host, ManualClock};
use http::Request;
use http::request::Parts;

/// A layer that counts by `key`, with the clock in a test's hand.
pub(crate) fn config(key: Key, clock: &ManualClock) -> RateLimitConfigBuilder {
    RateLimitConfig::builder(key).with_clock(Arc::new(clock.clone()))
}

/// Two a second, by address.
pub(crate) fn two_a_second(clock: &ManualClock) -> RateLimitConfigBuilder {
    config(Key::address(), clock).add_policy(Policy::new("burst", Rate::per_second(2)))
}

pub(crate) fn layer(config: RateLimitConfigBuilder) -> RateLimitLayer {
    RateLimitLayer::new(config.build().unwrap())
}

pub(crate) fn connection(address: &str) -> Connection {
    Connection::from_remote(SocketAddr::new(address.parse().unwrap(), 4_000))
}

pub(crate) fn call_from(address: &str) -> Call {
    Call::echo("hello").with_connection(connection(address))
}

/// A request by itself, with what layers further out have found.
pub(crate) struct Asked {
    pub(crate) parts: Parts,
    pub(crate) context: SecurityContext,
}

impl Asked {
    pub(crate) fn new() -> Self {
        let request = Request::post("/svc.Orders/Read").body(()).unwrap();
        let context = SecurityContext::new(request.uri().clone());
        Self {
            parts: request.into_parts().0,
            context,
        }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = value.parse().unwrap();
        self.parts.headers.append(name, value);
        self
    }

    pub(crate) fn with_peer(self, id: &str) -> Self {
        self.context.set_peer(peer(id)).unwrap();
        self
    }

    pub(crate) fn with_principal(self, issuer: &str, subject: &str, client: Option<&str>) -> Self {
        let mut principal = Principal::builder(Scheme::Jwt, issuer, subject);
        if let Some(client) = client {
            principal = principal.with_client(client);
        }
        let principal = principal.assert_verified();
        self.context.set_principal(principal).unwrap();
        self
    }

    /// The verdict of a layer, as if it were asked alone.
    pub(crate) fn ask(&mut self, layer: &RateLimitLayer) -> Result<RateLimitPass, Rejection> {
        let mut inspection = Inspection::new(&mut self.parts, &self.context);
        match layer.guard().check(&mut inspection) {
            Check::Now(verdict) => verdict,
            Check::Later(_) => panic!("this key is known at once"),
        }
    }
}

/// Whether a request from this address passes.
pub(crate) async fn admits(layer: &RateLimitLayer, address: &str) -> bool {
    let answer = Host::Hyper.send(layer, &call_from(address)).await.unwrap();
    assert!(
        answer.is_success() || answer.http_status == 429,
        "{answer:?}"
    );
    answer.is_success()
}

pub(crate) fn peer(id: &str) -> Peer {
    Peer::assert_verified(VerifiedCertificate {
        identity: PeerIdentity::Spiffe(id.parse().unwrap()),
        certificate_sha256: [7; 32],
        serial: Box::from([1]),
        not_after: WallTime::from_unix_seconds(4_000_000_000),
    })
}
