//! invoices: an axum service whose whole security stands in one file.
//!
//! `invoices.toml` beside this crate says who may call, with what, how often, and what is recorded.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use axum::routing::get;
use axum::{Json, Router};
use bartizan::config::Config;
use bartizan::prelude::*;
use serde_json::{Value, json};

/// Serves until `stop`; calls `listening` once requests are accepted.
///
/// # Errors
///
/// If the file does not hold, or the server ends by itself.
pub async fn run(
    file: &Path,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let configured = Config::load(file)?.build().await?;
    let app = Router::new()
        .route("/invoices/{id}", get(read).put(take))
        .route("/healthz", get(async || Json(json!({ "state": "alive" }))))
        .layer(configured.layer());

    let listener = configured.listen().await?;
    listening(listener.local_addr());
    let served = configured.serve_on(listener, app, stop).await;
    served
        .map_err(anyhow::Error::from_boxed)
        .context("the server ended")
}

/// Whoever asks: a person by a token, or a program by a key.
async fn read(principal: Principal) -> Json<Value> {
    Json(json!({ "customer": principal.subject() }))
}

/// An invoice that comes in. How large it may be, and how deep, is the file's to say.
async fn take(principal: Principal, Json(_): Json<Value>) -> Json<Value> {
    Json(json!({ "state": format!("filed for {}", principal.subject()) }))
}
