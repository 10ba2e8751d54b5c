//! `[[rules.rule]]`: one rule.

use bartizan_authz::{Callers, Condition, Fact, Rule, Targets};
use bartizan_core::{IpNetwork, SpiffePattern, TrustDomain};

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::choice;

section! {
    /// One rule. It applies if one of `from` and one of `to` do.
    RuleEntry {
        /// What decisions are recorded under: 1 to 128 bytes.
        name: String,
        /// What follows if it applies. A rule that denies counts before every one that allows.
        effect: EffectWord,
        /// Records what a denial would have refused, and refuses nothing.
        shadow: bool = "false",
        /// Who it is about. Everybody by default, also who proved nothing.
        from: Vec<CallersEntry>,
        /// Which requests it is about. Every one by default.
        to: Vec<TargetsEntry>,
        /// What holds besides.
        when: Vec<ConditionEntry>,
        /// Lets a denial catch what it names as it is written alone. Without it, it catches other
        /// spellings of paths, hosts and headers as well.
        exact: bool = "false",
    }
}

section! {
    /// A set of callers: everything that is said of them must hold.
    CallersEntry {
        /// SPIFFE IDs or patterns, of which one matches the peer.
        peers: Vec<SpiffePattern>,
        /// Trust domains, of which one is the peer's.
        trust_domains: Vec<TrustDomain>,
        /// Issuers, of which one issued the principal's token.
        issuers: Vec<String>,
        /// Principals, by issuer and subject.
        subjects: Vec<SubjectEntry>,
        /// OAuth clients, of which one is the principal's.
        clients: Vec<String>,
        /// Scopes, of which the principal has one at least.
        any_scope: Vec<String>,
        /// Scopes, all of which the principal has.
        scopes: Vec<String>,
        /// Roles, of which the principal has one.
        roles: Vec<String>,
        /// Claims of the principal's token.
        claims: Vec<ClaimEntry>,
        /// Networks, of which one holds the client's address.
        networks: Vec<IpNetwork>,
        /// Whether there is a principal: `true` for some, `false` for none. Either by default.
        authenticated: Option<bool>,
        /// What else holds of them.
        when: Vec<ConditionEntry>,
        /// Callers that are not meant.
        except: Vec<CallersEntry>,
    }
}

section! {
    /// A principal.
    SubjectEntry {
        /// Who issued its token.
        issuer: String,
        /// Its name there.
        subject: String,
    }
}

section! {
    /// A claim of a token.
    ClaimEntry {
        /// The member of the token.
        name: String,
        /// Texts, of which one is its value or among its values.
        values: Vec<String>,
    }
}

section! {
    /// A set of requests: everything that is said of them must hold.
    TargetsEntry {
        /// Methods, of which one is the request's.
        methods: Vec<String>,
        /// Path patterns, such as `/orders/{id}`, of which one matches.
        paths: Vec<String>,
        /// Path patterns, of which none matches.
        except_paths: Vec<String>,
        /// gRPC services or methods.
        grpc: Vec<GrpcEntry>,
        /// Host patterns.
        hosts: Vec<String>,
        /// Ports.
        ports: Vec<u16>,
        /// What else holds of them.
        when: Vec<ConditionEntry>,
    }
}

section! {
    /// A gRPC service, or one of its methods.
    GrpcEntry {
        /// The service, such as `shop.Payments`.
        service: String,
        /// The method. All of them by default.
        method: Option<String>,
    }
}

section! {
    /// A condition on one fact: one of `fact`, `header` and `claim` says which. What has no value is
    /// none of any values.
    ConditionEntry {
        /// A fact of the request.
        fact: Option<FactWord>,
        /// The name of a header. Several lines of it are one value, with commas between.
        header: Option<String>,
        /// The names that lead to a claim of the token, such as `["realm_access", "roles"]`.
        claim: Vec<String>,
        /// Values, of which it has one. A `*` at the beginning or end stands for whatever is there,
        /// and by itself for any value.
        one_of: Vec<String>,
        /// Values, of which it has none.
        none_of: Vec<String>,
    }
}

choice! {
    /// A fact of a request.
    FactWord {
        /// The authority as the client wrote it, with its port if it wrote one.
        Authority = "authority",
        /// The OAuth client that holds the credential.
        Client = "client",
        /// The client's address, behind the proxies that are trusted: networks or addresses.
        ClientAddress = "client_address",
        /// The address that the connection was made to: networks or addresses.
        DestinationAddress = "destination_address",
        /// The port that the connection was made to.
        DestinationPort = "destination_port",
        /// The issuer of the caller's credential.
        Issuer = "issuer",
        /// The method, as it was sent.
        Method = "method",
        /// What stands behind `/ns/` in the peer's SPIFFE ID, and in front of another slash.
        Namespace = "namespace",
        /// The canonical path; also templates with `{*}` for a segment and `{**}` for any rest.
        Path = "path",
        /// The peer's SPIFFE ID without `spiffe://`.
        Peer = "peer",
        /// Issuer and subject of the caller's credential, with a slash between.
        Principal = "principal",
        /// A role of the principal.
        Role = "role",
        /// A scope of the principal.
        Scope = "scope",
        /// The name that the client asked for in the TLS handshake.
        ServerName = "server_name",
        /// Namespace and service account in the peer's SPIFFE ID, `shop/web`.
        ServiceAccount = "service_account",
        /// The far end of the connection, which may be a proxy's: networks or addresses.
        SourceAddress = "source_address",
        /// The subject of the caller's credential.
        Subject = "subject",
        /// The trust domain of the peer.
        TrustDomain = "trust_domain",
    }
}

