//! The calls that a service makes itself, and the tokens that they carry.

mod authentication;
mod chain;
mod failures;
mod forwarding;
mod secrecy;
mod supply;
mod tonic_channel;

use std::convert::Infallible;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Connection, Event, observe_fn};
use bartizan_jwt::{
    CallerToken, ClientAuthentication, HttpsFetcher, JwtLayer, OutgoingConfig,
    OutgoingConfigBuilder, OutgoingError, OutgoingLayer, TokenEndpoint, TokenError, TokenRequest,
};
use bartizan_testkit::Endpoint;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use serde_json::Value;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use crate::support::Online;

const PAYMENTS: &str = "https://payments.example";
const SECRET: &str = "s3cr3t-of-orders";

/// An authorization server that knows the service, and what the service is called.
struct Bench {
    online: Online,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    async fn new() -> Self {
        let online = Online::new().await;
        online.issuer.add_client("orders", SECRET);
        Self {
            online,
            notes: Arc::default(),
        }
    }

    fn endpoint(&self, authentication: ClientAuthentication) -> TokenEndpoint {
        let builder = TokenEndpoint::builder(&self.online.issuer.token_endpoint(), authentication);
        builder.with_roots(self.online.roots()).build().unwrap()
    }

    /// As [`endpoint`](Self::endpoint), without much patience.
    fn hasty_endpoint(&self) -> TokenEndpoint {
        let url = self.online.issuer.token_endpoint();
        let fetcher = HttpsFetcher::builder()
            .with_roots(self.online.roots())
            .with_deadline(Duration::from_millis(300))
            .with_body_limit(64 * 1024);
        let builder = TokenEndpoint::builder(&url, basic());
        builder
            .with_fetcher(fetcher.build().unwrap())
            .build()
            .unwrap()
    }

    fn request(&self) -> TokenRequest {
        TokenRequest::new(self.endpoint(basic()))
    }

    fn layer(&self, builder: OutgoingConfigBuilder) -> OutgoingLayer {
        let notes = Arc::clone(&self.notes);
        let observer = observe_fn(move |event: &Event<'_>| {
            let Event::Lifecycle(event) = event else {
                return;
            };
            notes.lock().unwrap().push(event.code().to_string());
        });
        let config = builder
            .add_destination(PAYMENTS)
            .with_clock(Arc::new(self.online.clock.clone()))
            .with_observer(Arc::new(observer));
        OutgoingLayer::new(config.build().unwrap())
    }

    fn own(&self) -> OutgoingLayer {
        self.layer(OutgoingConfig::client_credentials(self.request()))
    }

    fn exchanging(&self) -> OutgoingLayer {
        let request = self.request().add_audience(PAYMENTS);
        self.layer(OutgoingConfig::exchange(
            request.with_scopes(["payments:create"]),
        ))
    }

    /// What the layer keeps of a request with this token of a user.
    async fn caller(&self, token: &str) -> CallerToken {
        self.caller_on(token, None).await
    }

    async fn caller_on(&self, token: &str, connection: Option<Connection>) -> CallerToken {
        let config = self.online.config().allow_forwarding().build().unwrap();
        let keep = service_fn(|request: Request<String>| {
            let mut response = Response::new(String::new());
            let caller = request.extensions().get::<CallerToken>().cloned();
            response.extensions_mut().insert(caller.unwrap());
            ready(Ok::<_, Infallible>(response))
        });
        let service = JwtLayer::load(config).await.unwrap().layer(keep);
        let mut request = Request::builder()
            .header("authorization", format!("Bearer {token}"))
            .body(String::new())
            .unwrap();
        if let Some(connection) = connection {
            request.extensions_mut().insert(connection);
        }
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.extensions().get::<CallerToken>().cloned().unwrap()
    }

    /// A token of this user, with scopes for payments.
    fn token_of(&self, subject: &str) -> String {
        let token = self.online.token().subject(subject);
        token
            .scope("orders:read payments:create payments:refund")
            .sign()
            .unwrap()
    }

    async fn caller_named(&self, subject: &str) -> CallerToken {
        self.caller(&self.token_of(subject)).await
    }

    fn asked(&self) -> usize {
        self.online.issuer.requests(Endpoint::Token)
    }

    /// The form field of this name in the last request.
    fn sent(&self, name: &str) -> Vec<String> {
        let forms = self.online.issuer.forms();
        let fields = forms.last().cloned().unwrap_or_default();
        let named = fields.into_iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value).collect()
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }
}

fn basic() -> ClientAuthentication {
    ClientAuthentication::basic("orders", SECRET)
}

fn call() -> Request<String> {
    Request::post(format!("{PAYMENTS}/charges"))
        .body(String::new())
        .unwrap()
}

fn call_for(caller: &CallerToken) -> Request<String> {
    let mut call = call();
    call.extensions_mut().insert(caller.clone());
    call
}

/// A service that counts its calls, and answers with the head that it was sent.
#[derive(Clone, Default)]
struct Payments {
    calls: Arc<AtomicUsize>,
    refuses: Arc<Mutex<Option<Response<()>>>>,
}

impl Payments {
    fn behind(
        &self,
        layer: &OutgoingLayer,
    ) -> impl Service<
        Request<String>,
        Response = Response<Request<String>>,
        Error = OutgoingError<Infallible>,
        Future: Send,
    > + Clone
    + use<> {
        let payments = self.clone();
        layer.layer(service_fn(move |request: Request<String>| {
            payments.calls.fetch_add(1, Ordering::SeqCst);
            let refusal = payments.refuses.lock().unwrap().clone();
            let response = match refusal {
                Some(refusal) => refusal.map(|()| request),
                None => Response::new(request),
            };
            async { Ok::<_, Infallible>(response) }
        }))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// The token that a call carried.
async fn carried(layer: &OutgoingLayer, request: Request<String>) -> Result<String, TokenError> {
    let answered = Payments::default().behind(layer).oneshot(request).await;
    match answered {
        Ok(response) => Ok(bearer(response.body())),
        Err(OutgoingError::Token(error)) => Err(error),
        Err(OutgoingError::Inner(never)) => match never {},
    }
}

fn bearer(request: &Request<String>) -> String {
    let mut values = request.headers().get_all("authorization").iter();
    let value = values.next().unwrap();
    assert!(values.next().is_none(), "there is one token");
    assert!(value.is_sensitive());
    value
        .to_str()
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap()
        .to_owned()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn values_are_cloneable_shareable_and_printable() {
    fn check<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    check::<CallerToken>();
    check::<ClientAuthentication>();
    check::<bartizan_jwt::ClientKey>();
    check::<bartizan_jwt::Introspection>();
    check::<bartizan_jwt::IntrospectionBuilder>();
    check::<bartizan_jwt::Outgoing<()>>();
    check::<OutgoingConfig>();
    check::<OutgoingConfigBuilder>();
    check::<OutgoingLayer>();
    check::<TokenEndpoint>();
    check::<TokenError>();
    check::<TokenRequest>();

    fn check_error<E: std::error::Error + Send + Sync + 'static>() {}
    check_error::<OutgoingError<TokenError>>();
}
