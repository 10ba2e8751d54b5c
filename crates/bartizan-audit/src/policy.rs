//! What is recorded of which requests: ordered rules, of which the first that matches decides.

mod secret;

use bartizan_core::{Peer, Protocol, SpiffePattern};

use crate::error::ConfigError;
use crate::record::{Durability, Level};

use self::secret::names_a_secret;
pub(crate) use self::secret::{redacted, without_secrets};

/// One rule of a policy: which requests it is about, and what is recorded of them.
///
/// Every condition that is set has to hold; a rule without any matches every request.
///
/// ```
/// use bartizan_audit::{Durability, Rule};
///
/// let rules = [
///     // Probes say nothing.
///     Rule::none().add_template("/healthz"),
///     // No payment is answered before its record is on the disk.
///     Rule::metadata()
///         .add_method("POST")
///         .add_template("/payments/*")
///         .with_durability(Durability::Durable),
///     Rule::request().add_query("page").add_request_header("user-agent"),
/// ];
/// # let _ = rules;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a rule does nothing until it is added to a configuration"]
pub struct Rule {
    level: Level,
    durability: Durability,
    methods: Vec<String>,
    templates: Vec<String>,
    peers: Vec<SpiffePattern>,
    protocol: Option<Protocol>,
    outcome: Option<RuleOutcome>,
    path: bool,
    query: Vec<String>,
    request_headers: Vec<String>,
    response_headers: Vec<String>,
    request_fields: Vec<String>,
    response_fields: Vec<String>,
}

/// Whether a layer refused the request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RuleOutcome {
    /// Every layer let it pass.
    Passed,
    /// A layer refused it.
    Refused,
}

/// What a rule is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) method: &'a str,
    /// The route template, or the gRPC method.
    pub(crate) template: Option<&'a str>,
    pub(crate) protocol: Protocol,
    pub(crate) peer: Option<&'a Peer>,
    pub(crate) refused: bool,
}

impl Rule {
    /// Records nothing.
    pub fn none() -> Self {
        Self::new(Level::None)
    }

    /// Records who, what, when, where, the outcome and every decision.
    pub fn metadata() -> Self {
        Self::new(Level::Metadata)
    }

    /// Records that, and what is named of the request's headers and body.
    pub fn request() -> Self {
        Self::new(Level::Request)
    }

    /// Records that, and what is named of the response's headers and body.
    pub fn request_response() -> Self {
        Self::new(Level::RequestResponse)
    }

    fn new(level: Level) -> Self {
        Self {
            level,
            durability: Durability::default(),
            methods: Vec::new(),
            templates: Vec::new(),
            peers: Vec::new(),
            protocol: None,
            outcome: None,
            path: false,
            query: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            request_fields: Vec::new(),
            response_fields: Vec::new(),
        }
    }

    /// Sets what is promised about the record before the answer is sent.
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Is about requests of this method, among others that are added.
    pub fn add_method(mut self, method: &str) -> Self {
        self.methods.push(method.to_ascii_uppercase());
        self
    }

    /// Is about this route template or gRPC method, among others that are added. A `*` at the end
    /// stands for anything.
    pub fn add_template(mut self, template: &str) -> Self {
        self.templates.push(template.to_owned());
        self
    }

    /// Is about requests of peers that match, among others that are added.
    pub fn add_peer(mut self, peers: SpiffePattern) -> Self {
        self.peers.push(peers);
        self
    }

