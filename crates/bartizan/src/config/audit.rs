//! `[audit]`: what is recorded.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::{
    AuditConfig, AuditConfigBuilder, AuditLayer, Delivery, Durability, Ledger, LedgerBuilder,
    Privacy, Retention, Rule, RuleOutcome,
};
use bartizan_core::{Entrance, Protocol, SpiffePattern};
use bartizan_encrypt::Keyring;

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::{Size, choice};
use crate::config::sink::AuditSink;
use crate::config::surroundings::Surroundings;
use crate::config::witnesses::Witnesses;

section! {
    /// Records every request and what was decided about it, in a ledger that nobody can change
    /// unnoticed.
    Audit {
        /// The folder of the ledger, its own.
        folder: PathBuf,
        /// The name of the log, for all time and uniquely, such as `orders.example.com/audit`.
        origin: String,
        /// The name of the service in the log. The origin by default.
        service: Option<String>,
        /// What else the first record of a run says: a version, an instance. Up to 255 bytes.
        detail: Option<String>,
        /// How large a segment is; at least 128KiB.
        segment: Size = "64MiB",
        /// How many segments are kept ready on the disk.
        spare_segments: usize = "1",
        /// How many bytes of events may wait for the disk; at least 256KiB.
        buffer: Size = "16MiB",
        /// How long an event waits at most before it is written.
        flush_interval: Duration = "5ms",
        /// How long nothing may happen before that is written down.
        heartbeat: Duration = "60s",
        /// After how many entries the signing key is replaced.
        epoch_entries: u64 = "10000000",
        /// After what time the signing key is replaced.
        epoch: Duration = "1d",
        /// How long the bodies of entries are kept; their hashes are kept for ever. For ever by
        /// default. A sink that was away for longer does not get what is gone.
        keep_for: Option<Duration>,
        /// How many bytes of finished segments are kept at most. Any by default.
        keep_bytes: Option<Size>,
        /// How long an answer waits at most for its record to be durable.
        durable_wait: Duration = "5s",
        /// How many bits of IPv4 addresses are recorded.
        address_bits_v4: u8 = "32",
        /// How many bits of IPv6 addresses are recorded.
        address_bits_v6: u8 = "128",
        /// Up to how many bytes of a body fields are read.
        largest_tap: Size = "64KiB",
        /// Seals what is recorded about principals under keys of `[encryption]`, one for each
        /// person: destroying it makes all of that unreadable.
        privacy: bool = "false",
        /// What is recorded of which requests: the first that matches decides. Metadata of
        /// everything else.
        rule: Vec<AuditRule>,
        /// Where the entries are brought as well.
        sink: Vec<AuditSink>,
        /// Who witnesses the ledger.
        witnesses: Option<Witnesses>,
    }
}

section! {
    /// Which requests, and what is recorded of them. Every condition that is set must hold.
    AuditRule {
        /// How much is recorded.
        level: LevelWord,
        /// What is promised about the record before the answer is sent.
        durability: DurabilityWord = "buffered",
        /// Methods, of which one is the request's.
        methods: Vec<String>,
        /// Route templates or gRPC methods, of which one is the request's. A `*` at the end stands
        /// for anything.
        templates: Vec<String>,
        /// SPIFFE IDs or patterns, of which one matches the peer.
        peers: Vec<SpiffePattern>,
        /// The protocol.
        protocol: Option<ProtocolWord>,
        /// Whether a layer refused the request.
        outcome: Option<OutcomeWord>,
        /// Records the path as well, which holds ids and sometimes secrets.
        allow_path: bool = "false",
        /// Parameters of the query that are recorded.
        query: Vec<String>,
        /// Headers of the request that are recorded.
        request_headers: Vec<String>,
        /// Headers of the response that are recorded.
        response_headers: Vec<String>,
        /// Fields of a JSON request that are recorded, as JSON pointers.
        request_fields: Vec<String>,
        /// Fields of a JSON response that are recorded, as JSON pointers.
        response_fields: Vec<String>,
    }
}

