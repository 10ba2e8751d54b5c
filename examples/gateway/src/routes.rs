//! Which request goes to which upstream.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use bartizan::core::RouteTable;

use crate::config::{Config, Protocol};
use crate::upstream::Upstream;

/// Where requests go, by the template that their path matches, and by host.
#[derive(Debug)]
pub(crate) struct Routes(HashMap<Box<str>, Vec<Target>>);

/// One place to go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    hosts: Arc<[Box<str>]>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) websocket: bool,
    pub(crate) forward_token: bool,
}

impl Routes {
    /// The routes of this configuration.
    pub(crate) fn new(
        config: &Config,
        upstreams: &BTreeMap<String, Arc<Upstream>>,
    ) -> anyhow::Result<Self> {
        let mut routes: HashMap<Box<str>, Vec<Target>> = HashMap::new();
        for route in &config.routes {
            let upstream = upstreams.get(&route.upstream).context("no such upstream")?;
            let target = Target {
                hosts: route.hosts.iter().map(|host| folded(host).into()).collect(),
                upstream: Arc::clone(upstream),
                websocket: route.websocket,
                forward_token: route.forward_token,
            };
            for path in &route.paths {
                routes
                    .entry(path.as_str().into())
                    .or_default()
                    .push(target.clone());
            }
        }
        Ok(Self(routes))
    }

    /// The templates, for whoever resolves paths.
    pub(crate) fn table(config: &Config) -> anyhow::Result<RouteTable> {
        let paths = config.routes.iter().flat_map(|route| &route.paths);
        let paths: BTreeSet<_> = paths.collect();
        Ok(RouteTable::new(paths)?)
    }

    /// The templates under which gRPC may be called: all that is served there is spoken to over
    /// HTTP/2.
    pub(crate) fn for_calls(config: &Config) -> HashSet<String> {
        let paths = |calls: bool| {
            let routes = config.routes.iter().filter(move |route| {
                let upstream = config.upstreams.get(&route.upstream);
                upstream.is_some_and(|it| it.protocol == Protocol::Http2) == calls
            });
            routes.flat_map(|route| route.paths.iter().cloned())
        };
        let others: HashSet<_> = paths(false).collect();
        paths(true).filter(|path| !others.contains(path)).collect()
    }

    /// Where a request with this template and host goes: to the first that fits, as they stand in
    /// the file.
    pub(crate) fn find(&self, template: &str, host: &str) -> Option<&Target> {
        let name = folded(without_port(host));
        let mut targets = self.0.get(template)?.iter();
        targets.find(|target| {
            target.hosts.is_empty() || target.hosts.iter().any(|host| **host == *name)
        })
    }
}

/// A host as it is compared, by policies too: `Shop.example.` is `shop.example`.
fn folded(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn without_port(host: &str) -> &str {
    let end = host.rfind(']').unwrap_or(0);
    match host.get(end..).and_then(|rest| rest.rfind(':')) {
        Some(colon) => host.get(..end + colon).unwrap_or(host),
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_part_of_the_name() {
        for (host, name) in [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
