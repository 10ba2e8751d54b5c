//! What the outermost layer of a service knows of the outside.

use std::sync::Arc;

use http::Uri;
use http::request::Parts;

use crate::address::{TrustedProxies, fold};
use crate::code::Code;
use crate::connection::Connection;
use crate::context::SecurityContext;
use crate::duty::Duty;
use crate::event::Observe;
use crate::guard::Inspection;
use crate::protocol::Protocol;
use crate::rejection::{Rejection, RejectionKind};
use crate::route::RouteTable;

/// The path has no one meaning, so that no rule can be applied to it.
const AMBIGUOUS_PATH: Code = Code::new("route.ambiguous_path");

/// What the outermost layer of a service knows of the outside: which proxies to believe about the
/// client's address, and which routes there are.
///
/// Give it to the outermost layer: the one that creates a request's [`SecurityContext`] finds the
/// client's address, and a layer further in can no longer change it. The first layer that has a
/// route table looks the path up; a request whose path has no one meaning is refused there with
/// `route.ambiguous_path`, before its guard is asked. So is one whose path leads a router
/// elsewhere than its canonical spelling does.
///
/// A layer inside a nested axum router sees a shortened path; with feature `axum` it goes by
/// axum's `OriginalUri`, without it the outermost layer must stand outside of `nest`. That has no shadow mode:
/// no rule could say what it would have decided.
#[derive(Clone, Debug)]
pub struct Entrance {
    proxies: TrustedProxies,
    routes: Option<RouteTable>,
    duty: Duty,
}

impl Entrance {
    /// Believes no proxy and knows no routes.
    pub fn new() -> Self {
        Self {
            proxies: TrustedProxies::none(),
            routes: None,
            duty: Duty::new("route"),
        }
    }

    /// Sets which proxies are believed about the client's address.
    #[must_use]
    pub fn with_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Sets the route templates of the service.
    #[must_use]
    pub fn with_routes(mut self, routes: RouteTable) -> Self {
        self.routes = Some(routes);
        self
    }

    /// Sets who is told of requests that are refused here, under the layer name `route`.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.duty = self.duty.with_observer(observer);
        self
    }

    /// Creates the request's context and puts it into the extensions; without an entrance, as
    /// the default one would. For layers that have a service of their own, when the request has
    /// no context yet; guards find it made.
    pub fn open(
        this: Option<&Self>,
        parts: &mut Parts,
        protocol: Protocol,
    ) -> (SecurityContext, Result<(), Rejection>) {
        let connection = Connection::of(&parts.extensions);
        let remote = connection
            .and_then(Connection::remote)
            .map(|remote| remote.ip());
        let address =
            remote.map(
                |remote| match this.and_then(|this| Some((this, this.proxies.header()?))) {
                    Some((this, header)) => {
                        let lines = parts.headers.get_all(header.name()).iter();
                        this.proxies
                            .client(remote, lines.map(|line| line.as_bytes()))
                    }
                    None => fold(remote),
                },
            );
        let peer = connection.and_then(Connection::peer);
        let context = SecurityContext::of_connection(received_uri(parts), peer, address);
        parts.extensions.insert(context.clone());
        let opened = this.map_or(Ok(()), |this| this.resolve(&context, parts, protocol));
        (context, opened)
    }

    /// Finds the route template, unless an outer layer has.
    pub(crate) fn resolve(
        &self,
        context: &SecurityContext,
        parts: &mut Parts,
        protocol: Protocol,
    ) -> Result<(), Rejection> {
        let Some(routes) = &self.routes else {
            return Ok(());
        };
        let Err(error) = context.resolve(routes) else {
            return Ok(());
        };
        let rejection = Rejection::new(RejectionKind::Malformed, AMBIGUOUS_PATH)
            .with_detail("the path has more than one meaning")
            .with_cause(error);
        let mut inspection = Inspection {
            parts,
            context,
            protocol,
            note: None,
        };
        self.duty
            .settle::<()>(&mut inspection, Err(rejection))
            .map(drop)
    }
}

/// The URI as it was received. A router that nests others shortens what these see.
fn received_uri(parts: &Parts) -> Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return original.0.clone();
    }
    parts.uri.clone()
}

impl Default for Entrance {
    fn default() -> Self {
        Self::new()
    }
}
