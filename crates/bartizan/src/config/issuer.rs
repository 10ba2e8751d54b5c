//! `[[tokens.issuer]]`: one issuer, its keys, and how its opaque tokens are asked about.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_core::TrustDomain;
use bartizan_jwt::{
    Algorithm, AlgorithmSet, HttpsFetcher, JwtConfig, JwtConfigBuilder, KeySet, Roots, Rules,
    SharedSecret,
};
use bartizan_source::HttpsFetcherBuilder;

use crate::config::introspection::IntrospectionEntry;
use crate::config::problem::Problem;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::setting::{Size, Url, choice};
use crate::config::surroundings::Surroundings;

section! {
    /// An issuer, what its tokens must fulfil, and where its keys are. The default is the access
    /// token of RFC 9068; each `allow_` gives up one check. Keys are found by the issuer's discovery
    /// document unless said otherwise.
    TokenIssuer {
        /// The issuer's identifier, letter by letter as `iss` has it. Or `trust_domain`.
        issuer: Option<Url>,
        /// Accepts JWT-SVIDs of this trust domain, in place of an issuer's tokens.
        trust_domain: Option<TrustDomain>,
        /// For whom tokens may be meant: the identifiers of this service; one at least.
        audiences: Vec<String>,
        /// How tokens may be signed. Every algorithm of public keys by default; those of secrets
        /// have to be named, and cannot stand beside others.
        algorithms: Vec<AlgorithmWord>,
        /// How far clocks may differ: up to 300s.
        leeway: Duration = "30s",
        /// The longest token that is looked at: 256B to 64KiB.
        max_token: Size = "8KiB",
        /// How long a token may be valid in all. Any time by default.
        max_lifetime: Option<Duration>,
        /// Accepts these `typ` besides `at+jwt`, such as `JWT`.
        allow_types: Vec<String>,
        /// Accepts tokens without `typ`.
        allow_missing_type: bool = "false",
        /// Accepts tokens without `iat`.
        allow_missing_issued_at: bool = "false",
        /// Accepts tokens without `jti`, which cannot be revoked one by one.
        allow_missing_token_id: bool = "false",
        /// Accepts tokens without `client_id`.
        allow_missing_client: bool = "false",
        /// Accepts tokens of these clients alone. Of every client by default.
        clients: Vec<String>,
        /// Reads the keys from this file (a JWK set), again when it changes. Fetches none.
        key_file: Option<PathBuf>,
        /// Fetches the keys from this URL, for issuers without a discovery document.
        key_location: Option<Url>,
        /// Secrets that the issuer shares with this service, for HS256, HS384 and HS512.
        secret: Vec<SecretEntry>,
        /// How long fetched keys count as fresh: 1s to 24h.
        key_lifetime: Duration = "10min",
        /// How long keys are used while newer ones cannot be fetched.
        stale_limit: Duration = "1d",
        /// How long after a fetch for an unknown key the next such fetch may begin.
        cool_down: Duration = "30s",
        /// The certificate authorities (PEM) of the issuer's host. Those of the public web by
        /// default.
        roots: Option<PathBuf>,
        /// The limits of fetching keys.
        fetch: Option<Fetch>,
        /// Asks about opaque tokens at the issuer (RFC 7662).
        introspection: Option<IntrospectionEntry>,
    }
}

section! {
    /// A secret that an issuer and this service share.
    SecretEntry {
        /// What it is for: HS256, HS384 or HS512.
        algorithm: AlgorithmWord,
        /// Random bytes, at least as many as the hash has.
        secret: Secret,
        /// The name that tokens call it by.
        key_id: Option<String>,
    }
}

section! {
    /// The limits of fetching.
    Fetch {
        /// How long one fetch may take in all.
        deadline: Duration = "5s",
        /// How long name lookup, TCP and TLS may take together.
        connect_timeout: Duration = "2s",
        /// How many bytes an answer may have.
        body_limit: Size = "512KiB",
    }
}

