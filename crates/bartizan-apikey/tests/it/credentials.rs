//! Where keys stand in a request, and what becomes of them there.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use bartizan_apikey::VerifiedKey;
use bartizan_core::{Clock as _, Enforcement, SecurityContext};
use bartizan_testkit::{Call, Host};
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::Empty;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{
    STORE, Town, in_short, passed, refused, send, started, with_header, with_key,
};

#[tokio::test]
async fn a_key_is_taken_from_its_field_or_its_scheme_on_every_host() {
    let town = Town::new();
    let layer = town.layer();
    let key = town.key.expose();
    for host in Host::WITHOUT_SOCKETS {
        for (name, value) in [
            ("x-api-key", key.to_owned()),
            ("authorization", format!("ApiKey {key}")),
            ("authorization", format!("apikey   {key}")),
        ] {
            let call = with_header(Call::echo(""), name, &value);
            let answer = host.send(&layer, &call).await.unwrap();
            assert!(answer.is_success(), "{answer:?}");
            let headers = &answer.json()["headers"];
            assert!(headers.get(name).is_none(), "{host:?}: it is taken out");
        }
    }
}

#[tokio::test]
async fn more_than_one_key_is_malformed_whatever_they_are() {
    let town = Town::new();
    let layer = town.layer();
    let key = town.key.expose();
    let scheme = format!("ApiKey {key}");
    for call in [
        with_header(with_key(key), "x-api-key", key),
        with_header(with_key(key), "authorization", &scheme),
        with_key(&format!("{key}, {key}")),
        with_header(
            with_header(Call::echo(""), "authorization", &scheme),
            "authorization",
            "Basic dTpw",
        ),
    ] {
        let answer = send(&layer, &call).await;
        assert_eq!(in_short(&answer), refused(400, "apikey.multiple_keys"));
        let answer = Host::TonicRoutes.send(&layer, &call).await.unwrap();
        assert_eq!(answer.grpc_status, Some(3));
    }
    for call in [
        with_key(""),
        with_header(Call::echo(""), "authorization", "ApiKey"),
    ] {
        let answer = send(&layer, &call).await;
        assert_eq!(
            in_short(&answer),
            refused(400, "apikey.malformed_credentials")
        );
    }
}

#[tokio::test]
async fn what_is_no_key_is_somebody_elses() {
    let town = Town::new();
    let layer = town.layer();
    for value in ["Bearer a.b.c", "Basic dTpw"] {
        let call = with_header(Call::echo(""), "authorization", value);
        let answer = send(&layer, &call).await;
        assert_eq!(in_short(&answer), refused(401, "apikey.missing"), "{value}");
        let call = with_header(with_key(town.key.expose()), "authorization", value);
        let answer = send(&layer, &call).await;
        assert_eq!(in_short(&answer), passed());
        let headers = &answer.json()["headers"];
        assert!(headers.get("authorization").is_some(), "it is left alone");
    }
}

#[tokio::test]
async fn a_key_below_bearer_is_taken_where_that_was_chosen() {
    let town = Town::new();
    let value = format!("Bearer {}", town.key.expose());
    let call = with_header(Call::echo(""), "authorization", &value);
    let answer = send(&town.layer(), &call).await;
    assert_eq!(in_short(&answer), refused(401, "apikey.missing"));
    let layer = started(town.config().allow_bearer());
    assert_eq!(in_short(&send(&layer, &call).await), passed());
}

#[tokio::test]
async fn another_field_takes_the_place_of_the_usual_one() {
    let town = Town::new();
    let name = HeaderName::from_static("x-orders-key");
    let layer = started(town.config().with_header(name));
    let call = with_header(Call::echo(""), "x-orders-key", town.key.expose());
    assert_eq!(in_short(&send(&layer, &call).await), passed());
    let answer = send(&layer, &with_key(town.key.expose())).await;
    assert_eq!(in_short(&answer), refused(401, "apikey.missing"));
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"ApiKey realm="orders-keys", header="x-orders-key""#)
    );
    // `Authorization` itself holds keys below their scheme, and no bare ones.
    let layer = started(town.config().with_header(http::header::AUTHORIZATION));
    let scheme = format!("ApiKey {}", town.key.expose());
    let call = with_header(Call::echo(""), "authorization", &scheme);
    assert_eq!(in_short(&send(&layer, &call).await), passed());
}