choice! {
    /// What follows if a rule applies.
    EffectWord {
        /// The request may pass, unless another rule denies it.
        Allow = "allow",
        /// It is refused.
        Deny = "deny",
    }
}

impl RuleEntry {
    pub(crate) fn build(&self) -> Result<Rule, Problem> {
        let mut rule = match self.effect {
            EffectWord::Allow => Rule::allow(&self.name),
            EffectWord::Deny => Rule::deny(&self.name),
        };
        for callers in &self.from {
            rule = rule.from(callers.build()?);
        }
        for targets in &self.to {
            rule = rule.to(targets.build()?);
        }
        for condition in &self.when {
            rule = rule.when(condition.build()?);
        }
        if self.exact {
            rule = rule.exactly();
        }
        Ok(if self.shadow { rule.in_shadow() } else { rule })
    }
}

impl CallersEntry {
    fn build(&self) -> Result<Callers, Problem> {
        let mut callers = match self.authenticated {
            None => Callers::anybody(),
            Some(true) => Callers::authenticated(),
            Some(false) => Callers::anonymous(),
        };
        for pattern in &self.peers {
            callers = callers.or_peer(pattern.clone());
        }
        for domain in &self.trust_domains {
            callers = callers.or_trust_domain(domain.clone());
        }
        for network in &self.networks {
            callers = callers.network(*network);
        }
        for issuer in &self.issuers {
            callers = callers.issuer(issuer);
        }
        for SubjectEntry {
            issuer, subject, ..
        } in &self.subjects
        {
            callers = callers.subject(issuer, subject);
        }
        for client in &self.clients {
            callers = callers.client(client);
        }
        for scope in &self.scopes {
            callers = callers.scope(scope);
        }
        for role in &self.roles {
            callers = callers.role(role);
        }
        for ClaimEntry { name, values, .. } in &self.claims {
            callers = callers.claim(name, values.iter().map(String::as_str));
        }
        if !self.any_scope.is_empty() {
            callers = callers.any_scope(self.any_scope.iter().map(String::as_str));
        }
        for others in &self.except {
            callers = callers.except(others.build()?);
        }
        for condition in &self.when {
            callers = callers.when(condition.build()?);
        }
        Ok(callers)
    }
}

impl TargetsEntry {
    fn build(&self) -> Result<Targets, Problem> {
        let mut targets = Targets::anything();
        for method in &self.methods {
            targets = targets.or_method(method);
        }
        for path in &self.paths {
            targets = targets.path(path);
        }
        for path in &self.except_paths {
            targets = targets.except_path(path);
        }
        for GrpcEntry {
            service, method, ..
        } in &self.grpc
        {
            targets = targets.or_grpc(service, method.as_deref());
        }
        for host in &self.hosts {
            targets = targets.host(host);
        }
        for port in &self.ports {
            targets = targets.port(*port);
        }
        for condition in &self.when {
            targets = targets.when(condition.build()?);
        }
        Ok(targets)
    }
}

impl ConditionEntry {
    fn build(&self) -> Result<Condition, Problem> {
        let fact = match (self.fact, &self.header, self.claim.as_slice()) {
            (Some(word), None, []) => word.into(),
            (None, Some(name), []) => Fact::Header(name.clone()),
            (None, None, [_, ..]) => Fact::Claim(self.claim.clone()),
            _ => {
                let message = "takes one of `fact`, `header` and `claim`";
                return Err(Problem::new(self.stands.0, "rules.rule", message));
            }
        };
        Ok(Condition::on(fact)
            .one_of(self.one_of.iter().map(String::as_str))
            .none_of(self.none_of.iter().map(String::as_str)))
    }
}

impl From<FactWord> for Fact {
    fn from(word: FactWord) -> Self {
        match word {
            FactWord::Authority => Self::Authority,
            FactWord::Client => Self::Client,
            FactWord::ClientAddress => Self::ClientAddress,
            FactWord::DestinationAddress => Self::DestinationAddress,
            FactWord::DestinationPort => Self::DestinationPort,
            FactWord::Issuer => Self::Issuer,
            FactWord::Method => Self::Method,
            FactWord::Namespace => Self::Namespace,
            FactWord::Path => Self::Path,
            FactWord::Peer => Self::Peer,
            FactWord::Principal => Self::Principal,
            FactWord::Role => Self::Role,
            FactWord::Scope => Self::Scope,
            FactWord::ServerName => Self::ServerName,
            FactWord::ServiceAccount => Self::ServiceAccount,
            FactWord::SourceAddress => Self::SourceAddress,
            FactWord::Subject => Self::Subject,
            FactWord::TrustDomain => Self::TrustDomain,
        }
    }
}
