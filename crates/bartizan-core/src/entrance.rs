//! What the outermost layer of a service knows of the outside.

use http::request::Parts;

use crate::address::{TrustedProxies, fold};
use crate::code::Code;
use crate::connection::Connection;
use crate::context::SecurityContext;
use crate::rejection::{Rejection, RejectionKind};
use crate::route::RouteTable;

/// The path has no one meaning, so that no rule can be applied to it.
const AMBIGUOUS_PATH: Code = Code::new("route.ambiguous_path");

/// What the outermost layer of a service knows of the outside: which proxies to believe about the
/// client's address, and which routes there are.
///
/// The layer that creates a request's [`SecurityContext`] applies it; layers further in find the
/// context made and ignore theirs. With a route table, a request whose path has no one meaning is
/// refused there with `route.ambiguous_path`, before any rule is asked.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    proxies: TrustedProxies,
    routes: Option<RouteTable>,
}

impl Entrance {
    /// Believes no proxy and knows no routes.
    pub fn new() -> Self {
        Self::default()
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

    /// Creates the request's context and puts it into the extensions; without an entrance, as
    /// the default one would.
    pub(crate) fn open(
        this: Option<&Self>,
        parts: &mut Parts,
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
        let resolved = match this.and_then(|this| this.routes.as_ref()) {
            Some(routes) => context.resolve(routes).map_err(|error| {
                Rejection::new(RejectionKind::Malformed, AMBIGUOUS_PATH)
                    .with_detail("the path has more than one meaning")
                    .with_cause(error)
            }),
            None => Ok(()),
        };
        parts.extensions.insert(context.clone());
        (context, resolved)
    }
}
