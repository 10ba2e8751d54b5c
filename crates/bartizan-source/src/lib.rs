//! Publishes new versions of keys, certificates and policies while a service runs.
//!
//! Whatever a service trusts changes under it: certificates rotate, issuers roll their keys,
//! policies are edited. This crate is the one place in the family where such changes are noticed,
//! fetched, bounded, retried and handed to readers; the layers only say how to parse.
//!
//! # Quick start
//!
//! A greeting that follows its file. Bad content is refused, and the last good version stays:
//!
//! ```
//! use bartizan_source::{FileSourceBuilder, Refresh, SourceErrorKind};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("bartizan-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let path = folder.join("greeting.txt");
//! std::fs::write(&path, "hello")?;
//!
//! let file = path.clone();
//! let source = FileSourceBuilder::new("example.greeting").add_file(&path).load(move |files| {
//!     match std::str::from_utf8(files.get(&file).unwrap_or_default()) {
//!         Ok("") => Err("the greeting is empty".to_owned()),
//!         Ok(text) => Ok(text.to_owned()),
//!         Err(error) => Err(error.to_string()),
//!     }
//! })?;
//! let greeting = source.published();
//! assert_eq!(greeting.read(|version| version.map(|v| v.value().len())), Some(5));
//!
//! // The source looks by itself every ten seconds; an example cannot wait.
//! std::fs::write(&path, "")?;
//! let refused = source.refresh_now().await.expect_err("an empty greeting");
//! assert_eq!(refused.kind(), SourceErrorKind::Invalid);
//! assert_eq!(greeting.generation(), 1, "the last good one stays");
//!
//! std::fs::write(&path, "good morning")?;
//! assert_eq!(source.refresh_now().await?, Refresh::Published(2));
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it decides
//!
//! 1. **Readers never wait.** [`Published::read`] and [`Published::load`] are an atomic load. No
//!    lock is held while something is read, fetched or parsed.
//! 2. **Absent is absent.** Before the first success there is no value, and no default stands in
//!    for one. A layer answers "could not check" then.
//! 3. **Validate, then swap.** A parser or loader either gives a whole new version or an error.
//!    On an error the last good version stays, and the failure is counted, dated, shown in
//!    [`Status`] and told to the observer.
//! 4. **Contents count.** Files are compared by what is in them; a touched file is no change, a
//!    swapped symbolic link is one. See [`FileSource`].
//! 5. **Fresh ahead of time.** Fetched values are renewed before they are due, retried with
//!    [`Backoff`] when that fails, and declared [`Unavailable::Stale`] when it fails for too long.
//!    See [`RefreshAhead`].
//! 6. **Bounded.** Files, bodies, heads, messages, waits and the rate of forced fetches have
//!    limits, each with a default.
//! 7. **As long as somebody reads.** A source's task ends when its last handle is gone, and
//!    [`Published`] is such a handle: what is still in use stays up to date.
//!
//! | what | for |
//! |---|---|
//! | [`Publisher`], [`Published`] | a value that changes while it is read |
//! | [`FileSource`] | following files |
//! | [`RefreshAhead`] | following something that is fetched |
//! | [`SingleFlight`], [`SingleFlights`] | one run for all who want the same at the same time |
//! | [`Backoff`], [`random`], [`spread`] | waiting without a stampede |
//! | [`write_atomically`] | replacing a file so that no reader or crash sees half of it |
//! | `HttpsFetcher` (feature `https`) | fetching within limits |
//! | `postgres` (feature `postgres`) | connections to a database that is believed by given roots |
//! | `yaml::parse` (feature `yaml`) | reading YAML that everybody reads alike |
//!
//! # Events
//!
//! Sources report lifecycle events of the layer `source`, with the source's name as subject:
//! `source.refreshed`, `source.recovered`, `source.failed` and `source.stale`.
//!
//! # What it does not protect against
//!
//! - Whoever can write the files or answer for the URL decides what is published, as far as the
//!   parser lets them. Keep the files writable for their issuer alone.
//! - Only the buffers of this crate are wiped. What a parser copies, and what the operating
//!   system keeps in its page cache or swap, is out of reach.
//! - Two files that are replaced one after the other, slowly, can be read as a pair that does not
//!   match. The parser must notice (compare key and certificate); the next reading then succeeds.
//! - A file system that blocks for ever, such as a dead network mount, leaves a source waiting.
//!   The last good version stays; [`Status::last_success`] shows its age.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `https` | `HttpsFetcher`, with rustls on ring and the public web's roots | no |
//! | `postgres` | `postgres`: connections to PostgreSQL, with rustls on ring | no |
//! | `yaml` | `yaml`: documents as trees in which every value knows its line | no |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod apart;
mod atomic;
mod backoff;
mod error;
mod files;
#[cfg(feature = "https")]
mod https;
mod jitter;
#[cfg(feature = "postgres")]
pub mod postgres;
mod published;
mod refresh;
mod report;
mod secret;
mod single_flight;
mod single_flights;
mod status;
mod sync;
#[cfg(feature = "yaml")]
pub mod yaml;

pub use self::atomic::{FileMode, write_atomically};
pub use self::backoff::Backoff;
pub use self::error::{BoxError, ConfigError, SourceError, SourceErrorKind};
pub use self::files::{FileSet, FileSource, FileSourceBuilder, Refresh};
#[cfg(feature = "https")]
pub use self::https::{
    FetchError, FetchErrorKind, FetchRequest, Fetched, HttpsFetcher, HttpsFetcherBuilder, Roots,
};
pub use self::jitter::{random, spread};
pub use self::published::{Changes, Published, Publisher, Version};
pub use self::refresh::{Forced, RefreshAhead, RefreshAheadBuilder, Unavailable};
pub use self::secret::SecretBytes;
pub use self::single_flight::{FlightLost, SingleFlight};
pub use self::single_flights::{NoFlight, SingleFlights};
pub use self::status::{Failure, Status};

/// The README's snippets compile, or the doctests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
