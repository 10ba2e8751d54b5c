//! Typed claims in handlers.

use bartizan_testkit::SigningAlgorithm;
use serde::Deserialize;

use crate::support::Offline;

#[derive(Deserialize)]
struct Tenancy {
    tenant: String,
}

#[cfg(feature = "axum")]
mod axum {
    use ::axum::Router;
    use ::axum::body::{Body, to_bytes};
    use ::axum::routing::get;
    use bartizan_core::Enforcement;
    use bartizan_jwt::{Claims, JwtLayer};
    use http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::{Offline, SigningAlgorithm, Tenancy};

    async fn tenant(Claims(tenancy): Claims<Tenancy>) -> String {
        tenancy.tenant
    }

    async fn get_tenant(app: &Router, token: Option<&str>) -> (StatusCode, String) {
        let mut request = Request::get("/");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_extractor_gives_typed_claims_or_refuses() {
        let offline = Offline::new(SigningAlgorithm::Es256);
        let app = || Router::new().route("/", get(tenant));
        let guarded = app().layer(offline.layer());
        let token = offline.token().claim("tenant", "north").sign().unwrap();
        assert_eq!(
            get_tenant(&guarded, Some(&token)).await,
            (StatusCode::OK, "north".to_owned())
        );

        let bare = offline.token().sign().unwrap();
        let (status, body) = get_tenant(&guarded, Some(&bare)).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(body.contains("jwt.claims_mismatch"), "{body}");

        let shadow = offline
            .config()
            .with_enforcement(Enforcement::Shadow)
            .build()
            .unwrap();
        let shadow = app().layer(JwtLayer::start(shadow).unwrap());
        let (status, body) = get_tenant(&shadow, None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(body.contains("context.no_principal"), "{body}");

        let (status, body) = get_tenant(&app(), Some(&token)).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("context.missing"), "{body}");
    }
}

#[cfg(feature = "tonic")]
mod tonic {
    use ::tonic::{Code, Request};
    use bartizan_core::{Principal, Scheme, SecurityContext};
    use bartizan_jwt::ClaimsRequest;
    use tower::{Layer, ServiceExt, service_fn};

    use super::{Offline, SigningAlgorithm, Tenancy};

    #[tokio::test]
    async fn a_tonic_request_gives_typed_claims_or_refuses() {
        let offline = Offline::new(SigningAlgorithm::Es256);
        let call = async |token: String| {
            let service = service_fn(async |request: http::Request<()>| {
                let (parts, ()) = request.into_parts();
                let mut request = Request::new(());
                *request.extensions_mut() = parts.extensions;
                let tenancy = request.claims::<Tenancy>();
                let answer = tenancy
                    .map(|tenancy| tenancy.tenant)
                    .map_err(|status| status.code());
                let mut response = http::Response::new(());
                response.extensions_mut().insert(answer);
                Ok::<_, std::convert::Infallible>(response)
            });
            let request = http::Request::builder()
                .header("content-type", "application/grpc")
                .header("authorization", format!("Bearer {token}"))
                .body(())
                .unwrap();
            let response = offline
                .layer()
                .layer(service)
                .oneshot(request)
                .await
                .unwrap();
            response.extensions().get::<Result<String, Code>>().cloned()
        };
        let token = offline.token().claim("tenant", "north").sign().unwrap();
        assert_eq!(call(token).await, Some(Ok("north".to_owned())));
        let bare = offline.token().sign().unwrap();
        assert_eq!(call(bare).await, Some(Err(Code::PermissionDenied)));
    }

    #[test]
    fn a_principal_that_was_proven_otherwise_has_no_claims() {
        let mut request = Request::new(());
        let context = SecurityContext::new(http::Uri::from_static("/"));
        request.extensions_mut().insert(context.clone());
        let code = |request: &Request<()>| request.claims::<Tenancy>().err().map(|s| s.code());
        assert_eq!(code(&request), Some(Code::Unauthenticated));
        let principal = Principal::builder(Scheme::ApiKey, "local", "alice").assert_verified();
        context.set_principal(principal).unwrap();
        assert_eq!(code(&request), Some(Code::PermissionDenied));
        assert_eq!(code(&Request::new(())), Some(Code::Internal));
    }
}
