//! What a rule is about.

use crate::condition::{Condition, Reading};
use crate::error::PolicyError;
use crate::facts::Facts;
use crate::pattern::{HostPattern, PathPattern, PatternError};

/// A set of requests: everything that is said of them must hold; of several values of one kind,
/// one is enough. Nothing said is every request.
///
/// Mistakes in patterns are told when the policy is built, with the rule's name.
///
/// ```
/// use bartizan_authz::Targets;
///
/// let read = Targets::method("GET").path("/orders/{id}");
/// let charge = Targets::grpc("shop.Payments", "Charge");
/// # let _ = (read, charge);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "targets have an effect in a rule"]
pub struct Targets {
    pub(crate) methods: Vec<Box<str>>,
    pub(crate) paths: Vec<PathPattern>,
    pub(crate) except_paths: Vec<PathPattern>,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) ports: Vec<u16>,
    pub(crate) when: Vec<Condition>,
    mistake: Option<(Box<str>, PatternError)>,
}

impl Targets {
    /// Every request.
    pub fn anything() -> Self {
        Self::default()
    }

    /// Requests with this method.
    pub fn method(method: &str) -> Self {
        Self::default().or_method(method)
    }

    /// Requests to paths of this [pattern](PathPattern).
    pub fn any_method(path: &str) -> Self {
        Self::default().path(path)
    }

    /// Calls of this gRPC method, such as `shop.Payments` and `Charge`.
    pub fn grpc(service: &str, method: &str) -> Self {
        Self::default().or_grpc(service, Some(method))
    }

    /// Calls of any method of this gRPC service.
    pub fn grpc_service(service: &str) -> Self {
        Self::default().or_grpc(service, None)
    }

    /// Also calls of this gRPC method, or of all methods of the service.
    pub fn or_grpc(self, service: &str, method: Option<&str>) -> Self {
        let text = format!("/{service}/{}", method.unwrap_or("{method}"));
        self.add_path(&text, PathPattern::grpc(service, method))
    }

    /// Also requests with this method.
    pub fn or_method(mut self, method: &str) -> Self {
        self.methods.push(method.into());
        self
    }

    /// Only requests to paths of this [pattern](PathPattern); called again, to those too.
    pub fn path(self, pattern: &str) -> Self {
        self.add_path(pattern, PathPattern::parse(pattern))
    }

    /// But not to paths of this pattern.
    pub fn except_path(mut self, pattern: &str) -> Self {
        match PathPattern::parse(pattern) {
            Ok(pattern) => self.except_paths.push(pattern),
            Err(error) => self.mistake = Some((pattern.into(), error)),
        }
        self
    }

    /// Only requests to this host or these hosts (`*.shop.example`); called again, to those too.
    /// Clients write the host: it is no proof of anything.
    pub fn host(mut self, pattern: &str) -> Self {
        match HostPattern::parse(pattern) {
            Ok(pattern) => self.hosts.push(pattern),
            Err(error) => self.mistake = Some((pattern.into(), error)),
        }
        self
    }

    /// Only requests that name this port; called again, that one too.
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Only if this holds; called again, that as well.
    pub fn when(mut self, condition: Condition) -> Self {
        self.when.push(condition);
        self
    }

    fn add_path(mut self, text: &str, parsed: Result<PathPattern, PatternError>) -> Self {
        match parsed {
            Ok(pattern) => self.paths.push(pattern),
            Err(error) => self.mistake = Some((text.into(), error)),
        }
        self
    }

    pub(crate) fn check(&self, rule: &str) -> Result<(), PolicyError> {
        self.when.iter().try_for_each(|it| it.check(rule))?;
        match &self.mistake {
            None => Ok(()),
            Some((pattern, cause)) => Err(PolicyError::Pattern {
                rule: rule.to_owned(),
                pattern: pattern.to_string(),
                cause: *cause,
            }),
        }
    }

    /// Whether the request is one of them, leaving its path to whoever looked it up.
    pub(crate) fn include_beside_path(&self, facts: &Facts<'_>, reading: Reading) -> bool {
        (self.methods.is_empty() || self.include_method(facts.method, reading.is_loose()))
            && (self.hosts.is_empty()
                || facts
                    .host
                    .is_some_and(|host| self.hosts.iter().any(|pattern| pattern.matches(host))))
            && (self.ports.is_empty() || facts.port.is_some_and(|port| self.ports.contains(&port)))
            && !self
                .except_paths
                .iter()
                // What is spared a denial is spared it in exactly this spelling.
                .any(|pattern| pattern.matches(facts.path, reading.turned().is_loose()))
            && self
                .when
                .iter()
                .all(|condition| condition.holds(facts, reading))
    }

    /// What of them does not hold, but for conditions.
    pub(crate) fn missing_parts(&self, facts: &Facts<'_>, reading: Reading) -> Vec<&'static str> {
        let loosely = reading.is_loose();
        let is_path = |pattern: &PathPattern| pattern.matches(facts.path, loosely);
        let is_excepted =
            |pattern: &PathPattern| pattern.matches(facts.path, reading.turned().is_loose());
        let is_host = |host: &str| self.hosts.iter().any(|pattern| pattern.matches(host));
        let is_port = |port: &u16| self.ports.contains(port);
        let parts = [
            (
                "method",
                self.methods.is_empty() || self.include_method(facts.method, loosely),
            ),
            (
                "path",
                self.paths.is_empty() || self.paths.iter().any(is_path),
            ),
            (
                "an excepted path",
                !self.except_paths.iter().any(is_excepted),
            ),
            (
                "host",
                self.hosts.is_empty() || facts.host.is_some_and(is_host),
            ),
            (
                "port",
                self.ports.is_empty() || facts.port.as_ref().is_some_and(is_port),
            ),
        ];
        let missing = parts.into_iter().filter(|(_, holds)| !holds);
        missing.map(|(part, _)| part).collect()
    }

    /// A server answers `HEAD` where it answers `GET`: a denial of one is one of both. One of
    /// `delete` is one of `DELETE`.
    fn include_method(&self, method: &str, loosely: bool) -> bool {
        let is = |wanted: &str, method: &str| {
            wanted == method || (loosely && wanted.eq_ignore_ascii_case(method))
        };
        let is_head = loosely && method.eq_ignore_ascii_case("HEAD");
        let mut methods = self.methods.iter();
        methods.any(|wanted| is(wanted, method) || (is_head && is(wanted, "GET")))
    }
}
