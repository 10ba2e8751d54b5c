//! `[redis]`: the store that a fleet shares.

use bartizan_ratelimit::RateLimitConfigBuilder;

use crate::config::limits::Redis;
use crate::config::problem::Problem;
use crate::config::surroundings::Surroundings;

#[cfg(not(feature = "redis"))]
impl Redis {
    pub(crate) fn share(
        &self,
        _: RateLimitConfigBuilder,
        _: &Surroundings,
    ) -> Result<RateLimitConfigBuilder, Problem> {
        Err(self.lacks())
    }

    /// Is there a store at all?
    pub(crate) fn check(&self, _: &Surroundings) -> Result<(), Problem> {
        Err(self.lacks())
    }

    fn lacks(&self) -> Problem {
        Problem::lacking(self.stands.0, "redis", "redis")
    }
}

#[cfg(feature = "redis")]
mod built {
    use bartizan_ratelimit::{FleetSecret, RedisStore, RedisStoreBuilder, Sharing};

    use super::{Problem, RateLimitConfigBuilder, Redis, Surroundings};
    use crate::config::limits::RedisKind;
    use crate::config::secret::Secret;

    impl Redis {
        pub(crate) fn share(
            &self,
            config: RateLimitConfigBuilder,
            with: &Surroundings,
        ) -> Result<RateLimitConfigBuilder, Problem> {
            Ok(config.with_store(self.store(with)?, self.sharing()))
        }

        pub(crate) fn sharing(&self) -> Sharing {
            Sharing::among(self.instances)
                .with_deadline(self.deadline)
                .with_largest_lease(self.largest_lease)
                .with_leases(self.leases)
        }

        pub(crate) fn check(&self, with: &Surroundings) -> Result<(), Problem> {
            self.store(with).map(drop)
        }

        fn store(&self, with: &Surroundings) -> Result<RedisStore, Problem> {
            let secret = FleetSecret::new(self.secret.expose());
            let secret = secret.map_err(|error| self.refuse("redis.secret", &error))?;
            let addresses = self.addresses.clone();
            if self.tls_roots.is_none() && !self.insecure_plaintext && !self.is_loopback() {
                let message = "servers elsewhere are spoken to by TLS: set `tls_roots`, or \
                               `insecure_plaintext`";
                return Err(self.wrong("redis", message));
            }
            let store = match (self.kind, &self.primary, addresses.as_slice()) {
                (RedisKind::Cluster, None, _) => RedisStore::cluster(addresses, secret),
                (RedisKind::Sentinel, Some(primary), _) => {
                    RedisStore::sentinel(primary.clone(), addresses, secret)
                }
                (RedisKind::Sentinel, None, _) => {
                    return Err(self.wrong("redis.primary", "sentinels take a `primary`"));
                }
                (_, Some(_), _) => {
                    return Err(self.wrong("redis.primary", "is for sentinels"));
                }
                (RedisKind::Server, None, [address]) => RedisStore::at(address.clone(), secret),
                (RedisKind::Server, None, _) => {
                    return Err(self.wrong("redis.addresses", "one server has one address"));
                }
            };
            let store = self.log_in(store)?;
            let store = match &self.tls_roots {
                Some(path) => {
                    let pem = with.read(path);
                    let pem = pem.map_err(|message| self.wrong("redis.tls_roots", &message))?;
                    store.with_tls_roots(pem.to_vec())
                }
                None => store,
            };
            store
                .with_namespace(self.namespace.clone())
                .with_database(self.database)
                .with_connect_deadline(self.connect_deadline)
                .build()
                .map_err(|error| self.refuse("redis", &error))
        }

        fn log_in(&self, mut store: RedisStoreBuilder) -> Result<RedisStoreBuilder, Problem> {
            let text = |secret: &Secret, path: &str| {
                let text = secret.expose_text().map(str::to_owned);
                text.ok_or_else(|| self.wrong(path, "is no text"))
            };
            store = match (&self.user, &self.password) {
                (Some(user), Some(password)) => {
                    store.with_credentials(user.clone(), text(password, "redis.password")?)
                }
                (None, Some(password)) => store.with_password(text(password, "redis.password")?),
                (Some(_), None) => return Err(self.wrong("redis.user", "has no password")),
                (None, None) => store,
            };
            match (&self.sentinel_user, &self.sentinel_password) {
                (Some(user), Some(password)) => {
                    let password = text(password, "redis.sentinel_password")?;
                    Ok(store.with_sentinel_credentials(user.clone(), password))
                }
                (None, None) => Ok(store),
                _ => Err(self.wrong("redis", "sentinels take user and password")),
            }
        }

        fn is_loopback(&self) -> bool {
            self.addresses.iter().all(|address| {
                let host = address.rsplit_once(':').map_or("", |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let address = host.parse::<std::net::IpAddr>();
                host == "localhost" || address.is_ok_and(|address| address.is_loopback())
            })
        }

        fn wrong(&self, path: &str, message: &str) -> Problem {
            Problem::new(self.stands.0, path, message)
        }
    }
}
