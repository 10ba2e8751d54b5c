//! Requests that are recorded whichever way they end, ledgers that survive what happens to them.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod corpora;
mod delivery;
mod hosts;
mod killed;
mod layer;
mod ledger;
mod ocsf;
mod people;
mod pruned;
mod secrets;
mod sockets;
mod support;
mod tail;
mod tap;
mod witness;
