//! The layer in front of a tonic channel.

use std::sync::Arc;

use bartizan_jwt::{
    JwtConfig, JwtLayer, OutgoingConfig, OutgoingConfigBuilder, OutgoingError, OutgoingLayer,
    Rules, TokenErrorKind, TokenRequest,
};
use bartizan_testkit::{Endpoint, Fault, GrpcEcho, GrpcEchoClient};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tower::Layer as _;

use super::{Bench, PAYMENTS};

impl Bench {
    /// A gRPC server that takes tokens for payments alone.
    async fn grpc(&self) -> String {
        let rules = Rules::builder(self.online.issuer.issuer(), PAYMENTS);
        let config = JwtConfig::builder(rules.build().unwrap())
            .with_roots(self.online.roots())
            .with_clock(Arc::new(self.online.clock.clone()));
        let layer = JwtLayer::load(config.build().unwrap()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().layer(layer).add_service(GrpcEcho);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        origin
    }

    fn over(&self, builder: OutgoingConfigBuilder, origin: &str) -> OutgoingLayer {
        let config = builder
            .with_channel_destination(origin)
            .with_clock(Arc::new(self.online.clock.clone()));
        OutgoingLayer::new(config.build().unwrap())
    }
}

async fn channel(origin: &str) -> Channel {
    let endpoint = Channel::from_shared(origin.to_owned()).unwrap();
    endpoint.connect().await.unwrap()
}

#[tokio::test]
async fn calls_over_a_channel_carry_the_exchanged_token() {
    let bench = Bench::new().await;
    let origin = bench.grpc().await;
    let request = bench
        .request()
        .add_audience(PAYMENTS)
        .with_scopes(["payments:create"]);
    let layer = bench.over(OutgoingConfig::exchange(request), &origin);
    let mut client = GrpcEchoClient::new(layer.layer(channel(&origin).await));
    let caller = bench.caller_named("alice").await;
    for _ in 0..2 {
        let mut call = tonic::Request::new(Bytes::from_static(b"charge"));
        call.extensions_mut().insert(caller.clone());
        let seen = client.unary(call).await.unwrap().into_inner();
        let seen: serde_json::Value = serde_json::from_slice(&seen).unwrap();
        assert_eq!(seen["context"]["principal"]["subject"], "alice");
        assert_eq!(seen["context"]["principal"]["scopes"][0], "payments:create");
    }
    assert_eq!(bench.asked(), 1);

    let nobody = client
        .unary(tonic::Request::new(Bytes::new()))
        .await
        .unwrap_err();
    assert_eq!(kind(&nobody), Some(TokenErrorKind::NoCaller));
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_told_as_what_it_is() {
    let bench = Bench::new().await;
    let origin = bench.grpc().await;
    let layer = bench.over(OutgoingConfig::client_credentials(bench.request()), &origin);
    let mut client = GrpcEchoClient::new(layer.layer(channel(&origin).await));
    bench
        .online
        .issuer
        .set_fault(Endpoint::Token, Fault::Status(500));
    let status = client
        .unary(tonic::Request::new(Bytes::new()))
        .await
        .unwrap_err();
    assert_eq!(kind(&status), Some(TokenErrorKind::Unavailable));
    #[cfg(feature = "tonic")]
    assert_eq!(status.code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn a_grpc_service_that_refuses_a_token_has_it_given_up() {
    let bench = Bench::new().await;
    let origin = bench.grpc().await;
    // It is not meant for payments.
    let request = TokenRequest::new(bench.endpoint(super::basic())).add_audience("other");
    let layer = bench.over(OutgoingConfig::client_credentials(request), &origin);
    let mut client = GrpcEchoClient::new(layer.layer(channel(&origin).await));
    for _ in 0..5 {
        let status = client
            .unary(tonic::Request::new(Bytes::new()))
            .await
            .unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unauthenticated);
    }
    assert_eq!(bench.asked(), 2);
}

/// Why there was no token, from what a client is told.
fn kind(status: &tonic::Status) -> Option<TokenErrorKind> {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(OutgoingError::Token(error)) =
            error.downcast_ref::<OutgoingError<tonic::transport::Error>>()
        {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}