choice! {
    /// How much is recorded.
    LevelWord {
        /// Who, what, when, where, the outcome and every decision.
        Metadata = "metadata",
        /// Nothing.
        None = "none",
        /// Metadata, and what is named of the request.
        Request = "request",
        /// That, and what is named of the response.
        RequestResponse = "request_response",
    }
}

choice! {
    /// What is promised about a record.
    DurabilityWord {
        /// It is synced soon; the answer does not wait.
        Buffered = "buffered",
        /// The answer waits until it is on the disk, or is withheld.
        Durable = "durable",
        /// It may be left out when there is too much, and is counted then.
        Lossy = "lossy",
    }
}

choice! {
    /// A protocol.
    ProtocolWord {
        /// gRPC.
        Grpc = "grpc",
        /// gRPC-Web, binary.
        GrpcWeb = "grpc-web",
        /// gRPC-Web, as text.
        GrpcWebText = "grpc-web-text",
        /// Everything else over HTTP.
        Http = "http",
    }
}

choice! {
    /// Whether a layer refused.
    OutcomeWord {
        /// Every layer let it pass.
        Passed = "passed",
        /// A layer refused it.
        Refused = "refused",
    }
}

impl Audit {
    pub(crate) fn ledger_builder(&self, with: &Surroundings) -> LedgerBuilder {
        let mut ledger = Ledger::builder(&self.folder, &self.origin)
            .with_segment_bytes(self.segment.0)
            .with_spare_segments(self.spare_segments)
            .with_buffer_bytes(self.buffer.bytes())
            .with_flush_interval(self.flush_interval)
            .with_heartbeat(self.heartbeat)
            .with_epoch(self.epoch_entries, self.epoch)
            .with_retention(self.retention())
            .with_clock(with.clock.clone());
        if let Some(service) = &self.service {
            ledger = ledger.with_service(service);
        }
        if let Some(detail) = &self.detail {
            ledger = ledger.with_detail(detail);
        }
        match with.observer() {
            Some(observer) => ledger.with_observer(observer),
            None => ledger,
        }
    }

    fn retention(&self) -> Retention {
        let mut retention = Retention::forever();
        if let Some(age) = self.keep_for {
            retention = retention.with_age(age);
        }
        if let Some(bytes) = self.keep_bytes {
            retention = retention.with_bytes(bytes.0);
        }
        retention
    }

    /// What can be seen without opening the ledger.
    pub(crate) fn check(&self, has_listener: bool, with: &Surroundings) -> Result<(), Problem> {
        let wrong = |message: &str| Err(Problem::new(self.stands.0, "audit", message));
        let spans = [
            self.flush_interval,
            self.heartbeat,
            self.epoch,
            self.durable_wait,
            self.keep_for.unwrap_or(Duration::MAX),
        ];
        if spans.iter().any(Duration::is_zero) || self.epoch_entries == 0 {
            return wrong("an interval is zero");
        }
        if self.segment.0 < 128 * 1024 {
            return wrong("`segment` is less than 128KiB");
        }
        if self.buffer.0 < 256 * 1024 {
            return wrong("`buffer` is less than 256KiB");
        }
        let is_origin = |text: &str| !text.contains(char::is_whitespace) && !text.contains('+');
        if self.origin.len() > 200 || !is_origin(&self.origin) {
            return wrong("`origin` has spaces or plus signs, or more than 200 bytes");
        }
        if self.address_bits_v4 > 32 || self.address_bits_v6 > 128 {
            return wrong("addresses have no more than 32 and 128 bits");
        }
        for rule in &self.rule {
            let checked = rule.build().check();
            checked.map_err(|error| rule.refuse("audit.rule", &error))?;
        }
        for (at, sink) in self.sink.iter().enumerate() {
            sink.check(self, with)?;
            if self
                .sink
                .iter()
                .take(at)
                .any(|other| other.name == sink.name)
            {
                let message = format!("two sinks are called {:?}", sink.name);
                return Err(Problem::new(sink.stands.0, "audit.sink", message));
            }
        }
        match &self.witnesses {
            Some(witnesses) => witnesses.check(has_listener),
            None => Ok(()),
        }
    }

