//! The file as a whole, in the order of the stack.

use std::time::Duration;

use bartizan_core::TrustedProxies;
use bartizan_jwt::ResourceMetadata;
use bartizan_mtls::Migration;
use http::HeaderName;
use http::header::{COOKIE, SEC_WEBSOCKET_PROTOCOL};

use crate::config::api_keys::ApiKeys;
use crate::config::audit::Audit;
use crate::config::encryption::Encryption;
use crate::config::entrance::{Entrance, Exempt};
use crate::config::limits::{Limit, LimitPlace, Redis, Store};
use crate::config::listener::Listener;
use crate::config::metadata::Metadata;
use crate::config::peers::{Peers, Plaintext};
use crate::config::problem::Problem;
use crate::config::requests::{Bans, Deadline, Intake, Load};
use crate::config::rules::Rules;
use crate::config::section::section;
use crate::config::setting::Url;
use crate::config::surroundings::Surroundings;
use crate::config::telemetry::Telemetry;
use crate::config::tokens::Tokens;
use crate::config::upload::Upload;
use crate::config::witness::Witness;

/// Files are not looked at more often.
const SHORTEST: Duration = Duration::from_millis(100);

section! {
    /// The stack of a service. A table that is not there leaves its place empty; without `[rules]`
    /// every request is refused.
    Root {
        /// How often this file is looked at for changes: from 100ms. `0s` never.
        reload_interval: Duration = "10s",
        /// The outside: trusted proxies and routes.
        entrance: Option<Entrance>,
        /// Where connections are taken, with mutual TLS.
        listener: Option<Listener>,
        /// The audit log, around everything.
        audit: Option<Audit>,
        /// What is told of it to whoever watches.
        telemetry: Option<Telemetry>,
        /// Routes that nothing decides about.
        exempt: Option<Exempt>,
        /// Bans.
        bans: Option<Bans>,
        /// The heads of requests.
        intake: Option<Intake>,
        /// How long requests may take.
        deadline: Option<Deadline>,
        /// How many requests are served at once.
        load: Option<Load>,
        /// How often each address may call.
        address_limit: Option<Limit>,
        /// Which workloads may call.
        peers: Option<Peers>,
        /// How often each workload may call.
        peer_limit: Option<Limit>,
        /// Whose tokens are accepted.
        tokens: Option<Tokens>,
        /// What clients are told that have no token yet.
        metadata: Option<Metadata>,
        /// Whose API keys are accepted.
        api_keys: Option<ApiKeys>,
        /// How often each principal may call.
        principal_limit: Option<Limit>,
        /// Who may call what.
        rules: Option<Rules>,
        /// Whose ledgers this service witnesses.
        witness: Option<Witness>,
        /// The bodies of requests, while they are read.
        upload: Option<Upload>,
        /// Fields of bodies, sealed and shown by scope.
        encryption: Option<Encryption>,
        /// The store that a fleet shares.
        redis: Option<Redis>,
    }
}

