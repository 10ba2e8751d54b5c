//! What the outermost layer of a service knows of the outside.

use std::sync::Arc;

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
/// The layer that creates a request's [`SecurityContext`] applies it; layers further in find the
/// context made and ignore theirs. With a route table, a request whose path has no one meaning is
/// refused there with `route.ambiguous_path`, before any rule is asked. That has no shadow mode:
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
    /// the default one would.
    pub(crate) fn open(
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
        let context = SecurityContext::of_connection(parts.uri.clone(), peer, address);
        parts.extensions.insert(context.clone());
        let opened = this.map_or(Ok(()), |this| this.resolve(&context, parts, protocol));
        (context, opened)
    }

    fn resolve(
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

impl Default for Entrance {
    fn default() -> Self {
        Self::new()
    }
}