    /// Is about this protocol alone.
    pub fn with_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Is about requests that were refused, or that were not.
    pub fn with_outcome(mut self, outcome: RuleOutcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Records the path as well, not its template alone. Paths hold ids, and sometimes secrets,
    /// such as those of a link; a template holds neither.
    pub fn allow_path(mut self) -> Self {
        self.path = true;
        self
    }

    /// Records the values of this parameter of the query. Nothing else of a query is recorded.
    pub fn add_query(mut self, name: &str) -> Self {
        self.query.push(name.to_owned());
        self
    }

    /// Records this header of the request.
    pub fn add_request_header(mut self, name: &str) -> Self {
        self.request_headers.push(name.to_ascii_lowercase());
        self
    }

    /// Records this header of the response.
    pub fn add_response_header(mut self, name: &str) -> Self {
        self.response_headers.push(name.to_ascii_lowercase());
        self
    }

    /// Records this field of a JSON request, as a JSON pointer ([RFC 6901]). It takes an
    /// [`AuditTapLayer`](crate::AuditTapLayer), inside of encryption.
    ///
    /// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
    pub fn add_request_field(mut self, pointer: &str) -> Self {
        self.request_fields.push(pointer.to_owned());
        self
    }

    /// Records this field of a JSON response, as [`add_request_field`](Self::add_request_field)
    /// does.
    pub fn add_response_field(mut self, pointer: &str) -> Self {
        self.response_fields.push(pointer.to_owned());
        self
    }

    /// Whether it is about every request.
    fn is_about_all(&self) -> bool {
        self.methods.is_empty()
            && self.templates.is_empty()
            && self.peers.is_empty()
            && self.protocol.is_none()
            && self.outcome.is_none()
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        let any = |list: &[String], holds: &dyn Fn(&str) -> bool| {
            list.is_empty() || list.iter().any(|item| holds(item))
        };
        any(&self.methods, &|method| method == facts.method)
            && any(&self.templates, &|pattern| {
                facts
                    .template
                    .is_some_and(|template| covers(pattern, template))
            })
            && (self.peers.is_empty()
                || facts
                    .peer
                    .and_then(Peer::spiffe_id)
                    .is_some_and(|id| self.peers.iter().any(|peers| peers.matches(id))))
            && self
                .protocol
                .is_none_or(|protocol| protocol == facts.protocol)
            && self
                .outcome
                .is_none_or(|outcome| (outcome == RuleOutcome::Refused) == facts.refused)
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn records_path(&self) -> bool {
        self.path
    }

    pub(crate) fn query(&self) -> &[String] {
        &self.query
    }

    pub(crate) fn request_headers(&self) -> &[String] {
        &self.request_headers
    }

    pub(crate) fn response_headers(&self) -> &[String] {
        &self.response_headers
    }

    pub(crate) fn request_fields(&self) -> &[String] {
        &self.request_fields
    }

    pub(crate) fn response_fields(&self) -> &[String] {
        &self.response_fields
    }

    /// Whether the rule can be kept, and lets no secret in. A configuration is built of such rules
    /// alone; this is for looking at one before there is a ledger.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming what cannot be recorded.
    pub fn check(&self) -> Result<(), ConfigError> {
        let requests = !self.request_headers.is_empty() || !self.request_fields.is_empty();
        let responses = !self.response_headers.is_empty() || !self.response_fields.is_empty();
        if (requests && self.level < Level::Request)
            || (responses && self.level < Level::RequestResponse)
        {
            return Err(ConfigError::Level);
        }
        let fields = self.request_fields.iter().chain(&self.response_fields);
        for pointer in fields.clone() {
            if !pointer.starts_with('/') {
                return Err(ConfigError::Pointer(pointer.clone()));
            }
        }
        let names = self.query.iter().chain(&self.request_headers);
        let names = names.chain(&self.response_headers).chain(fields);
        match names.into_iter().find(|name| names_a_secret(name)) {
            Some(name) => Err(ConfigError::Secret(name.clone())),
            None => Ok(()),
        }
    }
}

fn covers(pattern: &str, template: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => template.starts_with(prefix),
        None => pattern == template,
    }
}

/// Ordered rules.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    rules: Vec<Rule>,
    otherwise: Rule,
    has_choice: bool,
    asks_for_outcomes: bool,
    promises_durable: bool,
    names_response_headers: bool,
}

impl Policy {
    pub(crate) fn new(rules: Vec<Rule>) -> Result<Self, ConfigError> {
        rules.iter().try_for_each(Rule::check)?;
        let any = |holds: fn(&Rule) -> bool| rules.iter().any(holds);
        Ok(Self {
            has_choice: rules.first().is_some_and(|rule| !rule.is_about_all()),
            asks_for_outcomes: any(|rule| rule.outcome.is_some()),
            promises_durable: any(|rule| rule.durability == Durability::Durable),
            names_response_headers: any(|rule| !rule.response_headers.is_empty()),
            rules,
            // What no rule is about is recorded rather than forgotten.
            otherwise: Rule::metadata(),
        })
    }

    /// The rule that decides whatever the request is, if there is one.
    pub(crate) fn only(&self) -> Option<&Rule> {
        let first = self.rules.first().unwrap_or(&self.otherwise);
        (!self.has_choice).then_some(first)
    }

    /// The first rule that matches.
    pub(crate) fn find(&self, facts: &Facts<'_>) -> &Rule {
        self.rules
            .iter()
            .find(|rule| rule.matches(facts))
            .unwrap_or(&self.otherwise)
    }

    /// Whether a rule looks at what was decided.
    pub(crate) fn asks_for_outcomes(&self) -> bool {
        self.asks_for_outcomes
    }

    /// Whether an answer may have to wait.
    pub(crate) fn promises_durable(&self) -> bool {
        self.promises_durable
    }

    /// Whether a rule names headers of responses.
    pub(crate) fn names_response_headers(&self) -> bool {
        self.names_response_headers
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Every header of requests that some rule names.
    pub(crate) fn all_request_headers(&self) -> Vec<String> {
        let headers = self.rules.iter().flat_map(|rule| &rule.request_headers);
        let mut headers: Vec<String> = headers.cloned().collect();
        headers.sort();
        headers.dedup();
        headers
    }
}

#[cfg(test)]
mod tests;
