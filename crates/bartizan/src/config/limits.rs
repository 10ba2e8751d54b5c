//! `[address_limit]`, `[peer_limit]`, `[principal_limit]` and `[redis]`: how often.

use std::path::PathBuf;
use std::time::Duration;

use bartizan_ratelimit::{
    Fields, Key, MissingKey, Policy, Rate, RateLimitConfig, RateLimitLayer, Settlement,
};

use crate::config::counted::CountedBy;
use crate::config::problem::Problem;
use crate::config::requests::is_at;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::setting::{Mode, choice};
use crate::config::surroundings::Surroundings;

section! {
    /// Limits how often each caller may call. A request must satisfy every policy.
    Limit {
        /// What requests are counted by, one or several joined by ` + `: `address`, `address/24/56`
        /// (bits of IPv4 and IPv6), `peer`, `trust_domain`, `subject`, `client`, `issuer`,
        /// `api_key`, `template`, `grpc_method`, `everybody`, or `header:NAME` of a header that a
        /// trusted proxy sets. By default `address` in `[address_limit]`, `peer` in
        /// `[peer_limit]` and `subject` in `[principal_limit]`. What is not proven yet where the
        /// limit stands is refused.
        by: Option<CountedBy>,
        /// The policies: 1 to 8. Put the one that refuses most first.
        policy: Vec<LimitPolicy>,
        /// What requests to some routes cost. Others cost one.
        route: Vec<LimitRoute>,
        /// What becomes of requests that lack what they would be counted by.
        missing_key: Missing = "refuse",
        /// Which fields responses carry besides `Retry-After`.
        fields: Shows = "none",
        /// How many requests more an answer 401 costs: in `[address_limit]`, a failed
        /// authentication further in charges the address.
        charge_unauthenticated: u64 = "0",
        /// Gives the charge back if the answer is 503.
        refund_unavailable: bool = "false",
        /// Where is counted: in this instance, or in the store of `[redis]` for a whole fleet.
        store: Store = "memory",
        /// Reads the kernel's coarse clock, which is five times as fast and up to 4ms behind. On
        /// Linux; build with the feature `coarse-clock`.
        coarse_clock: bool = "false",
        /// Whether refusals reach the client. In shadow everything is counted and recorded.
        mode: Mode = "enforce",
    }
}

section! {
    /// A named limit.
    LimitPolicy {
        /// Its name, 1 to 64 visible ASCII characters or spaces: in decisions, metrics and fields.
        name: String,
        /// How much is allowed, such as `50/s burst 200` or `1000/h`.
        rate: Rate,
        /// How many keys are remembered at once, at 18.3 bytes each.
        keys: usize = "65536",
        /// How many new keys are taken in while the memory is full. Without it, the key that has
        /// spent least makes room.
        newcomers: Option<Rate>,
        /// Counts and records, and refuses nobody.
        shadow: bool = "false",
        /// What holds while the store does not answer.
        fallback: Without = "local",
        /// Applies to principals with this scope alone: for plans. Requests to which no policy
        /// applies are refused.
        scope: Option<String>,
    }
}

section! {
    /// What requests to some routes cost.
    LimitRoute {
        /// Route templates, as `entrance.routes` has them, or gRPC methods.
        templates: Vec<String>,
        /// How many requests each of them counts as. With 0, it is refused to those alone who owe.
        cost: u64,
    }
}

