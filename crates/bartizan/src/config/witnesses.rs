//! `[audit.witnesses]`: who witnesses the ledger.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_audit::{CosignerKey, Ledger, Witnessing};
use bartizan_core::SpiffePattern;
use bartizan_mtls::Material;
use bartizan_source::Published;

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::Url;
use crate::config::surroundings::Surroundings;

section! {
    /// Has the ledger witnessed by others, who remember what they have seen of it; build with the
    /// feature `witness`. What they have cosigned stands beside the segments, in
    /// `checkpoint.cosigned`.
    Witnesses {
        /// The witnesses; one at least.
        witness: Vec<WitnessEntry>,
        /// How often the latest checkpoint is submitted: how much can be cut off unnoticed.
        interval: Duration = "10s",
        /// How many of them have to have cosigned a checkpoint before it is kept. All by default.
        quorum: Option<NonZeroUsize>,
    }
}

section! {
    /// A witness. Whoever answers, nothing counts but what its key has signed.
    WitnessEntry {
        /// Its key, as it says it of itself, such as `payments.example/witness+1a2b3c4d+AZ...`.
        key: String,
        /// Where its calls are, such as `https://payments.internal:8443/witness`.
        url: Url,
        /// SPIFFE IDs or patterns of the workload that answers there. It is reached by mutual TLS
        /// with the identity of `[listener]` then, and knows who submits.
        peers: Vec<SpiffePattern>,
        /// The certificate authorities (PEM) of the host, for a witness that asks for no
        /// certificate. Or `peers`.
        roots: Option<PathBuf>,
        /// How long one call may take in all.
        deadline: Duration = "5s",
        /// How long name lookup, TCP and TLS may take together.
        connect_timeout: Duration = "2s",
    }
}

const PATH: &str = "audit.witnesses";
const ENTRY: &str = "audit.witnesses.witness";

impl Witnesses {
    /// What of it is wrong, as far as it is known without an identity.
    pub(crate) fn check(&self, has_listener: bool) -> Result<(), Problem> {
        if !cfg!(feature = "witness") {
            return Err(Problem::lacking(self.stands.0, PATH, "witness"));
        }
        if self.witness.is_empty() || self.interval.is_zero() {
            let message = "takes one [[audit.witnesses.witness]] at least, and an interval";
            return Err(Problem::new(self.stands.0, PATH, message));
        }
        if self
            .quorum
            .is_some_and(|count| count.get() > self.witness.len())
        {
            let message = "`quorum` is more than there are witnesses";
            return Err(Problem::new(self.stands.0, PATH, message));
        }
        let mut entries = self.witness.iter();
        entries.try_for_each(|entry| entry.check(has_listener))
    }

    /// Whether one of them is reached with the identity of the listener.
    pub(crate) fn takes_identity(&self) -> bool {
        self.witness.iter().any(|entry| !entry.peers.is_empty())
    }
}

impl WitnessEntry {
    fn check(&self, has_listener: bool) -> Result<(), Problem> {
        self.cosigner()?;
        match (self.peers.is_empty(), &self.roots) {
            (false, None) if !has_listener => {
                Err(self.wrong("`peers` take [listener], whose identity is shown to them"))
            }
            (false, None) | (true, Some(_)) => Ok(()),
            _ => Err(self.wrong("takes one of `peers` and `roots`")),
        }
    }

    fn cosigner(&self) -> Result<CosignerKey, Problem> {
        let key = CosignerKey::parse(&self.key);
        key.map_err(|error| self.refuse("audit.witnesses.witness.key", &error))
    }

    fn wrong(&self, message: &str) -> Problem {
        Problem::new(self.stands.0, ENTRY, message)
    }
}

#[cfg(not(feature = "witness"))]
impl Witnesses {
    pub(crate) fn start(
        &self,
        _: &Ledger,
        _: Option<&Published<Material>>,
        _: &Surroundings,
    ) -> Result<Witnessing, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "witness"))
    }
}

#[cfg(feature = "witness")]
mod built {
    use bartizan_audit::WitnessClient;
    use bartizan_mtls::{AllowedPeers, MtlsConnector};
    use bartizan_source::{HttpsFetcher, HttpsFetcherBuilder};

    use super::{
        ENTRY, Ledger, Material, PATH, Problem, Published, Surroundings, WitnessEntry, Witnesses,
        Witnessing,
    };
    use crate::config::issuer::read_roots;

    impl Witnesses {
        /// Begins to submit checkpoints.
        pub(crate) fn start(
            &self,
            ledger: &Ledger,
            material: Option<&Published<Material>>,
            with: &Surroundings,
        ) -> Result<Witnessing, Problem> {
            let mut witnessing = Witnessing::builder(ledger).with_interval(self.interval);
            if let Some(count) = self.quorum {
                witnessing = witnessing.with_quorum(count);
            }
            for entry in &self.witness {
                witnessing = witnessing.add_witness(entry.client(material, with)?);
            }
            witnessing
                .start()
                .map_err(|error| self.refuse(PATH, &error))
        }
    }

    impl WitnessEntry {
        fn client(
            &self,
            material: Option<&Published<Material>>,
            with: &Surroundings,
        ) -> Result<WitnessClient, Problem> {
            let fetcher = self.fetcher(material, with)?.build();
            let fetcher = fetcher.map_err(|error| self.refuse(ENTRY, &error))?;
            let client = WitnessClient::https(self.cosigner()?, &self.url.0, fetcher);
            client.map_err(|error| self.refuse(ENTRY, &error))
        }

        fn fetcher(
            &self,
            material: Option<&Published<Material>>,
            with: &Surroundings,
        ) -> Result<HttpsFetcherBuilder, Problem> {
            let fetcher = HttpsFetcher::builder()
                .with_deadline(self.deadline)
                .with_connect_timeout(self.connect_timeout);
            if let Some(path) = &self.roots {
                let roots = read_roots(path, with);
                return Ok(fetcher.with_roots(roots.map_err(|message| self.wrong(&message))?));
            }
            let mut patterns = self.peers.iter();
            let (Some(first), Some(material)) = (patterns.next(), material) else {
                return Err(self.wrong("takes one of `peers` and `roots`"));
            };
            let first = AllowedPeers::pattern(first.clone());
            let servers = patterns.fold(first, |all, one| all.or_pattern(one.clone()));
            let connector = MtlsConnector::builder(material.clone(), servers);
            let connector = connector.with_clock(with.clock.clone());
            let tls = connector.build_client_config();
            let tls = tls.map_err(|error| self.refuse(ENTRY, &error))?;
            Ok(fetcher.with_tls_config(tls))
        }
    }
}
