//! Limits on Redis or Valkey.

mod address;
mod builder;
mod cluster;
mod dial;
mod link;
mod script;
mod secret;
mod sentinel;
mod slot;

use std::sync::Arc;

pub use self::builder::RedisStoreBuilder;
use self::builder::Route;
#[cfg(feature = "fuzzing")]
pub(crate) use self::cluster::read_slots;
#[cfg(feature = "fuzzing")]
pub(crate) use self::script::read_answer;
use self::script::{CHARGE, SETTLE, Script};
pub use self::secret::FleetSecret;
use crate::store::{
    Answer, Answering, Ask, Facts, Keep, RemoteReceipt, Settle, Source, Store, StoreError, Subject,
};

/// Limits that a fleet shares through Redis (from 6.2) or Valkey: one server, a primary that
/// Sentinel watches, or a cluster.
///
/// * Keys are hashes under the [`FleetSecret`]; what requests are counted by is not sent. All
///   policies of a subject share a hash tag, and therefore a slot: one script charges all or none,
///   by the server's clock, with the same arithmetic as in memory.
/// * Layers that count by keys of the same kind share policies of the same name. Keys that closures
///   make are of one kind: name their policies apart, or give their stores different namespaces.
/// * A value lives until its caller has won everything back. It takes some 150 bytes of the server.
///   Set `maxmemory-policy` to `noeviction` or `volatile-ttl`: the others free offenders.
/// * A command is sent once. What went unanswered may have been charged and is not sent again; only
///   a server that says it has not run a script (`NOSCRIPT`, `MOVED`, `ASK`) is asked again.
/// * Replicas follow with a delay: a failover forgets what they had not heard of, and callers get
///   those cells again. A server's clock that is put forward gives what that time would have
///   given.
/// * The user needs the commands `EVAL`, `EVALSHA`, `MGET`, `GET`, `SET`, `DEL`, `TIME` and `PING`
///   on the keys `bartizan:*`; `ROLE` with Sentinel, `CLUSTER SLOTS` and `ASKING` with a cluster.
///
/// ```
/// use bartizan_ratelimit::{FleetSecret, Limiter, Policy, Rate, RedisStore, Sharing};
///
/// # fn limiter() -> Result<bartizan_ratelimit::SharedLimiter, bartizan_ratelimit::ConfigError> {
/// // The same 32 bytes in every instance, from wherever secrets come from.
/// let secret = FleetSecret::new(*b"thirty-two bytes of real secrets")?;
/// let store = RedisStore::at("redis.internal:6379", secret)
///     .with_credentials("limiter", "password")
///     .build()?;
/// let limiter = Limiter::builder()
///     .add_policy(Policy::new("burst", Rate::per_second(1_000)))
///     .build_shared(store, Sharing::among(4))?;
/// # Ok(limiter)
/// # }
/// # assert!(limiter().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct RedisStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    secret: FleetSecret,
    namespace: String,
    route: Route,
}

impl RedisStore {
    /// One server, as `host:port`.
    pub fn at(address: impl Into<String>, secret: FleetSecret) -> RedisStoreBuilder {
        RedisStoreBuilder::new(vec![address.into()], builder::Kind::One, secret)
    }

    /// A cluster, known by some of its nodes as `host:port`.
    pub fn cluster<A: Into<String>>(
        seeds: impl IntoIterator<Item = A>,
        secret: FleetSecret,
    ) -> RedisStoreBuilder {
        let seeds = seeds.into_iter().map(A::into).collect();
        RedisStoreBuilder::new(seeds, builder::Kind::Cluster, secret)
    }

    /// The primary that these sentinels (as `host:port`) know by this name.
    pub fn sentinel<A: Into<String>>(
        primary: impl Into<String>,
        sentinels: impl IntoIterator<Item = A>,
        secret: FleetSecret,
    ) -> RedisStoreBuilder {
        let sentinels = sentinels.into_iter().map(A::into).collect();
        RedisStoreBuilder::new(sentinels, builder::Kind::Sentinel(primary.into()), secret)
    }

    async fn run(
        &self,
        subject: &Subject,
        script: &'static Script,
        names: impl Iterator<Item = &str>,
        arguments: &[i64],
    ) -> Result<redis::Value, StoreError> {
        let foreign = || StoreError::Refused("not a subject of this store".into());
        let hidden = subject.hidden().ok_or_else(foreign)?;
        let namespace = &self.0.namespace;
        let keys: Vec<String> = names
            .map(|name| format!("{namespace}:{{{hidden}}}:{name}"))
            .collect();
        match &self.0.route {
            Route::Cluster(cluster) => {
                let slot = slot::of(hidden.as_bytes());
                cluster.run(slot, script, &keys, arguments).await
            }
            Route::One(link) => script.run(link, &keys, arguments).await.map_err(|failed| {
                link.mind(&failed);
                failed.into_error()
            }),
        }
    }
}

impl From<RedisStore> for Store {
    fn from(store: RedisStore) -> Self {
        Self(Arc::new(store))
    }
}

impl Keep for RedisStore {
    fn source(&self) -> Source {
        Source::Redis
    }

    fn can_lease(&self) -> bool {
        true
    }

    fn subject(&self, facts: &dyn Facts) -> Subject {
        Subject::Hidden(self.0.secret.hide(facts))
    }

    fn charge<'a>(&'a self, ask: &'a Ask) -> Answering<'a, Answer> {
        Box::pin(async move {
            let arguments = script::charge_arguments(ask);
            let names = ask.charges.iter().map(|charge| &*charge.name);
            let reply = self.run(&ask.subject, &CHARGE, names, &arguments).await?;
            script::read_answer(ask, &reply)
        })
    }

    fn settle<'a>(&'a self, settlement: &'a Settle) -> Answering<'a, ()> {
        Box::pin(async move {
            let arguments = script::settle_arguments(settlement);
            let charges = settlement.charges.iter();
            let names = charges.map(|(charge, _): &(_, RemoteReceipt)| &*charge.name);
            let reply = self.run(&settlement.subject, &SETTLE, names, &arguments);
            reply.await.map(drop)
        })
    }

    fn probe(&self) -> Answering<'_, ()> {
        Box::pin(async move {
            match &self.0.route {
                Route::Cluster(cluster) => cluster.probe().await,
                Route::One(link) => link.probe().await,
            }
        })
    }
}