section! {
    /// Redis or Valkey, where a fleet shares its limits. Build with the feature `redis`.
    Redis {
        /// What stands at the addresses.
        kind: RedisKind = "server",
        /// Servers as `host:port`: one, some of a cluster's nodes, or the sentinels.
        addresses: Vec<String>,
        /// The name under which sentinels know the primary.
        primary: Option<String>,
        /// At least 32 random bytes that all instances know and nobody else: keys are hashed
        /// under it.
        secret: Secret,
        /// The user to log in as.
        user: Option<String>,
        /// The password of the user, or of the server if there is no user.
        password: Option<Secret>,
        /// The user to log in with sentinels as.
        sentinel_user: Option<String>,
        /// The password of that user.
        sentinel_password: Option<Secret>,
        /// The certificate authorities (PEM) that vouch for the servers. With them TLS is spoken.
        tls_roots: Option<PathBuf>,
        /// Speaks without TLS to servers that are not on loopback: whoever is on the way can read
        /// the password and change what is counted.
        insecure_plaintext: bool = "false",
        /// What the server's keys begin with.
        namespace: String = "bartizan",
        /// The number of the database.
        database: u16 = "0",
        /// How long it may take to connect: 10ms to 60s.
        connect_deadline: Duration = "1s",
        /// How many instances share the limits, about.
        instances: u32,
        /// How long a request waits for the store: up to 10s.
        deadline: Duration = "20ms",
        /// How many requests of one caller are charged ahead at most; 0 asks for each.
        largest_lease: u64 = "1000",
        /// For how many callers requests are charged ahead at once.
        leases: usize = "65536",
    }
}

choice! {
    /// What becomes of requests without a key.
    Missing {
        /// They pass uncounted: beside another limit for the rest.
        Pass = "pass",
        /// They are refused.
        Refuse = "refuse",
        /// They share one key.
        Share = "share",
    }
}

choice! {
    /// Fields of responses.
    Shows {
        /// Both kinds.
        Both = "both",
        /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
        Legacy = "legacy",
        /// None.
        None = "none",
        /// `RateLimit` and `RateLimit-Policy`.
        Standard = "standard",
    }
}

choice! {
    /// Where is counted.
    Store {
        /// In this instance.
        Memory = "memory",
        /// In the store of `[redis]`.
        Redis = "redis",
    }
}

choice! {
    /// What holds without the store.
    Without {
        /// Requests are refused.
        Closed = "closed",
        /// Each instance grants its share.
        Local = "local",
        /// Nobody is refused.
        Open = "open",
    }
}

choice! {
    /// What stands at the addresses.
    RedisKind {
        /// A cluster, known by some of its nodes.
        Cluster = "cluster",
        /// Sentinels that know the primary.
        Sentinel = "sentinel",
        /// One server.
        Server = "server",
    }
}

/// The most keys that a policy remembers, as the crate has it.
const MOST_KEYS: usize = 1 << 32;

/// The place of a limit in the stack.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum LimitPlace {
    Address,
    Peer,
    Principal,
}

impl LimitPlace {
    pub(crate) fn section(self) -> &'static str {
        match self {
            Self::Address => "address_limit",
            Self::Peer => "peer_limit",
            Self::Principal => "principal_limit",
        }
    }

    fn usual(self) -> Key {
        match self {
            Self::Address => Key::address(),
            Self::Peer => Key::peer(),
            Self::Principal => Key::subject(),
        }
    }
}

impl Limit {
    fn key(&self, place: LimitPlace) -> Result<Key, Problem> {
        let Some(by) = &self.by else {
            return Ok(place.usual());
        };
        let path = format!("{}.by", place.section());
        if let Some(word) = by.not_proven_at(place) {
            let message = format!("{word:?} is not proven yet where this limit stands");
            return Err(Problem::new(self.stands.0, path, message));
        }
        by.key().map_err(|error| self.refuse(&path, &error))
    }

    /// Whether this and another limit in memory are the same but for the rates of policies.
    pub(crate) fn differs_in_rates_alone(&self, other: &Self) -> bool {
        let mut same = self.clone();
        for (policy, other) in same.policy.iter_mut().zip(&other.policy) {
            policy.rate = other.rate;
        }
        same == *other && self.store == Store::Memory
    }

