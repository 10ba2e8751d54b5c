//! A request, before it is known which host gets it.

use axum::extract::ConnectInfo;
use bartizan_core::Connection;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;

use super::Host;

/// A request for any [`Host`]: over HTTP to the HTTP echo, over gRPC to the gRPC echo.
#[derive(Clone, Debug)]
#[must_use = "a call is sent by `Host::send`"]
pub struct Call {
    method: Method,
    http_path: String,
    grpc_method: &'static str,
    headers: HeaderMap,
    message: Bytes,
    connection: Option<Connection>,
    extensions: Extensions,
}

impl Call {
    /// `POST /echo`, or method `Unary`, with this body.
    pub fn echo(body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            http_path: "/echo".to_owned(),
            grpc_method: "/bartizan.testkit.Echo/Unary",
            headers: HeaderMap::new(),
            message: body.into(),
            connection: None,
            extensions: Extensions::new(),
        }
    }

    /// `GET /stream/{count}`, or method `Stream`, which answers `count` items.
    pub fn stream(count: u32) -> Self {
        Self {
            method: Method::GET,
            http_path: format!("/stream/{count}"),
            grpc_method: "/bartizan.testkit.Echo/Stream",
            ..Self::echo(count.to_string())
        }
    }

    /// As [`stream`](Self::stream), but the answer does not end after its items: what ends it is
    /// the layer under test. Without such a layer, sending this call never returns.
    pub fn open_stream(count: u32) -> Self {
        Self {
            http_path: format!("/stream/{count}/open"),
            message: Bytes::from(format!("{count}/open")),
            ..Self::stream(count)
        }
    }

    /// Replaces path and query; for HTTP hosts alone.
    pub fn with_http_path(mut self, path_and_query: impl Into<String>) -> Self {
        self.http_path = path_and_query.into();
        self
    }

    /// Replaces the method; for HTTP hosts alone.
    pub fn with_http_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Adds a header line; a second one of the same name stands beside the first.
    pub fn add_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds `authorization: Bearer {token}`.
    ///
    /// # Errors
    ///
    /// [`http::Error`] if `token` has a character that no header can carry.
    pub fn with_bearer(self, token: &str) -> Result<Self, http::Error> {
        let value = HeaderValue::try_from(format!("Bearer {token}"))?;
        Ok(self.add_header(header::AUTHORIZATION, value))
    }

    /// What the listener knows of the connection, put where the host's listeners put it.
    pub fn with_connection(mut self, connection: Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Adds a value to the request's extensions, as a layer further out would.
    pub fn add_extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// The request as `host` gets it. Its URI is a bare path unless `authority` is given.
    pub(super) fn request(
        &self,
        host: Host,
        authority: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let grpc = host.is_grpc();
        let (method, path) = match (grpc, host) {
            (true, _) => (&Method::POST, self.grpc_method.to_owned()),
            (false, Host::AxumNest) => (&self.method, format!("/nested{}", self.http_path)),
            (false, _) => (&self.method, self.http_path.clone()),
        };
        let uri = match authority {
            Some(authority) => format!("http://{authority}{path}"),
            None => path,
        };
        let body = if grpc {
            framed(&self.message)
        } else {
            self.message.clone()
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Full::new(body))?;
        *request.headers_mut() = self.headers.clone();
        if grpc {
            let content_type = HeaderValue::from_static("application/grpc");
            request
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type);
            request
                .headers_mut()
                .insert(header::TE, HeaderValue::from_static("trailers"));
        }
        Ok(request)
    }

    /// Puts connection and extensions into a request, as a listener and outer layers would.
    pub(super) fn extend(&self, host: Host, extensions: &mut Extensions) {
        extensions.extend(self.extensions.clone());
        let Some(connection) = self.connection.clone() else {
            return;
        };
        // axum wraps what its listener says; the other hosts insert it bare.
        match host {
            Host::AxumLayer | Host::AxumNest | Host::AxumRouteLayer => {
                extensions.insert(ConnectInfo(connection));
            }
            _ => {
                extensions.insert(connection);
            }
        }
    }
}

/// The five bytes in front of a gRPC message: not compressed, length.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}
