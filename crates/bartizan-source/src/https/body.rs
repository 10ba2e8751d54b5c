//! Reads a body up to a limit.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::https::error::{FetchError, FetchErrorKind};

/// The whole body, if it has at most `limit` bytes.
///
/// What the server announces is believed only when it is too much; what it sends is counted as it
/// comes. Trailers are dropped.
pub(super) async fn collect(
    mut body: Incoming,
    limit: usize,
    failed: impl Fn(hyper::Error) -> FetchError,
) -> Result<Bytes, FetchError> {
    let too_large = || {
        let message = format!("the body is larger than {limit} bytes");
        FetchError::new(FetchErrorKind::TooLarge, message)
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large());
    }
    let mut whole = BytesMut::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(&failed)?;
        if let Some(data) = frame.data_ref() {
            if data.len() > limit.saturating_sub(whole.len()) {
                return Err(too_large());
            }
            whole.extend_from_slice(data);
        }
    }
    Ok(whole.freeze())
}
