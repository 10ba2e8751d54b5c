//! A whole service under load and faults, and every request reconciled with its audit ledger.
//!
//! ```sh
//! cargo run --release -p soak -- --minutes 60
//! ```
//!
//! A service runs in a process of its own, with everything that a service would have: mutual TLS,
//! tokens of a real issuer, limits by address and by subject, the latter shared through a real
//! Redis, rules, and the audit ledger outermost. Clients keep connections, open new ones, speak
//! HTTP/1.1, HTTP/2 and gRPC, leave in the middle, and come without a certificate or with a
//! foreign one. Meanwhile everything goes wrong that can: floods, keys and certificates that rotate, an
//! issuer that is slow or absent, Redis hung or killed, and once a full disk.
//!
//! # What it holds the service to
//!
//! 1. Each request that was answered has its record, with the same outcome, exactly once; or it is
//!    within what the ledger counted as lost. Nothing is recorded that no client sent.
//! 2. Strangers, who are counted together, were counted exactly.
//! 3. While keys, certificates and Redis come and go, good requests are answered with 200. The
//!    exceptions are said: payments while the disk is full, and tokens of a key that nobody can
//!    know yet.
//! 4. After the warm-up, in which tables fill, resident memory grows by at most a tenth and 4 MiB,
//!    and descriptors by at most 64. Tables hold no more than they are built for.
//!
//! Anything else is a difference, and the exit code is 1.
//!
//! # What it does not show
//!
//! A connection of HTTP/1.1 can end while a request is on its way: such requests have no answer, and
//! are counted as such. What a full disk does is shown where this user may mount a file system; as
//! another than root, run it under `unshare --user --map-root-user --mount`.

mod director;
mod journal;
mod ledger;
mod load;
mod memory;
mod plan;
mod reconcile;
mod report;
mod scene;
mod serve;
mod soak;

pub use self::report::Report;
pub use self::serve::{Config, Farewell, serve};
pub use self::soak::{Options, soak};
