//! A tamper-evident, durable audit log of every request and every security decision.
//!
//! The outermost layer of a service writes one record for each request into a ledger of its own:
//! who, what, when, where, how it ended, and what every layer decided. The ledger is a Merkle tree
//! under signed checkpoints, so that nobody can change, move or leave out a record unnoticed; what
//! could not be written is counted inside it. For a request it costs a tenth of what a line of
//! `tracing` does.
//!
//! # Quick start
//!
//! ```
//! use bartizan_audit::{AuditConfig, AuditLayer, Durability, Ledger, Rule, Verdict, Verifier};
//! use bartizan_core::{Entrance, RouteTable};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use std::time::Duration;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("bartizan-audit-doc-{}", std::process::id()));
//! let ledger = Ledger::builder(&folder, "orders.example.com/audit").open()?;
//! let config = AuditConfig::builder(ledger.clone())
//!     .add_rule(Rule::none().add_template("/healthz"))
//!     // No payment is answered before its record is on the disk.
//!     .add_rule(Rule::metadata().add_template("/payments/*").with_durability(Durability::Durable))
//!     .build()?;
//! let routes = RouteTable::new(["/healthz", "/payments/{id}"])?;
//! let layer = AuditLayer::new(config).with_entrance(Entrance::new().with_routes(routes));
//!
//! // On axum: `Router::new()....layer(layer)`, after the last route.
//! # let service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
//! #     Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("paid"))))
//! # }));
//! # let request = Request::post("/payments/17").body(Full::new(Bytes::new()))?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! # response.into_body().collect().await?;
//!
//! let report = ledger.shutdown(Duration::from_secs(10)).await;
//! assert_eq!(report.totals.accepted, report.totals.durable + report.totals.lost);
//! assert_eq!(Verifier::new().run(&folder)?.verdict(), Verdict::Intact);
//!
//! // One bit, and it is noticed.
//! let segment = folder.join("000000000000.segment");
//! let mut bytes = std::fs::read(&segment)?;
//! bytes[300] ^= 1;
//! std::fs::write(&segment, bytes)?;
//! assert_eq!(Verifier::new().run(&folder)?.verdict(), Verdict::Tampered);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # How a request is recorded
//!
//! 1. [`AuditLayer`] stands outermost and creates the request's `SecurityContext`; at the end it
//!    reads there who was authenticated further in, and every decision.
//! 2. The record is written when the body of the answer has ended, with the trailers of gRPC; or
//!    when the body broke off, the client went away, or the handler panicked, and says so.
//! 3. The first [`Rule`] that matches says how much is recorded ([`Level`]) and what is promised
//!    about it ([`Durability`]). What no rule is about is recorded as metadata.
//! 4. Of a query nothing is recorded but parameters that the rule names; of headers and bodies
//!    the same. Names of secrets are refused in a configuration; values that look like credentials,
//!    or hold one in a URL, a cookie or a document, are replaced. Fields of bodies take an
//!    [`AuditTapLayer`], inside of encryption.
//! 5. Refusals of callers who have proven nothing are counted by address prefix, code and second,
//!    at most 1,024 apart in a second, and never wait for a disk: a flood of them neither fills
//!    the log nor stalls it. [`AuditObserver`] does the same with failed handshakes, and records
//!    keys that rotate and policies that change.
//! 6. An answer of class [`Durability::Durable`] is held until its record is synced, else it is
//!    withheld: 503 or `UNAVAILABLE`, with the code `audit.not_durable`. If there is more to come
//!    than its head, a second record of the same number tells how it ended.
//! 7. With [`Privacy`], what is known of the principal is sealed under that person's key.
//!
//! # How the ledger is written
//!
//! 1. Events are copied into one buffer under one lock. One thread swaps it for an empty one,
//!    hashes, writes and syncs it, with a signed checkpoint behind each such batch.
//! 2. `accepted = durable + lost`, always: what does not fit is counted, and the count is a record
//!    of the ledger. [`LedgerReport`] says it of a run.
//! 3. A sync that failed is never repeated: the segment is given up at its last durable byte, and
//!    what was not durable is written again into the next, behind a record that says why.
//! 4. After a crash, whole records are kept and a torn end is cut off; a record says how many
//!    bytes were lost. What no crash leaves behind is not continued.
//! 5. Signing keys live for an epoch. The next key is named under the signature of the last, which
//!    is then wiped: who breaks in later cannot sign what was before.
//! 6. Silence is written down every minute, so that it can be told from a cut.
//!
//! [`Verifier`] reads all of it anew and holds every byte against the tree; [`Prover`] proves
//! single entries; [`LedgerReader`] follows a ledger that is being written, and [`Renderer`] writes
//! its entries as OCSF, ECS, CEF or plain JSON, on lines that nothing a client sends can break.
//! [`Tail`] brings them to a sink, at least once and from where it stopped; [`Delivery`] does so
//! beside a service, and never on the path of a request.
//!
//! # Witnesses
//!
//! Whoever has the host and its keys can cut the ledger back, and sign what is left. What nobody
//! can take back is what others have seen: a [`Witness`] remembers the largest tree that it saw of
//! a ledger, and cosigns (C2SP tlog-witness) nothing that does not continue it. Services witness
//! each other: each mounts a [`WitnessService`] on the listener that it has, and submits its own
//! checkpoints by [`Witnessing`], every ten seconds, with a [`WitnessClient`] for each neighbour.
//!
//! 1. Who may speak of a log is said by SPIFFE ID, and nobody may unless it is said.
//! 2. A witness is given the key of the log's first epoch. It follows to the next key along the tree
//!    that it has cosigned itself, by a call of its own (`add-key`): see [`AddKey`].
//! 3. What a witness cosigned is synced there before it says so. It answers one request about a
//!    log after the other.
//! 4. [`Verifier::add_witness`] holds a ledger against what its witnesses said: the cosigned
//!    checkpoint beside it (`checkpoint.cosigned`), or one that the witness itself gives out
//!    ([`Witness::checkpoint`]). A ledger that ends before it is [`Verdict::Tampered`], one that
//!    too few have cosigned is [`Verdict::Incomplete`].
//! 5. A ledger whose witness has seen more than there is, or something else, says so at once:
//!    `audit.log_cut`, `audit.log_forked`.
//!
//! # What is kept, and for how long
//!
//! The hashes of finished segments are written into tiles (C2SP tlog-tiles), by a thread that takes
//! at most a twentieth of one core. With them, the bodies of old entries can go: by [`Retention`],
//! or [`Ledger::prune`]. That they went is a record of the ledger; proofs about all entries stay as
//! they were, and [`Verifier`] follows tree and keys through the tiles to what is left.
//!
//! # What it does not protect against
//!
//! * Whoever has the host can cut the ledger back to what a witness has seen last, or to the last
//!   checkpoint that is kept elsewhere. Have it [witnessed](Witnessing), or send
//!   [`Ledger::checkpoint`] away; pin the first key (`log.vkey`); and verify with both.
//! * Witnesses that one person controls are one witness. A witness says nothing about what the
//!   entries say, only that they are still there.
//! * Witnesses of others than this crate know logs of one key: they follow a ledger for one epoch.
//! * What is pruned is gone; a sink that has not had it does not get it.
//! * A process that is killed loses what is buffered: at most the flush interval, 5 ms. How much
//!   that was cannot be told afterwards; that the run did not end in order can. Refusals that are
//!   being counted are lost with it, at most a second of them.
//! * What is synced is as durable as the disk says. Some confirm from a cache that has no battery.
//! * A service can leave a layer out, and handlers can do things no layer sees.
//! * The private key lies beside the segments, readable by the service alone. ring does not wipe
//!   its expanded form, and replacing a file does not wipe the disk below it.
//! * A secret that looks like any other text, under a name that says nothing of it, is not told from
//!   other text: allow what you know.
//! * That the wall clock was set is noticed within 10 ms: what began in between has the old time.
//! * The path of a gRPC call is recorded as its method, whatever the caller sent, up to 1 KiB.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `nats` | `NatsSink`: a stream of NATS JetStream, acknowledged, duplicates removed | no |
//! | `otlp` | `OtlpSink`: a collector of OpenTelemetry, OTLP over HTTPS in JSON | no |
//! | `postgres` | `PostgresSink`: a table of PostgreSQL, with each entry once, and what proofs are made of | no |
//! | `syslog` | `SyslogSink`: a receiver of syslog, RFC 5424 over TLS | no |
//! | `witness` | `WitnessClient::https`: a witness over HTTPS, with the service's own mutual TLS | no |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod checkpoint;
mod config;
mod epoch;
mod error;
mod future;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod layer;
mod ledger;
mod merkle;
mod note;
mod observe;
mod policy;
mod privacy;
mod prove;
mod read;
mod record;
mod recovery;
mod render;
mod segment;
mod service;
mod sink;
mod storage;
mod sync;
mod tail;
mod tile;
mod verify;
mod witness;
mod witnessing;
mod writer;