choice! {
    /// How tokens are signed.
    AlgorithmWord {
        /// Ed25519.
        EdDsa = "EdDSA",
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// ECDSA on P-384.
        Es384 = "ES384",
        /// A shared secret, SHA-256.
        Hs256 = "HS256",
        /// A shared secret, SHA-384.
        Hs384 = "HS384",
        /// A shared secret, SHA-512.
        Hs512 = "HS512",
        /// RSA-PSS, SHA-256.
        Ps256 = "PS256",
        /// RSA-PSS, SHA-384.
        Ps384 = "PS384",
        /// RSA-PSS, SHA-512.
        Ps512 = "PS512",
        /// RSA PKCS #1, SHA-256.
        Rs256 = "RS256",
        /// RSA PKCS #1, SHA-384.
        Rs384 = "RS384",
        /// RSA PKCS #1, SHA-512.
        Rs512 = "RS512",
    }
}

/// The algorithms, unless none is named.
pub(crate) fn algorithms(words: &[AlgorithmWord]) -> Option<AlgorithmSet> {
    let named = words
        .iter()
        .filter_map(|it| Algorithm::from_name(it.word()));
    (!words.is_empty()).then(|| named.collect::<AlgorithmSet>())
}

impl TokenIssuer {
    pub(crate) fn rules(&self) -> Result<Rules, Problem> {
        let Some((first, others)) = self.audiences.split_first() else {
            return Err(self.wrong("takes one of `audiences` at least"));
        };
        let mut rules = match (&self.issuer, &self.trust_domain) {
            (Some(Url(issuer)), None) => Rules::builder(issuer, first),
            (None, Some(domain)) => Rules::svid(domain, first),
            _ => return Err(self.wrong("takes one of `issuer` and `trust_domain`")),
        };
        rules = rules
            .with_leeway(self.leeway)
            .with_max_token_bytes(self.max_token.bytes());
        for audience in others {
            rules = rules.add_audience(audience);
        }
        if let Some(algorithms) = algorithms(&self.algorithms) {
            rules = rules.with_algorithms(algorithms);
        }
        if let Some(lifetime) = self.max_lifetime {
            rules = rules.require_max_lifetime(lifetime);
        }
        for token_type in &self.allow_types {
            rules = rules.allow_type(token_type);
        }
        for client in &self.clients {
            rules = rules.require_client(client);
        }
        if self.allow_missing_type {
            rules = rules.allow_missing_type();
        }
        if self.allow_missing_issued_at {
            rules = rules.allow_missing_issued_at();
        }
        if self.allow_missing_token_id {
            rules = rules.allow_missing_token_id();
        }
        if self.allow_missing_client {
            rules = rules.allow_missing_client();
        }
        rules.build().map_err(|error| self.refused(&error))
    }

    /// The configuration of which this issuer is the first.
    pub(crate) fn begin(&self, with: &Surroundings) -> Result<JwtConfigBuilder, Problem> {
        let Some(entry) = &self.introspection else {
            return self.keys(JwtConfig::builder(self.rules()?), with);
        };
        let introspection = entry.build(self.rules()?, with)?;
        if entry.every_token {
            return Ok(JwtConfig::introspecting(introspection));
        }
        let config = self.keys(JwtConfig::builder(self.rules()?), with)?;
        Ok(config.with_introspection(introspection))
    }

