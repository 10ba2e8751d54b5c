//! Hosts without sockets: the service is called as its server would call it.

use axum::Router;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tonic::service::{LayerExt as _, Routes};
use tower::ServiceExt as _;
use tower_layer::Layer;

use super::{Answer, Call, Host, HostLayer};
use crate::echo::{GrpcEcho, HttpEcho, echo_router};
use crate::error::TestkitError;

pub(super) async fn axum<L: HostLayer>(
    host: Host,
    layer: &L,
    call: &Call,
) -> Result<Answer, TestkitError> {
    let router = match host {
        Host::AxumNest => Router::new().nest("/nested", echo_router().layer(layer.clone())),
        Host::AxumRouteLayer => echo_router().route_layer(layer.clone()),
        _ => echo_router().layer(layer.clone()),
    };
    let request = request(host, call)?.map(axum::body::Body::new);
    let Ok(response) = router.oneshot(request).await;
    Ok(Answer::read(host, response, false).await)
}

pub(super) async fn hyper<L: HostLayer>(
    host: Host,
    layer: &L,
    call: &Call,
) -> Result<Answer, TestkitError> {
    let Ok(response) = layer.layer(HttpEcho).oneshot(request(host, call)?).await;
    Ok(Answer::read(host, response, false).await)
}

pub(super) async fn tonic<L: HostLayer>(
    host: Host,
    layer: &L,
    call: &Call,
) -> Result<Answer, TestkitError> {
    let request = request(host, call)?.map(tonic::body::Body::new);
    if host == Host::TonicNamedLayer {
        let routes = Routes::new(layer.named_layer(GrpcEcho));
        let Ok(response) = routes.oneshot(request).await;
        return Ok(Answer::read(host, response, false).await);
    }
    let service = Layer::<Routes>::layer(layer, Routes::new(GrpcEcho));
    let Ok(response) = service.oneshot(request).await;
    Ok(Answer::read(host, response, false).await)
}

fn request(host: Host, call: &Call) -> Result<Request<Full<Bytes>>, TestkitError> {
    let mut request = call.request(host, None)?;
    call.extend(host, request.extensions_mut());
    Ok(request)
}
