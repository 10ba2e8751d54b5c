//! Bounded HTTPS fetch.

mod body;
mod config;
mod connect;
mod error;
mod fetcher;
mod request;
mod roots;
mod target;

pub use self::config::HttpsFetcherBuilder;
pub use self::error::{FetchError, FetchErrorKind};
pub use self::fetcher::HttpsFetcher;
pub use self::request::{FetchRequest, Fetched};
pub use self::roots::Roots;