    /// Begins to bring what is recorded to the sinks. The log itself says when one of them fails.
    pub(crate) fn deliver(
        &self,
        ledger: &Ledger,
        with: &Surroundings,
    ) -> Result<Vec<Delivery>, Problem> {
        let sinks = self.sink.iter();
        sinks.map(|sink| sink.start(self, ledger, with)).collect()
    }

    /// Opens the ledger. `with` has no observer that writes into it.
    pub(crate) fn open(&self, with: &Surroundings) -> Result<Ledger, Problem> {
        let ledger = self.ledger_builder(with).open();
        ledger.map_err(|error| self.refuse("audit", &error))
    }

    pub(crate) fn config_builder(&self, ledger: Ledger) -> AuditConfigBuilder {
        let mut config = AuditConfig::builder(ledger)
            .with_durable_wait(self.durable_wait)
            .with_address_prefix(self.address_bits_v4, self.address_bits_v6)
            .with_largest_tap(self.largest_tap.bytes());
        for rule in &self.rule {
            config = config.add_rule(rule.build());
        }
        config
    }

    pub(crate) fn layer(
        &self,
        ledger: Ledger,
        keyring: Option<&Keyring>,
        entrance: &Entrance,
    ) -> Result<AuditLayer, Problem> {
        let mut config = self.config_builder(ledger);
        if let (true, Some(keyring)) = (self.privacy, keyring) {
            config = config.with_privacy(Privacy::new(Arc::new(keyring.clone())));
        }
        let config = config.build();
        let config = config.map_err(|error| self.refuse("audit", &error))?;
        Ok(AuditLayer::new(config).with_entrance(entrance.clone()))
    }
}

/// A builder's verb that takes a name.
type Verb = fn(Rule, &str) -> Rule;

impl AuditRule {
    fn build(&self) -> Rule {
        let rule = match self.level {
            LevelWord::Metadata => Rule::metadata(),
            LevelWord::None => Rule::none(),
            LevelWord::Request => Rule::request(),
            LevelWord::RequestResponse => Rule::request_response(),
        };
        let mut rule = rule.with_durability(match self.durability {
            DurabilityWord::Buffered => Durability::Buffered,
            DurabilityWord::Durable => Durability::Durable,
            DurabilityWord::Lossy => Durability::Lossy,
        });
        if let Some(protocol) = self.protocol {
            rule = rule.with_protocol(match protocol {
                ProtocolWord::Grpc => Protocol::Grpc,
                ProtocolWord::GrpcWeb => Protocol::GrpcWeb,
                ProtocolWord::GrpcWebText => Protocol::GrpcWebText,
                ProtocolWord::Http => Protocol::Http,
            });
        }
        if let Some(outcome) = self.outcome {
            rule = rule.with_outcome(match outcome {
                OutcomeWord::Passed => RuleOutcome::Passed,
                OutcomeWord::Refused => RuleOutcome::Refused,
            });
        }
        if self.allow_path {
            rule = rule.allow_path();
        }
        for peers in &self.peers {
            rule = rule.add_peer(peers.clone());
        }
        let each: [(&[String], Verb); 7] = [
            (&self.methods, Rule::add_method),
            (&self.templates, Rule::add_template),
            (&self.query, Rule::add_query),
            (&self.request_headers, Rule::add_request_header),
            (&self.response_headers, Rule::add_response_header),
            (&self.request_fields, Rule::add_request_field),
            (&self.response_fields, Rule::add_response_field),
        ];
        for (names, add) in each {
            for name in names {
                rule = add(rule, name);
            }
        }
        rule
    }
}
