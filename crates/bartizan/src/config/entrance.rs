//! `[entrance]` and `[exempt]`: the outside.

use std::num::NonZeroUsize;

use bartizan_core::{
    CanonicalPath, Entrance as CoreEntrance, ForwardingHeader, IpNetwork, RouteTable,
    TrustedProxies,
};

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::choice;
use crate::config::surroundings::Surroundings;

choice! {
    /// A header in which proxies say whom they serve.
    Header {
        /// `Forwarded` (RFC 7239).
        Forwarded = "forwarded",
        /// The older `X-Forwarded-For`.
        XForwardedFor = "x-forwarded-for",
    }
}

section! {
    /// What is known of the outside: which proxies to believe about the client's address, and
    /// which routes the service has.
    Entrance {
        /// Networks of the proxies that are believed about the client's address. Without any, the
        /// client is the far end of the connection.
        proxies: Vec<IpNetwork>,
        /// The one header that is read; the other is ignored.
        header: Header = "x-forwarded-for",
        /// Believes so many proxies, whatever their addresses. Only where nobody can reach the
        /// service but through them; not beside `proxies`.
        insecure_hops: Option<NonZeroUsize>,
        /// The route templates of the service, in axum's notation, such as `/orders/{id}`, and
        /// `/package.Service/Method` for gRPC. Limits, audit rules and metrics speak of them, and
        /// paths with more than one meaning are refused. Paths that the configuration itself
        /// answers, those of metrics and of the witness, are among them without being listed.
        routes: Vec<String>,
    }
}

section! {
    /// Routes that nothing decides about: no ban, no limit, no authentication and no rule. For
    /// health checks and metrics. The audit log has them all the same.
    Exempt {
        /// Paths, letter by letter, such as `/healthz`: no templates, and no other spelling.
        paths: Vec<String>,
        /// The methods that are exempt on these paths.
        methods: ExemptMethods = "read",
    }
}

choice! {
    /// Methods on exempt paths.
    ExemptMethods {
        /// `GET` and `HEAD`.
        Read = "read",
        /// Also `POST`, as gRPC's health service takes.
        ReadAndPost = "read_and_post",
    }
}

impl Entrance {
    pub(crate) fn proxies(&self) -> Result<TrustedProxies, Problem> {
        let header = match self.header {
            Header::Forwarded => ForwardingHeader::Forwarded,
            Header::XForwardedFor => ForwardingHeader::XForwardedFor,
        };
        match (self.insecure_hops, self.proxies.is_empty()) {
            (Some(_), false) => Err(Problem::new(
                self.stands.0,
                "entrance",
                "proxies are trusted by `proxies` or by `insecure_hops`, not by both",
            )),
            (Some(count), true) => Ok(TrustedProxies::insecure_hops(header, count)),
            (None, false) => Ok(TrustedProxies::networks(header, self.proxies.clone())),
            (None, true) => Ok(TrustedProxies::none()),
        }
    }

    /// With the paths that are answered in place of the service. They make no table of routes
    /// where there is none: each path has one meaning then, that of its letters.
    pub(crate) fn build(
        &self,
        own: &[String],
        with: &Surroundings,
    ) -> Result<CoreEntrance, Problem> {
        let mut entrance = CoreEntrance::new().with_proxies(self.proxies()?);
        if !self.routes.is_empty() {
            let own = own.iter().filter(|path| !self.routes.contains(path));
            let routes = RouteTable::new(self.routes.iter().chain(own));
            let routes = routes.map_err(|error| self.refuse("entrance.routes", &error))?;
            entrance = entrance.with_routes(routes);
        }
        Ok(match with.observer() {
            Some(observer) => entrance.with_observer(observer),
            None => entrance,
        })
    }
}

impl Exempt {
    /// Paths that a router could take for another are none.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        for path in &self.paths {
            if !is_plain(path) {
                let message = format!("{path:?} is no path in its one spelling");
                return Err(Problem::new(self.stands.0, "exempt.paths", message));
            }
        }
        Ok(())
    }
}

/// Whether it is one path, in its one spelling.
pub(crate) fn is_plain(path: &str) -> bool {
    let canonical = CanonicalPath::parse(path);
    let is_canonical = canonical.is_ok_and(|path| path.into_changed().is_none());
    is_canonical && !path.contains(['{', '*', '?'])
}
