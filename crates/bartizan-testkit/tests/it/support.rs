//! A small HTTPS client, and reading of tokens.

use std::sync::Arc;

use bartizan_testkit::{DevelopmentCa, IssuedCertificate, tls};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Sends `GET {url}` with an ordinary client that trusts `ca` and checks the server's name.
pub(crate) async fn get(ca: &DevelopmentCa, url: &str) -> hyper::Result<Response<Incoming>> {
    let uri: http::Uri = url.parse().unwrap();
    let authority = uri.authority().unwrap().clone();
    let socket = TcpStream::connect(authority.as_str()).await.unwrap();
    let mut config = tls::client_config(ca).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = authority.host().to_owned().try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(uri.path())
        .header("host", authority.as_str())
        .body(Empty::<Bytes>::new())
        .unwrap();
    sender.send_request(request).await
}

/// As [`get`], read to the end as JSON.
pub(crate) async fn get_json(ca: &DevelopmentCa, url: &str) -> Value {
    let response = get(ca, url).await.unwrap();
    assert_eq!(response.status(), 200, "{url}");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// One of the first two parts of a token, as JSON.
pub(crate) fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&raw_part(token, index)).unwrap()
}

/// One part of a token, decoded.
pub(crate) fn raw_part(token: &str, index: usize) -> Vec<u8> {
    URL_SAFE_NO_PAD
        .decode(token.split('.').nth(index).unwrap())
        .unwrap()
}

/// What the signature of a token covers.
pub(crate) fn signing_input(token: &str) -> &str {
    token.rsplit_once('.').unwrap().0
}

/// Posts a form as `get` asks, with the client certificate of `identity`; status and JSON.
pub(crate) async fn post_form(
    ca: &DevelopmentCa,
    identity: Option<&IssuedCertificate>,
    url: &str,
    authorization: Option<&str>,
    form: &str,
) -> (u16, Value) {
    let uri: http::Uri = url.parse().unwrap();
    let authority = uri.authority().unwrap().clone();
    let socket = TcpStream::connect(authority.as_str()).await.unwrap();
    let mut config = tls::dangerous_client_config(ca, identity).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = authority.host().to_owned().try_into().unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, socket).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(uri.path()).header("host", authority.as_str());
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let request = request.body(Full::<Bytes>::from(form.to_owned())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}
