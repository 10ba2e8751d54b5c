//! Bodies of JSON: as deep and as large as `serde_json` finds them, however they are cut up.

use std::convert::Infallible;
use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bartizan_ratelimit::{UploadBody, UploadLayer, UploadRules};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use tower::{Layer, Service, service_fn};

use crate::input::Input;

/// A body in pieces.
struct Pieces(Vec<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(|piece| Ok(Frame::data(piece))))
    }
}

/// Counts what stands in a document.
struct Counter<'c> {
    depth: u32,
    deepest: &'c mut u32,
    values: &'c mut u64,
}

impl Counter<'_> {
    fn inside(&mut self) -> Counter<'_> {
        let depth = self.depth + 1;
        *self.deepest = depth.max(*self.deepest);
        Counter {
            depth,
            deepest: self.deepest,
            values: self.values,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.values += 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let mut inside = self.inside();
        while items.next_element_seed(inside.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut inside = self.inside();
        while members.next_key_seed(inside.again())?.is_some() {
            members.next_value_seed(inside.again())?;
        }
        Ok(())
    }
}

impl Counter<'_> {
    fn again(&mut self) -> Counter<'_> {
        Counter {
            depth: self.depth,
            deepest: self.deepest,
            values: self.values,
        }
    }
}

/// Depth and values of a document, if `serde_json` reads it.
fn measure(document: &[u8]) -> Option<(u32, u64)> {
    let (mut deepest, mut values) = (0, 0);
    let counter = Counter {
        depth: 0,
        deepest: &mut deepest,
        values: &mut values,
    };
    let mut reader = serde_json::Deserializer::from_slice(document);
    counter.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some((deepest, values))
}

/// What a body is answered with.
fn status(document: &[u8], piece: usize, depth: u32, values: u64) -> u16 {
    let rules = UploadRules::builder().allow_any_size();
    let rules = rules.with_json(depth, values, u64::MAX).build();
    let service = service_fn(async |request: Request<UploadBody<Pieces>>| {
        let read = request.into_body().collect().await;
        read.expect("whoever reads a broken body is dropped");
        Ok::<_, Infallible>(Response::new(()))
    });
    let mut service = UploadLayer::new(rules.expect("no limit is zero")).layer(service);
    let pieces = document.chunks(piece.max(1)).rev();
    let pieces = pieces.map(Bytes::copy_from_slice).collect();
    let request = Request::post("/").header(CONTENT_TYPE, "application/json");
    let request = request.body(Pieces(pieces)).expect("a request");
    let mut context = Context::from_waker(Waker::noop());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => response.status().as_u16(),
        _ => panic!("nothing waits here"),
    }
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (piece, depth, values) = (input.byte(), input.byte(), input.byte());
    let document = input.rest();
    // However a body is cut up, and whatever it is, the answer is the same.
    let (depth, values) = (u32::from(depth).max(1), u64::from(values).max(1));
    let whole = status(document, usize::MAX, depth, values);
    assert_eq!(status(document, piece.into(), depth, values), whole);
    let Some((deepest, count)) = measure(document) else {
        return;
    };
    assert_eq!(status(document, piece.into(), deepest.max(1), count), 200);
    if deepest > 1 {
        assert_eq!(status(document, piece.into(), deepest - 1, count), 400);
    }
    if count > 1 {
        assert_eq!(
            status(document, piece.into(), deepest.max(1), count - 1),
            413
        );
    }
}
