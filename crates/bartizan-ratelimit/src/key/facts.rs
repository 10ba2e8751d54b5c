//! What requests are counted by, as stores want it.

use std::hash::Hasher;

use bartizan_core::Inspection;
#[cfg(feature = "envoy")]
use bartizan_core::{IpNetwork, PeerIdentity, Principal};

#[cfg(feature = "envoy")]
use super::Part;
use super::{Answers, Key, KeyWriter};
use crate::store::Facts;

/// What one request is counted by, as stores want it.
pub(crate) struct KeyFacts<'f, 'r> {
    key: &'f Key,
    inspection: &'f Inspection<'r>,
    answers: Answers,
    has_key: bool,
}

impl<'f, 'r> KeyFacts<'f, 'r> {
    /// The facts of a request; those without a key are all the same.
    pub(crate) fn new(
        key: &'f Key,
        inspection: &'f Inspection<'r>,
        answers: Answers,
        has_key: bool,
    ) -> Self {
        Self {
            key,
            inspection,
            answers,
            has_key,
        }
    }
}

impl Facts for KeyFacts<'_, '_> {
    #[cfg(feature = "redis")]
    fn kind(&self) -> String {
        // What debug output says of a key is part of its name at the store: to say it otherwise
        // is to count anew while a fleet is being updated.
        match self.has_key {
            true => format!("{:?}", self.key),
            false => format!("without {:?}", self.key),
        }
    }

    #[cfg(feature = "redis")]
    fn write(&self, hasher: &mut dyn Hasher) {
        if self.has_key {
            let mut answers = self.answers.clone();
            let writer = &mut KeyWriter(hasher);
            // It was written before, under the secret of this process.
            let _ = self.key.write(self.inspection, writer, &mut answers);
        }
    }

    #[cfg(feature = "envoy")]
    fn entries(&self) -> Vec<(String, String)> {
        let mut entries = Vec::new();
        let mut answers = self.answers.clone();
        if self.has_key {
            describe(self.key, self.inspection, &mut answers, &mut entries);
        }
        if entries.is_empty() {
            entries.push(("generic_key".to_owned(), "anonymous".to_owned()));
        }
        entries
    }
}

/// Names and values of a key, in the order of its parts. The names are those that Envoy uses,
/// where it has one.
#[cfg(feature = "envoy")]
fn describe(
    key: &Key,
    inspection: &Inspection<'_>,
    answers: &mut Answers,
    entries: &mut Vec<(String, String)>,
) {
    let context = inspection.context;
    let mut add = |name: &str, value: String| entries.push((name.to_owned(), value));
    let of = |read: fn(&Principal) -> Option<&str>| {
        let value = context.principal().and_then(read);
        value.unwrap_or_default().to_owned()
    };
    match &key.0 {
        Part::Address { v4, v6 } => {
            let network = context.address().map(|address| {
                let network = IpNetwork::of_client(address, *v4, *v6);
                network.base().to_string()
            });
            add("remote_address", network.unwrap_or_default());
        }
        Part::All(keys) => {
            for key in keys.iter() {
                describe(key, inspection, answers, entries);
            }
        }
        Part::ApiKey => {
            add("issuer", of(|it| Some(it.issuer())));
            add("api_key_id", of(|it| it.token_id().or(Some(it.subject()))));
        }
        Part::Asked(_) => {
            let answer = answers.next().unwrap_or_default();
            add("custom", String::from_utf8_lossy(&answer).into_owned());
        }
        Part::Client => {
            add("issuer", of(|it| Some(it.issuer())));
            add("client_id", of(Principal::client));
        }
        Part::Custom(write) => {
            let mut text = Collected::default();
            let _ = write(inspection, &mut KeyWriter(&mut text));
            add("custom", text.parts.join(":"));
        }
        Part::Everybody => add("generic_key", "everybody".to_owned()),
        Part::GrpcMethod => add("grpc_method", context.path().unwrap_or_default().to_owned()),
        Part::Header(name) => {
            for value in inspection.parts.headers.get_all(name) {
                add(
                    name.as_str(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                );
            }
        }
        Part::Issuer => add("issuer", of(|it| Some(it.issuer()))),
        Part::Peer => {
            let peer = context.peer().map(|peer| match peer.identity() {
                PeerIdentity::Spiffe(id) => id.as_str().to_owned(),
                PeerIdentity::Dns(names) => names.join(","),
                _ => String::new(),
            });
            add("peer", peer.unwrap_or_default());
        }
        Part::Subject => {
            add("issuer", of(|it| Some(it.issuer())));
            add("subject", of(|it| Some(it.subject())));
        }
        Part::Template => add("route", context.template().unwrap_or_default().to_owned()),
        Part::TrustDomain => {
            let domain = context.peer().and_then(|peer| match peer.identity() {
                PeerIdentity::Spiffe(id) => Some(id.trust_domain().to_owned()),
                _ => None,
            });
            add("trust_domain", domain.unwrap_or_default());
        }
    }
}

/// Collects what a closure writes, as text.
#[cfg(feature = "envoy")]
#[derive(Default)]
struct Collected {
    parts: Vec<String>,
}

#[cfg(feature = "envoy")]
impl Hasher for Collected {
    fn write(&mut self, bytes: &[u8]) {
        self.parts.push(String::from_utf8_lossy(bytes).into_owned());
    }

    fn write_u64(&mut self, number: u64) {
        self.parts.push(number.to_string());
    }

    /// The length of what follows, which a text does not need.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        0
    }
}
