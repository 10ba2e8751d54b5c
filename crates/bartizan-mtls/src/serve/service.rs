//! The application's service, as hyper calls it for one connection.

use bartizan_core::Connection;
use http::Request;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tower_service::Service;

/// Tells each request which connection it came on.
pub(super) struct OnConnection<S> {
    service: TowerToHyperService<S>,
    connection: Connection,
}

impl<S> OnConnection<S> {
    pub(super) fn new(service: S, connection: Connection) -> Self {
        Self {
            service: TowerToHyperService::new(service),
            connection,
        }
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for OnConnection<S>
where
    S: Service<Request<Incoming>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = <TowerToHyperService<S> as hyper::service::Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.connection.clone());
        self.service.call(request)
    }
}
