//! What must hold of each parser of untrusted bytes.
//!
//! A module is one target: its page says what is parsed and what must hold, and its `check` panics if
//! it does not, whatever the bytes. The targets for libFuzzer beside this folder call nothing else, so
//! that the committed inputs are held to the same with every `cargo test`, without a sanitizer and by
//! the stable toolchain: see `tests/replay.rs`.
//!
//! What an input is made of where a target needs more than one thing is read by hand, in the order in
//! which it stands there, so that seeds can be written by hand as well: see `examples/seeds`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "to panic is how a property says that it does not hold"
)]

pub mod apikey;
pub mod apikey_field;
pub mod apikey_file;
pub mod audit_cursor;
pub mod audit_note;
pub mod audit_proof;
pub mod audit_record;
pub mod audit_recovery;
pub mod audit_render;
pub mod audit_secrets;
pub mod audit_segment;
pub mod audit_tiles;
pub mod audit_trace;
pub mod audit_witness;
pub mod cedar;
pub mod certificate;
pub mod challenge;
pub mod ciphertext;
pub mod claims;
pub mod client_address;
pub mod configuration;
pub mod credential;
pub mod destination;
pub mod discovery;
pub mod envoy_answers;
pub mod fetch_url;
pub mod forwarded_certificate;
pub mod grpc_timeout;
mod input;
pub mod introspection;
pub mod istio;
pub mod json_path;
pub mod json_rewrite;
pub mod key_file;
pub mod key_set;
pub mod kms_answers;
pub mod message_rewrite;
pub mod nats_answers;
pub mod otlp_answers;
pub mod packed;
pub mod path;
pub mod pem;
pub mod policy;
pub mod proof;
pub mod proof_claims;
pub mod proxy_protocol;
pub mod rate;
pub mod ratelimit_fields;
pub mod redis_answers;
pub mod request;
pub mod revocation_lists;
pub mod spiffe_bundle;
pub mod spiffe_id;
mod targets;
pub mod token;
pub mod token_file;
pub mod token_response;
pub mod trace_parent;
pub mod upload_json;
pub mod vault_answers;
pub mod witness_answers;
pub mod workload_api;
pub mod yaml;

pub use self::targets::{TARGETS, Target};
