//! The configuration file: what a service enforces, in one place.
//!
//! One file fills the places of the [`Stack`](crate::Stack): the listener and its identity, who
//! may call, how often, with whose tokens and what, and what is recorded. It composes and
//! configures; it decides nothing. `docs/CONFIGURATION.md` has every option with its default, and
//! `bartizan check` says what a file puts in force.
//!
//! # Quick start
//!
//! From the file to a guarded router (with the feature `axum`):
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # async fn run(app: axum::Router) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use bartizan::config::Config;
//!
//! let configured = Config::load("bartizan.toml")?.build().await?;
//! let app = app.layer(configured.layer());
//! configured.serve(app, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What the file does not allow is refused, and a file that means nothing is none:
//!
//! ```
//! use bartizan::config::{Config, ConfiguredBody};
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! type Body = http_body_util::Empty<bytes::Bytes>;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::from_toml(r#"
//!     [[rules.rule]]
//!     name = "catalogue"
//!     effect = "allow"
//!     to = [{ methods = ["GET"], paths = ["/catalogue/{item}"] }]
//! "#, "")?;
//! let service = service_fn(async |_: Request<ConfiguredBody<Body>>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(Body::new()))
//! });
//! let service = config.build().await?.layer().layer(service);
//!
//! let get = |path: &str| Request::get(path).body(Body::new());
//! assert_eq!(service.clone().oneshot(get("/catalogue/7")?).await?.status(), 200);
//! assert_eq!(service.oneshot(get("/orders/7")?).await?.status(), 403);
//!
//! let refused = Config::from_toml("[tokens]\nisuer = []", "").expect_err("no such option");
//! let told = refused.problems()[0].to_string();
//! assert_eq!(told, "line 2, column 1: tokens.isuer: unknown option, did you mean `issuer`?");
//! # Ok(())
//! # }
//! ```
//!
//! # How it decides
//!
//! 1. The file is read as a whole: everything that is wrong is told at once, each with its line.
//!    What is not known is refused.
//! 2. What a layer would refuse is refused here, at the line of its table.
//! 3. A place whose table is absent is empty. The exception is the rules: without them every
//!    request is refused.
//! 4. The file is followed. A new version is built as a whole, or the last good one stays.
//!
//! # What it does not protect against
//!
//! * Whoever can write the file, or the files that it names, decides what is enforced.
//! * Environment variables can be read by whoever can read the process's memory, and are inherited
//!   by its children. Prefer files for secrets.
//! * Buffers of ours that held a secret are wiped; the environment itself is not.

mod api_key_database;
mod api_keys;
mod audit;
mod cedar;
mod configured;
mod counted;
mod describe;
mod document;
mod effective;
mod encryption;
mod entrance;
mod follow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod introspection;
mod issuer;
mod key_database;
mod key_service;
mod layer;
mod limits;
mod listener;
mod listening;
mod material;
mod metadata;
mod meter;
mod node;
mod optional;
mod options;
mod own;
mod peers;
mod places;
mod problem;
mod reader;
mod redis;
mod reference;
mod reload;
mod requests;
mod root;
mod rule;
mod rules;
mod schema;
mod scrape;
mod secret;
mod section;
mod setting;
mod sink;
mod spans;
mod standard_error;
mod suggest;
mod surroundings;
mod telemetry;
mod tokens;
mod toml_text;
mod units;
mod upload;
mod witness;
mod witnesses;
#[cfg(feature = "yaml")]
mod yaml_text;

pub use self::configured::Configured;
pub use self::document::Config;
pub use self::effective::{Effective, Entry};
pub use self::guard::ConfiguredGuard;
pub use self::layer::{
    Audited, Bounded, ConfiguredBody, ConfiguredLayer, ConfiguredService, Kept, Metered, Sealed,
    Traced,
};
pub use self::listening::Listening;
pub use self::optional::{OptionalBody, OptionalFuture, OptionalService, Plain};
pub use self::own::{Answered, AnsweredFuture};
pub use self::problem::{ConfigError, Problem};
pub use self::reference::reference;
pub use self::reload::Reload;
pub use self::schema::schema;

#[cfg(test)]
mod tests;