pub use self::body::{AuditBody, TapBody};
pub use self::checkpoint::{Checkpoint, CheckpointError};
pub use self::config::{AuditConfig, AuditConfigBuilder};
pub use self::error::ConfigError;
pub use self::future::AuditFuture;
pub use self::layer::{AuditLayer, AuditTapLayer};
pub use self::ledger::{
    Ledger, LedgerBuilder, LedgerError, LedgerErrorKind, LedgerReport, Retention,
};
pub use self::merkle::{
    EMPTY_ROOT, Hash, ProofError, Tree, consistency_proof, inclusion_proof, leaf_hash, node_hash,
    verify_consistency, verify_inclusion, verify_subtree_consistency, verify_subtree_inclusion,
};
pub use self::note::{KeyError, Note, NoteError, Signature, VerifierKey};
pub use self::observe::AuditObserver;
pub use self::policy::{Rule, RuleOutcome};
pub use self::privacy::{Person, Privacy, PrivacyError, open_person, person_handle};
pub use self::prove::{EntryProof, EntryProofError, Prover};
pub use self::read::{LedgerReader, StoredEntry};
pub use self::record::{
    DecisionRecord, Durability, Ending, EpochRecord, ErasedRecord, FaultRecord, Kind,
    LONGEST_ENTRY, Level, LifecycleRecord, LossRecord, PrunedRecord, Record, RecordError,
    RecoveredRecord, RefusalsRecord, RequestRecord, Sealed, Stage, StartRecord, StopRecord, Totals,
    Trace,
};
pub use self::recovery::Recovery;
pub use self::render::{Format, Renderer, UnknownFormat, escaped};
pub use self::service::{Audit, AuditTap, AuditTapFuture, WitnessFuture, WitnessService};
pub use self::sink::{
    Accepted, Batch, Blocking, Delivery, DeliveryBuilder, DeliveryFailure, DeliveryState,
    DeliveryStatus, Sink, SinkAnswer, SinkConfigError, SinkError, SinkErrorKind,
};
#[cfg(feature = "nats")]
pub use self::sink::{NatsSink, NatsSinkBuilder};
#[cfg(feature = "otlp")]
pub use self::sink::{OtlpSink, OtlpSinkBuilder};
#[cfg(feature = "postgres")]
pub use self::sink::{PostgresSink, PostgresSinkBuilder};
#[cfg(feature = "syslog")]
pub use self::sink::{SyslogSink, SyslogSinkBuilder};
pub use self::tail::{Deliver, LineSink, SyncedFile, Tail};
pub use self::verify::{
    Finding, FindingKind, Place, Severity, Verdict, Verification, Verifier, Witnessed,
};
pub use self::witness::{
    AddCheckpoint, AddKey, CosignerKey, Witness, WitnessBuilder, WitnessError, WitnessKey,
};
pub use self::witnessing::{
    Cosignature, SubmitError, SubmitErrorKind, WitnessClient, WitnessStatus, Witnessing,
    WitnessingBuilder,
};

/// The README's snippets compile, or the doctests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