    /// The layer, for its place.
    pub(crate) fn build(
        &self,
        place: LimitPlace,
        redis: Option<&Redis>,
        with: &Surroundings,
    ) -> Result<RateLimitLayer, Problem> {
        let section = place.section();
        let mut config = RateLimitConfig::builder(self.key(place)?)
            .with_missing_key(match self.missing_key {
                Missing::Pass => MissingKey::Pass,
                Missing::Refuse => MissingKey::Refuse,
                Missing::Share => MissingKey::Share,
            })
            .with_fields(match self.fields {
                Shows::Both => Fields::Both,
                Shows::Legacy => Fields::Legacy,
                Shows::None => Fields::None,
                Shows::Standard => Fields::Standard,
            })
            .with_enforcement(self.mode.into())
            .with_clock(with.clock.clone());
        if let Some(observer) = with.observer() {
            config = config.with_observer(observer);
        }
        for policy in &self.policy {
            config = match policy.scope.clone() {
                Some(scope) if place == LimitPlace::Principal => {
                    config.add_policy_if(policy.build(with), move |inspection| {
                        let principal = inspection.context.principal();
                        principal.is_some_and(|principal| principal.has_scope(&scope))
                    })
                }
                Some(_) => {
                    let message = "scopes are proven from [principal_limit] on";
                    let path = format!("{section}.policy");
                    return Err(Problem::new(policy.stands.0, path, message));
                }
                None => config.add_policy(policy.build(with)),
            };
        }
        let (charge, refund) = (self.charge_unauthenticated, self.refund_unavailable);
        if charge > 0 || refund {
            config = config.with_settlement(move |response| match response.status.as_u16() {
                401 if charge > 0 => Settlement::Charge(charge),
                503 if refund => Settlement::Refund,
                _ => Settlement::Keep,
            });
        }
        if !self.route.is_empty() {
            let routes = self.route.clone();
            config = config.with_cost(move |inspection| {
                let route = routes.iter().find(|it| is_at(&it.templates, inspection));
                route.map_or(1, |route| route.cost)
            });
        }
        if self.coarse_clock {
            config = self.read_coarsely(config, section)?;
        }
        if self.store == Store::Redis {
            let Some(redis) = redis else {
                let message = "counts in redis, and there is no [redis]";
                return Err(Problem::new(
                    self.stands.0,
                    format!("{section}.store"),
                    message,
                ));
            };
            config = redis.share(config, with)?;
        }
        let config = config.build();
        let config = config.map_err(|error| self.refuse(section, &error))?;
        Ok(RateLimitLayer::new(config))
    }

    #[cfg(all(feature = "coarse-clock", target_os = "linux"))]
    #[expect(clippy::unnecessary_wraps, reason = "other builds have no such clock")]
    fn read_coarsely(&self, config: Building, _: &str) -> Result<Building, Problem> {
        Ok(config.with_coarse_clock())
    }

    #[cfg(not(all(feature = "coarse-clock", target_os = "linux")))]
    fn read_coarsely(&self, _: Building, section: &str) -> Result<Building, Problem> {
        let path = format!("{section}.coarse_clock");
        Err(match cfg!(target_os = "linux") {
            true => Problem::lacking(self.stands.0, path, "coarse-clock"),
            false => Problem::new(self.stands.0, path, "is for Linux"),
        })
    }
}

type Building = bartizan_ratelimit::RateLimitConfigBuilder;

impl LimitPolicy {
    pub(crate) fn build(&self, with: &Surroundings) -> Policy {
        // A number that is refused is refused dry as well.
        let keys = match self.keys {
            1..=MOST_KEYS if with.dry => 1,
            keys => keys,
        };
        let mut policy = Policy::new(self.name.clone(), self.rate).with_keys(keys);
        if let Some(rate) = self.newcomers {
            policy = policy.with_newcomers(rate);
        }
        if self.shadow {
            policy = policy.in_shadow();
        }
        #[cfg(feature = "redis")]
        let policy = policy.with_fallback(match self.fallback {
            Without::Closed => bartizan_ratelimit::Fallback::Closed,
            Without::Local => bartizan_ratelimit::Fallback::Local,
            Without::Open => bartizan_ratelimit::Fallback::Open,
        });
        policy
    }
}