#[tokio::test]
async fn anonymous_requests_pass_where_that_was_chosen_and_bad_keys_do_not() {
    let town = Town::new();
    let layer = started(town.config().allow_anonymous());
    let answer = send(&layer, &Call::echo("")).await;
    assert_eq!(in_short(&answer), passed());
    assert!(answer.json()["context"]["principal"].is_null());
    let answer = send(&layer, &with_key("hunter2")).await;
    assert_eq!(in_short(&answer), refused(401, "apikey.malformed"));
}

#[tokio::test]
async fn a_key_that_stays_in_the_request_is_marked_as_sensitive() {
    let town = Town::new();
    for (config, stays) in [
        (town.config(), false),
        (town.config().allow_forwarding(), true),
        (town.config().with_enforcement(Enforcement::Shadow), true),
    ] {
        let service = started(config).layer(service_fn(async |request: Request<Empty<Bytes>>| {
            let value = request.headers().get("x-api-key");
            let sensitive = value.map(|value| value.is_sensitive());
            let context = SecurityContext::of(request.extensions()).unwrap();
            let key = context.claims::<VerifiedKey>().unwrap();
            assert_eq!(key.tenant(), Some("acme"));
            let mut response = Response::new(Empty::<Bytes>::new());
            response.extensions_mut().insert(sensitive);
            Ok::<_, Infallible>(response)
        }));
        let request = Request::get("/").header("x-api-key", town.key.expose());
        let response = service
            .oneshot(request.body(Empty::new()).unwrap())
            .await
            .unwrap();
        let sensitive: Option<bool> = *response.extensions().get().unwrap();
        assert_eq!(sensitive, stays.then_some(true));
    }
}

#[tokio::test]
async fn a_handler_learns_what_was_proven_and_no_secret() {
    let town = Town::new();
    let record = town.record().with_name("the nightly report");
    let layer = started(town.config_of([record.build().unwrap()]));
    let made = town.clock.wall();
    let id = town.key.id();
    town.clock.advance(Duration::from_secs(60));
    let secret = town.key.expose().rsplit('_').next().unwrap().to_owned();
    let service = layer.layer(service_fn(move |request: Request<Empty<Bytes>>| {
        let context = SecurityContext::of(request.extensions()).unwrap();
        let key = context.claims::<VerifiedKey>().unwrap();
        let principal = key.principal();
        assert_eq!(Some(principal), context.principal());
        assert_eq!(
            (principal.issuer(), principal.subject(), principal.client()),
            (STORE, "reports", Some("nightly"))
        );
        assert_eq!(principal.token_id(), Some(id.as_str()));
        assert_eq!((key.id(), key.created()), (id, made));
        assert_eq!(key.name(), Some("the nightly report"));
        let shown = format!("{key:?}");
        assert!(
            shown.contains(id.as_str()) && !shown.contains(&secret),
            "{shown}"
        );
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    }));
    let request = Request::get("/").header("x-api-key", town.key.expose());
    let response = service.oneshot(request.body(Empty::new()).unwrap()).await;
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn in_shadow_mode_keys_that_do_not_hold_are_marked_as_well() {
    let town = Town::new();
    let config = town.config().with_enforcement(Enforcement::Shadow);
    let service = started(config).layer(service_fn(async |request: Request<Empty<Bytes>>| {
        assert_eq!(request.headers().len(), 3);
        let marked = request.headers().values().all(|value| value.is_sensitive());
        assert!(marked, "{:?}", request.headers());
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    let request = Request::get("/")
        .header("x-api-key", "hunter2")
        .header("x-api-key", "hunter3")
        .header("authorization", "ApiKey hunter4");
    let response = service
        .oneshot(request.body(Empty::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
}
