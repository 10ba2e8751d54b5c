//! The service.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bartizan_core::{Entrance, Protocol, SecurityContext};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::EncryptBody;
use crate::config::EncryptConfig;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::future::{EncryptFuture, Exchange};

/// A service behind an [`EncryptLayer`](crate::EncryptLayer).
#[derive(Clone, Debug)]
pub struct Encrypt<S> {
    inner: S,
    config: EncryptConfig,
    entrance: Option<Arc<Entrance>>,
}

impl<S> Encrypt<S> {
    pub(crate) fn new(inner: S, config: EncryptConfig, entrance: Option<Arc<Entrance>>) -> Self {
        Self {
            inner,
            config,
            entrance,
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Encrypt<S>
where
    S: Service<Request<EncryptBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    ReqBody: Body<Data = Bytes>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<EncryptBody<ResBody>>;
    type Error = S::Error;
    type Future = EncryptFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let protocol = Protocol::of(&parts);
        // The instance that was polled ready is the one that is called; if none is, what it
        // reserved is given back with it.
        let fresh = self.inner.clone();
        let ready = mem::replace(&mut self.inner, fresh);
        let context = match SecurityContext::of(&parts.extensions) {
            Some(context) => context.clone(),
            None => {
                let (context, opened) =
                    Entrance::open(self.entrance.as_deref(), &mut parts, protocol);
                if let Err(rejection) = opened {
                    return EncryptFuture::refused(rejection, protocol);
                }
                context
            }
        };
        let settings = Arc::clone(&self.config.0);
        let place = settings.locate.locate(&parts, &context);
        let mut exchange = Exchange::new(settings, context, protocol, &parts.method);
        let Some(place) = place else {
            let error = EncryptErrorKind::NoPlace.into();
            return EncryptFuture::unfit(exchange, error, ready, parts, body);
        };
        exchange.place = Some(place);
        if body.is_end_stream() {
            return EncryptFuture::calling(exchange, ready, parts, EncryptBody::inner(body));
        }
        match require_json(&parts.headers) {
            Ok(()) => EncryptFuture::receiving(exchange, ready, parts, body),
            Err(error) => EncryptFuture::unfit(exchange, error, ready, parts, body),
        }
    }
}

/// Whether a body is JSON, and not compressed.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), EncryptError> {
    let unsupported = EncryptErrorKind::UnsupportedMedia;
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(media), None) = (types.next(), types.next()) else {
        return Err(unsupported.into());
    };
    let coded = |value: &http::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(coded) {
        return Err(unsupported.into());
    }
    let media = media
        .to_str()
        .map_err(|_| unsupported)?
        .to_ascii_lowercase();
    let mut parts = media.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let suffixed = name.starts_with("application/") && name.ends_with("+json");
    // Messages with a length in front of each, which is no document.
    let framed = name.starts_with("application/grpc");
    // Whoever reads a parameter more leniently than we do finds no other charset in it.
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().starts_with("charset") => {
            name == "charset" && charset.trim_matches('"') == "utf-8"
        }
        _ => true,
    });
    if (name == "application/json" || suffixed) && !framed && utf8 {
        Ok(())
    } else {
        Err(unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_told_from_what_only_looks_like_it() {
        for (media, coding, expected) in [
            ("application/json", None, true),
            ("Application/JSON; charset=UTF-8", None, true),
            ("application/problem+json", None, true),
            ("application/json;charset=\"utf-8\"", Some("identity"), true),
            ("application/json; charset=utf-16", None, false),
            ("application/json; charset =utf-16", None, false),
            ("application/json; charset*=utf-16''x", None, false),
            (
                "application/json; charset=utf-8; charset=utf-16",
                None,
                false,
            ),
            ("application/json; a=\";charset=utf-16\"", None, false),
            ("application/json; version=1", None, true),
            ("application/json, text/plain", None, false),
            ("application/json-seq", None, false),
            ("text/event-stream", None, false),
            ("application/json", Some("identity, gzip"), false),
            ("application/json", Some(""), false),
            ("application/json", Some("gzip"), false),
            ("application/jsonp", None, false),
            ("text/json", None, false),
            ("text/x+json", None, false),
            ("application/x-ndjson", None, false),
            ("application/grpc+json", None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
            if let Some(coding) = coding {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            assert_eq!(
                require_json(&headers).is_ok(),
                expected,
                "{media} {coding:?}"
            );
            headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            assert!(require_json(&headers).is_err(), "two types");
        }
        assert!(require_json(&HeaderMap::new()).is_err());
    }
}
