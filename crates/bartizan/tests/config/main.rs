//! The configuration file: what it says, what it puts in force, and what is published about it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![allow(
    clippy::indexing_slicing,
    reason = "some builds have no helper that does"
)]

#[cfg(any(
    feature = "audit-nats",
    feature = "audit-otlp",
    feature = "audit-syslog"
))]
mod arrivals;
mod cedar;
mod documents;
mod encryption;
mod introspection;
mod kept;
mod keys;
mod metadata;
#[cfg(feature = "prometheus")]
mod metrics;
mod published;
mod reload;
mod routes;
mod rules;
mod sample;
mod service;
mod sinks;
mod store;
mod told;
#[cfg(feature = "witness")]
mod witnesses;
#[cfg(any(feature = "aws-kms", feature = "pkcs11", feature = "vault"))]
mod wrapping;

// What the crates' own tests of servers are made of.
#[allow(dead_code, reason = "a part of it is used")]
#[cfg(feature = "audit-nats")]
#[path = "../../../bartizan-audit/tests/nats/bus.rs"]
mod bus;
#[allow(dead_code, reason = "a part of it is used")]
#[cfg(feature = "vault")]
#[path = "../../../bartizan-encrypt/tests/vault/fake.rs"]
mod fake;
#[allow(dead_code, reason = "a part of it is used")]
#[cfg(feature = "aws-kms")]
#[path = "../../../bartizan-encrypt/tests/aws_kms/moto.rs"]
mod moto;
#[cfg(any(feature = "audit-nats", feature = "aws-kms"))]
#[path = "../../../bartizan-encrypt/tests/servers/process.rs"]
mod process;
#[cfg(any(feature = "audit-nats", feature = "aws-kms", feature = "pkcs11"))]
#[path = "../../../bartizan-encrypt/tests/servers/programs.rs"]
mod programs;
#[allow(dead_code, reason = "a part of it is used")]
#[cfg(feature = "audit-syslog")]
#[path = "../../../bartizan-audit/tests/syslog/receiver.rs"]
mod receiver;
#[allow(dead_code, reason = "a part of it is used")]
#[cfg(any(feature = "audit-nats", feature = "audit-syslog", feature = "aws-kms"))]
#[path = "../../../bartizan-encrypt/tests/servers/wait.rs"]
mod wait;
