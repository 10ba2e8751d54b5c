//! Ways in which a path might slip past a denial.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::any;
use bartizan_authz::{Callers, Rule, Targets};
use bartizan_core::{Entrance, RouteTable};
use http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::support::layer;

const SECRET: &str = "secret";

/// A service whose routes below `/admin` and `/api/admin` are denied to everybody, in front of
/// a router that nests and one that answers whatever comes.
fn app() -> Router {
    let nested = Router::new()
        .route("/admin", any(async || SECRET))
        .route("/admin/{*rest}", any(async || SECRET))
        .route("/public", any(async || "public"));
    let denials = [
        Rule::deny("admin").to(Targets::any_method("/admin").path("/admin/{*rest}")),
        Rule::deny("nested admin").to(Targets::any_method("/api/admin/{*rest}")),
        Rule::deny("methods").to(Targets::grpc_service("shop.Admin")),
        Rule::allow("all"),
    ];
    Router::new()
        .nest("/api", nested)
        .route("/admin", any(async || SECRET))
        .route("/admin/{*rest}", any(async || SECRET))
        .route("/shop.Admin/{method}", any(async || SECRET))
        .fallback(any(async |Path(()): Path<()>| "nothing"))
        .route("/public", any(async || "public"))
        .layer(layer(denials))
}

async fn ask(method: &str, target: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(target);
    let Ok(request) = request.body(Body::empty()) else {
        // No server hands such a target on.
        return (0, String::new());
    };
    let response = app().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Each must be refused by the layer (400 or 403), or be a target that no server takes.
const TRICKS: [&str; 66] = [
    "/admin",
    "/admin/",
    "/admin/users",
    "/admin/users/",
    "/ADMIN",
    "/Admin/users",
    "/aDmIn/",
    "/%61dmin",
    "/%61%64%6d%69%6e",
    "/%61%64%6D%69%6E/users",
    "/admi%6e",
    "/admi%6E/",
    "/%41dmin",
    "/admin%2fusers",
    "/admin%2Fusers",
    "/admin%5cusers",
    "/admin%5Cusers",
    "/admin\\users",
    "/admin/.",
    "/admin/./users",
    "/./admin",
    "/admin/..",
    "/admin/../admin",
    "/public/../admin",
    "/public/..%2fadmin",
    "/public/%2e%2e/admin",
    "/public/%2E%2E/admin",
    "/public/.%2e/admin",
    "/public/%2e./admin",
    "/public/..;/admin",
    "/public;/../admin",
    "/%2e/admin",
    "/%2e%2e/admin",
    "//admin",
    "///admin",
    "//admin//users",
    "/admin//users",
    "/admin//",
    "/admin;",
    "/admin;x=1",
    "/admin;x=1/users",
    "/admin/;/users",
    "/admin%3b",
    "/admin%3Bx=1/users",
    "/admin%00",
    "/admin%00.html",
    "/admin%0a",
    "/admin%0d%0a",
    "/admin%09",
    "/admin/%00/users",
    "/admin?x=1",
    "/admin/?x=1",
    "/admin/users?next=/public",
    "/admin?/../public",
    "/api/admin",
    "/api/admin/",
    "/api/admin/users",
    "/api/ADMIN/users",
    "/api/%61dmin/users",
    "/api//admin/users",
    "/api/public/../admin",
    "/api/./admin/users",
    "http://public.example/admin",
    "http://public.example/admin/users?x",
    "/shop.Admin/Drop",
    "/shop.admin/Drop",
];

#[tokio::test]
async fn no_spelling_slips_past_a_denial() {
    let mut taken = 0;
    for target in TRICKS {
        for method in ["GET", "POST", "HEAD", "get", "PROPFIND"] {
            let (status, body) = ask(method, target).await;
            assert!(
                matches!(status, 0 | 400 | 403),
                "{method} {target}: {status} {body}"
            );
            assert_ne!(body, SECRET, "{method} {target}");
            taken += usize::from(status != 0);
        }
    }
    assert!(
        taken > TRICKS.len() * 4,
        "most of them reach the layer: {taken}"
    );
}

#[tokio::test]
async fn what_only_looks_like_it_is_not_denied() {
    for (target, expected) in [
        ("/public", "public"),
        ("/api/public", "public"),
        ("/api/%70ublic", "nothing"),
        ("/administrators", "nothing"),
        ("/public/admin", "nothing"),
        ("/shop.Administration/Drop", "nothing"),
        ("/admin.html", "nothing"),
        ("/admin%20", "nothing"),
    ] {
        let (status, body) = ask("GET", target).await;
        assert_eq!((status, body.as_str()), (200, expected), "{target}");
    }
}

/// Without the layer the first spelling reaches the handler: what refuses is the rule.
#[tokio::test]
async fn the_secret_is_there_to_be_had() {
    let open = Router::new().route("/admin", any(async || SECRET));
    let request = Request::get("/admin").body(Body::empty()).unwrap();
    let body = open.oneshot(request).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), SECRET);
}

/// A service that anybody may ask for its public pages, and clerks for those of its tenants: one
/// router, which compares paths as they were sent.
fn pages(routes: &[&str]) -> Router {
    let rules = [
        Rule::allow("pages for all").to(Targets::any_method("/public/{page}").path("/about")),
        Rule::allow("tenants for clerks")
            .from(Callers::anybody().role("clerk"))
            .to(Targets::any_method("/{tenant}/{page}")),
    ];
    let mut layer = layer(rules);
    if !routes.is_empty() {
        let routes = RouteTable::new(routes).unwrap();
        layer = layer.with_entrance(Entrance::new().with_routes(routes));
    }
    Router::new()
        .route("/public/{page}", any(async || "public"))
        .route("/{tenant}/{page}", any(async || SECRET))
        .fallback(any(async || SECRET))
        .route("/about", any(async || "about"))
        .layer(layer)
}

#[tokio::test]
async fn what_is_allowed_leads_a_router_nowhere_else() {
    let all = ["/public/{page}", "/{tenant}/{page}", "/about"];
    for routes in [&[][..], &["/about"], &all] {
        for (target, expected) in [
            ("/public/news", Some("public")),
            // The same to a router: what differs is no part of its route.
            ("/public/n%65ws", Some("public")),
            ("/about", Some("about")),
            ("/acme/news", None),
            ("/%70ublic/news", None),
            ("/publi%63/news", None),
            ("/%61bout", None),
        ] {
            let request = Request::get(target).body(Body::empty()).unwrap();
            let response = pages(routes).oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            match expected {
                Some(expected) => assert_eq!((status, &*body), (200, expected.as_bytes())),
                None => assert!(matches!(status, 400 | 403), "{target} {routes:?}: {status}"),
            }
        }
    }
}
