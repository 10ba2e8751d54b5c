//! What the service does once a request got there: little.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use bartizan_testkit::GrpcEcho;
use bytes::Bytes;
use http_body::Frame;

/// The gRPC service.
pub(super) const SERVICE: &str = "bartizan.testkit.Echo";

/// The routes, as the ledger names them.
pub(super) const TEMPLATES: [&str; 4] = ["/orders/{id}", "/orders", "/payments", "/feed"];

/// How many pieces a feed has.
const PIECES: u32 = 64;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/orders/{id}", get(read))
        .route("/orders", post(take))
        .route("/payments", post(take))
        .route("/feed", get(feed))
        .route_service("/bartizan.testkit.Echo/{method}", GrpcEcho)
}

async fn read(Path(id): Path<String>) -> String {
    format!("order {id}\n")
}

async fn take(body: Bytes) -> String {
    format!("{} bytes taken\n", body.len())
}

async fn feed() -> Body {
    Body::new(Pieces(PIECES))
}

/// A body without a length, in pieces of a kilobyte.
struct Pieces(u32);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 1024] = [b'.'; 1024];
        Poll::Ready(self.0.checked_sub(1).map(|left| {
            self.0 = left;
            Ok(Frame::data(Bytes::from_static(&PIECE)))
        }))
    }
}
