//! Whole heads of requests: whatever a client sends, nobody without a credential gets behind the
//! layers that ask for one, and the refusal is in the form that its protocol reads.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::time::Duration;

use bartizan_apikey::{ApiKeyConfig, ApiKeyLayer, KeyFormat, KeyRecord, NewKey, Peppers};
use bartizan_core::{Clock, Protocol, SystemClock};
use bartizan_jwt::{Algorithm, JwtConfig, JwtLayer, KeySet, Rules, SharedSecret};
use bartizan_ratelimit::DeadlineLayer;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::input::Input;

struct World {
    runtime: tokio::runtime::Runtime,
    jwt: JwtLayer,
    keys: ApiKeyLayer,
    deadline: DeadlineLayer,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let rules =
            Rules::builder("https://issuer.example", "orders").with_algorithms([Algorithm::Hs256]);
        let secret = SharedSecret::new(Algorithm::Hs256, &[0x5a; 32]).expect("secret");
        let jwt = JwtConfig::builder(rules.build().expect("rules"))
            .with_keys(KeySet::from_secrets([secret]))
            .allow_cookie("session")
            .allow_websocket_protocol("bearer");
        let key = NewKey::generate(&KeyFormat::live()).expect("random bytes");
        let now = SystemClock.wall();
        let record = KeyRecord::builder(&key, &Peppers::none(), "reports", now).build();
        let keys = ApiKeyConfig::builder("orders-keys").with_keys([record.expect("a record")]);
        World {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
            jwt: JwtLayer::start(jwt.build().expect("a setting")).expect("a layer"),
            keys: ApiKeyLayer::start(keys.build().expect("a setting")).expect("a layer"),
            deadline: DeadlineLayer::try_new(Duration::from_secs(5)).expect("a layer"),
        }
    })
}

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let Some(request) = request(bytes) else {
        return;
    };
    let world = world();
    let _entered = world.runtime.enter();
    let refuse = || {
        service_fn(
            async |_: Request<()>| -> Result<Response<String>, Infallible> {
                panic!("nobody gets here")
            },
        )
    };
    check_refusal(&request, world.jwt.clone().layer(refuse()));
    check_refusal(&request, world.keys.clone().layer(refuse()));
    check_refusal(
        &request,
        world
            .deadline
            .clone()
            .layer(world.jwt.clone().layer(refuse())),
    );
}

fn check_refusal<S, B>(request: &Request<()>, service: S)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body,
    B::Error: std::fmt::Debug,
{
    let answer = async {
        let Ok(answer) = service.oneshot(request.clone()).await;
        let (head, body) = answer.into_parts();
        (
            head,
            body.collect().await.expect("a body of ours").to_bytes(),
        )
    };
    let (head, body) = world().runtime.block_on(answer);
    if Protocol::of_request(request).is_grpc() {
        assert_eq!(head.status, 200);
        let status = head.headers["grpc-status"].to_str().expect("digits");
        assert!((1..=16).contains(&status.parse::<u8>().expect("a number")));
        return;
    }
    assert!(head.status.is_client_error() || head.status.is_server_error());
    assert_eq!(head.headers[CONTENT_TYPE], "application/problem+json");
    if request.method() != Method::HEAD {
        let problem: Value = serde_json::from_slice(&body).expect("a document");
        assert_eq!(problem["status"], head.status.as_u16());
        assert!(
            problem["code"]
                .as_str()
                .is_some_and(|code| code.contains('.'))
        );
    }
}

/// Method, target, and a line for each field.
fn request(bytes: &[u8]) -> Option<Request<()>> {
    let mut input = Input::new(bytes);
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(input.line()).ok()?;
    *request.uri_mut() = Uri::try_from(input.line()).ok()?;
    while !input.is_empty() {
        let line = input.line();
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?;
        request.headers_mut().try_append(name, value).ok()?;
    }
    Some(request)
}
