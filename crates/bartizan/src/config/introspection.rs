//! `[tokens.issuer.introspection]`: how opaque tokens are asked about.

use std::path::PathBuf;
use std::time::Duration;

use bartizan_jwt::{Algorithm, ClientAuthentication, ClientKey, Introspection, Rules};

use crate::config::issuer::{AlgorithmWord, Fetch, read_roots};
use crate::config::problem::Problem;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::setting::{Url, choice};
use crate::config::surroundings::Surroundings;

section! {
    /// How opaque tokens are asked about.
    IntrospectionEntry {
        /// The issuer's introspection endpoint.
        url: Url,
        /// Asks about every token, whatever it looks like, and verifies none here.
        every_token: bool = "false",
        /// The name of this service as a client.
        client_id: String,
        /// How this service authenticates.
        authentication: ClientMethod = "basic",
        /// The client's secret, with `basic` and `post`.
        secret: Option<Secret>,
        /// The client's private key (PKCS #8 in PEM), with `private_key_jwt`.
        key: Option<Secret>,
        /// How the key signs, with `private_key_jwt`.
        key_algorithm: Option<AlgorithmWord>,
        /// The name of the key, with `private_key_jwt`.
        key_id: Option<String>,
        /// The audience of assertions, with `private_key_jwt`. The endpoint by default.
        assertion_audience: Option<String>,
        /// The certificate authorities (PEM) of the endpoint's host. Those of the public web by
        /// default.
        roots: Option<PathBuf>,
        /// The limits of asking.
        fetch: Option<Fetch>,
        /// Accepts answers that name no issuer.
        allow_missing_issuer: bool = "false",
        /// Accepts answers that name no audience.
        allow_missing_audience: bool = "false",
        /// How many tokens that hold are remembered: 1 to 1048576.
        cached_tokens: usize = "16384",
        /// How long what a token stands for is remembered: 1s to 300s.
        cache_lifetime: Duration = "60s",
        /// How long it is remembered that a token does not hold: up to 60s.
        refusal_lifetime: Duration = "10s",
        /// How many tokens are asked about at a time: 1 to 65536.
        concurrent_requests: usize = "64",
    }
}

choice! {
    /// How this service authenticates with an authorization server.
    ClientMethod {
        /// A secret in the `Authorization` field.
        Basic = "basic",
        /// A secret in the form.
        Post = "post",
        /// A signed assertion.
        PrivateKeyJwt = "private_key_jwt",
    }
}

impl IntrospectionEntry {
    /// How answers about tokens that must fulfil these rules are had.
    pub(crate) fn build(
        &self,
        rules: Rules,
        with: &Surroundings,
    ) -> Result<Introspection, Problem> {
        let path = "tokens.issuer.introspection";
        let authentication = self.authentication()?;
        let mut settings = Introspection::builder(rules, &self.url.0, authentication)
            .with_cached_tokens(self.cached_tokens)
            .with_cache_lifetime(self.cache_lifetime)
            .with_refusal_lifetime(self.refusal_lifetime)
            .with_concurrent_requests(self.concurrent_requests);
        let roots = match &self.roots {
            Some(file) => Some(read_roots(file, with).map_err(|message| self.wrong(&message))?),
            None => None,
        };
        settings = match (&self.fetch, roots) {
            (Some(fetch), roots) => {
                let path = "tokens.issuer.introspection.fetch";
                settings.with_fetcher(fetch.fetcher(path, Some(&self.url), roots)?)
            }
            (None, Some(roots)) => settings.with_roots(roots),
            (None, None) => settings,
        };
        if self.allow_missing_issuer {
            settings = settings.allow_missing_issuer();
        }
        if self.allow_missing_audience {
            settings = settings.allow_missing_audience();
        }
        settings.build().map_err(|error| self.refuse(path, &error))
    }

    fn authentication(&self) -> Result<ClientAuthentication, Problem> {
        let (client, method) = (&self.client_id, self.authentication);
        if method != ClientMethod::PrivateKeyJwt {
            let secret = self.secret.as_ref().and_then(Secret::expose_text);
            let Some(secret) = secret.filter(|_| self.key.is_none()) else {
                return Err(self.wrong("takes a `secret`, a text, and no `key`"));
            };
            return Ok(match method {
                ClientMethod::Post => ClientAuthentication::post(client, secret),
                _ => ClientAuthentication::basic(client, secret),
            });
        }
        let key = self.key.as_ref().and_then(Secret::expose_text);
        let algorithm = self.key_algorithm.map(AlgorithmWord::word);
        let algorithm = algorithm.and_then(Algorithm::from_name);
        let (Some(key), Some(algorithm), None) = (key, algorithm, &self.secret) else {
            return Err(self.wrong("takes `key` and `key_algorithm`, and no `secret`"));
        };
        let key = ClientKey::from_pem(key, algorithm);
        let path = "tokens.issuer.introspection.key";
        let mut key = key.map_err(|error| self.refuse(path, &error))?;
        if let Some(key_id) = &self.key_id {
            key = key.with_key_id(key_id);
        }
        Ok(match &self.assertion_audience {
            Some(audience) => ClientAuthentication::private_key_jwt_for(client, key, audience),
            None => ClientAuthentication::private_key_jwt(client, key),
        })
    }

    fn wrong(&self, message: &str) -> Problem {
        Problem::new(self.stands.0, "tokens.issuer.introspection", message)
    }
}