impl Root {
    /// The limits, each with its place.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (LimitPlace, &Limit)> {
        [
            (LimitPlace::Address, &self.address_limit),
            (LimitPlace::Peer, &self.peer_limit),
            (LimitPlace::Principal, &self.principal_limit),
        ]
        .into_iter()
        .filter_map(|(place, limit)| Some((place, limit.as_ref()?)))
    }

    /// The plaintext that is taken, if it is.
    pub(crate) fn plaintext(&self) -> Option<&Plaintext> {
        self.peers.as_ref()?.insecure_plaintext.as_ref()
    }

    /// The headers besides `Authorization` that credentials come in. They do not pass in plaintext.
    pub(crate) fn credentials(&self) -> Vec<HeaderName> {
        let tokens = self.tokens.as_ref();
        let has = |option: fn(&Tokens) -> &Option<String>| {
            tokens.is_some_and(|tokens| option(tokens).is_some())
        };
        let cookie = has(|tokens| &tokens.allow_cookie).then_some(COOKIE);
        let protocol = has(|tokens| &tokens.allow_websocket_protocol);
        let protocol = protocol.then_some(SEC_WEBSOCKET_PROTOCOL);
        let key = self.api_keys.as_ref().map(|keys| keys.header.clone());
        [key, cookie, protocol].into_iter().flatten().collect()
    }

    /// The plaintext that is taken, as a value for listener and layer.
    pub(crate) fn migration(&self) -> Result<Option<Migration>, Problem> {
        let migration = match &self.peers {
            Some(peers) => peers.migration()?,
            None => None,
        };
        Ok(migration.map(|it| it.with_credential_headers(self.credentials())))
    }

    /// The paths that are answered in place of the service.
    pub(crate) fn own_paths(&self) -> Vec<String> {
        let telemetry = self.telemetry.as_ref();
        let prometheus = telemetry.and_then(|it| it.prometheus.as_ref());
        let metrics = prometheus.and_then(|it| it.path.clone());
        let witness = self.witness.as_ref().map(Witness::calls);
        let metadata = self.metadata.as_ref().and_then(Metadata::location);
        metrics
            .into_iter()
            .chain(metadata.map(|(path, _)| path))
            .chain(witness.into_iter().flatten())
            .collect()
    }

    /// Every route that is known: those that are listed, and the paths that are answered in place of
    /// the service.
    pub(crate) fn routes(&self) -> Vec<String> {
        let entrance = self.entrance.as_ref();
        let mut routes = entrance.map_or_else(Vec::new, |it| it.routes.clone());
        for own in self.own_paths() {
            if !routes.contains(&own) {
                routes.push(own);
            }
        }
        routes
    }

    /// What clients without a token are told, if they are.
    pub(crate) fn document(
        &self,
        with: &Surroundings,
    ) -> Result<Option<ResourceMetadata>, Problem> {
        let Some(metadata) = &self.metadata else {
            return Ok(None);
        };
        let Some(tokens) = &self.tokens else {
            let message = "takes [tokens] beside it";
            return Err(Problem::new(metadata.stands.0, "metadata", message));
        };
        metadata.document(tokens, with).map(Some)
    }

    /// The tokens, with challenges that name what `[metadata]` answers.
    pub(crate) fn challenging(&self, tokens: &Tokens) -> Tokens {
        let metadata = self.metadata.as_ref().and_then(Metadata::location);
        let own = metadata.map(|(_, url)| Url(url));
        Tokens {
            resource_metadata: tokens.resource_metadata.clone().or(own),
            ..tokens.clone()
        }
    }

    pub(crate) fn proxies(&self) -> Result<TrustedProxies, Problem> {
        match &self.entrance {
            Some(entrance) => entrance.proxies(),
            None => Ok(TrustedProxies::none()),
        }
    }

    /// Everything that is wrong, as far as it is known without keys, identities and the network.
    pub(crate) fn check(&self, with: &Surroundings) -> Vec<Problem> {
        let with = &with.dry();
        let mut problems = Vec::new();
        let mut note = |checked: Result<(), Problem>| problems.extend(checked.err());
        note(self.check_intervals());
        if let Some(it) = &self.entrance {
            note(it.build(&self.own_paths(), with).map(drop));
        }
        if let Some(it) = &self.listener {
            note(it.check());
            if self.peers.is_none() {
                let message = "takes [peers] beside it: nobody is allowed who is not named there";
                note(Err(Problem::new(it.stands.0, "listener", message)));
            }
        }
        if let Some(it) = &self.audit {
            note(it.check(self.listener.is_some(), with));
            if it.privacy && self.encryption.is_none() {
                let message = "`privacy` takes [encryption], whose keys seal";
                note(Err(Problem::new(it.stands.0, "audit.privacy", message)));
            }
        }
        if let Some(it) = &self.encryption {
            note(it.check(with));
        }
        if let Some(it) = &self.telemetry {
            note(it.check());
        }
        if let Some(it) = &self.witness {
            note(it.check(with));
        }
        if let Some(it) = &self.exempt {
            note(it.check());
        }
        if let Some(it) = &self.bans {
            let built = self
                .proxies()
                .and_then(|proxies| it.build(&proxies, with, None));
            note(built.map(drop));
        }
        if let Some(it) = &self.intake {
            note(it.rules().map(drop));
        }
        if let Some(it) = &self.upload {
            note(it.build(with).map(drop));
        }
        if let Some(it) = &self.deadline {
            note(it.build(with).map(drop));
        }
        if let Some(it) = &self.load {
            note(it.build(with).map(drop));
        }
        if let Some(it) = &self.redis {
            note(it.check(with));
        }
        for (place, limit) in self.limits() {
            // What is wrong with the store is told once.
            let known = limit.store == Store::Memory || self.redis.is_none();
            let redis = self
                .redis
                .as_ref()
                .filter(|redis| redis.check(with).is_ok());
            if known || redis.is_some() {
                note(limit.build(place, redis, with).map(drop));
            }
        }
        if let Some(it) = &self.peers {
            let built = self
                .migration()
                .and_then(|end| it.build(end.as_ref(), with));
            note(built.map(drop));
        }
        if let Some(it) = &self.tokens {
            note(it.config(with, &it.remembered(None)).map(drop));
        }
        note(self.document(with).map(drop));
        if let Some(it) = &self.api_keys {
            note(it.config(with).map(drop));
        }
        if let Some(it) = &self.rules {
            note(it.check().map(drop));
        }
        problems
    }

    /// Files are looked at without end, but not without pause.
    fn check_intervals(&self) -> Result<(), Problem> {
        let listener = self.listener.as_ref();
        let rules = self.rules.as_ref();
        let own = (
            self.stands,
            Some(self.reload_interval).filter(|it| !it.is_zero()),
        );
        for (path, stands, interval) in [
            ("reload_interval", own.0, own.1),
            (
                "listener.reload_interval",
                listener.map(|it| it.stands).unwrap_or_default(),
                listener.map(|it| it.reload_interval),
            ),
            (
                "rules.reload_interval",
                rules.map(|it| it.stands).unwrap_or_default(),
                rules.map(|it| it.reload_interval),
            ),
        ] {
            if interval.is_some_and(|interval| interval < SHORTEST) {
                return Err(Problem::new(stands.0, path, "is less than 100ms"));
            }
        }
        Ok(())
    }
}