    /// Where the keys are.
    pub(crate) fn keys(
        &self,
        config: JwtConfigBuilder,
        with: &Surroundings,
    ) -> Result<JwtConfigBuilder, Problem> {
        let mut config = config
            .with_key_lifetime(self.key_lifetime)
            .with_stale_limit(self.stale_limit)
            .with_cool_down(self.cool_down)
            .with_clock(with.clock.clone());
        if let Some(observer) = with.observer() {
            config = config.with_observer(observer);
        }
        let ways = [
            self.key_file.is_some(),
            self.key_location.is_some(),
            !self.secret.is_empty(),
        ];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err(self.wrong("takes one of `key_file`, `key_location` and `secret`"));
        }
        if let Some(path) = &self.key_file {
            return Ok(config.with_key_file(path));
        }
        if !self.secret.is_empty() {
            let secrets = self.secret.iter().map(SecretEntry::build);
            let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
            return Ok(config.with_keys(KeySet::from_secrets(secrets)));
        }
        if let Some(Url(location)) = &self.key_location {
            config = config.with_key_location(location);
        }
        let roots = match &self.roots {
            Some(path) => Some(read_roots(path, with).map_err(|message| self.wrong(&message))?),
            None => None,
        };
        Ok(match (&self.fetch, roots) {
            (Some(fetch), roots) => {
                let entry = self.key_location.as_ref().or(self.issuer.as_ref());
                config.with_fetcher(fetch.fetcher("tokens.issuer.fetch", entry, roots)?)
            }
            (None, Some(roots)) => config.with_roots(roots),
            (None, None) => config,
        })
    }

    /// Reads the key file once.
    pub(crate) fn check_file(&self, with: &Surroundings) -> Result<(), Problem> {
        let Some(path) = &self.key_file else {
            return Ok(());
        };
        let wrong = |message: String| {
            let message = format!("{}: {message}", path.display());
            Problem::new(self.stands.0, "tokens.issuer.key_file", message)
        };
        let bytes = with.read(path);
        let bytes = bytes
            .map_err(|message| Problem::new(self.stands.0, "tokens.issuer.key_file", message))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| wrong(error.to_string()))?;
        let keys = match self.trust_domain {
            Some(_) => KeySet::from_spiffe_bundle(text),
            None => KeySet::from_json(text),
        };
        keys.map(drop).map_err(|error| wrong(error.to_string()))
    }

    fn refused(&self, error: &dyn std::error::Error) -> Problem {
        self.refuse("tokens.issuer", error)
    }

    fn wrong(&self, message: &str) -> Problem {
        Problem::new(self.stands.0, "tokens.issuer", message)
    }
}

impl Fetch {
    pub(crate) fn builder(&self) -> HttpsFetcherBuilder {
        HttpsFetcher::builder()
            .with_deadline(self.deadline)
            .with_connect_timeout(self.connect_timeout)
            .with_body_limit(self.body_limit.bytes())
    }

    /// What fetches from this URL.
    pub(crate) fn fetcher(
        &self,
        path: &str,
        from: Option<&Url>,
        roots: Option<Roots>,
    ) -> Result<HttpsFetcher, Problem> {
        let mut fetcher = self.builder();
        if let Some(roots) = roots {
            fetcher = fetcher.with_roots(roots);
        }
        // Checked where it is used: to loopback alone.
        if from.is_some_and(|Url(url)| url.starts_with("http://")) {
            fetcher = fetcher.allow_plaintext_loopback();
        }
        fetcher.build().map_err(|error| self.refuse(path, &error))
    }
}

impl SecretEntry {
    fn build(&self) -> Result<SharedSecret, Problem> {
        let path = "tokens.issuer.secret";
        let Some(algorithm) = Algorithm::from_name(self.algorithm.word()) else {
            return Err(Problem::new(self.stands.0, path, "no such algorithm"));
        };
        let secret = SharedSecret::new(algorithm, self.secret.expose());
        let secret = secret.map_err(|error| self.refuse(path, &error))?;
        Ok(match &self.key_id {
            Some(key_id) => secret.with_key_id(key_id),
            None => secret,
        })
    }
}

/// Certificate authorities of a file.
pub(crate) fn read_roots(path: &Path, with: &Surroundings) -> Result<Roots, String> {
    let pem = with.read(path)?;
    Roots::from_pem(&pem).map_err(|error| format!("{}: {error}", path.display()))
}
