//! What browsers ask for beforehand, on behalf of any page.

use crate::table::{INTRUDER, table};

table! { Order;
    "order.options-without-credential" [Harmless] "what may be done, without a credential", "RFC 9110 §9.3.7" =>
        |given| given.bares(|it| [it.clone().method("OPTIONS").body(""), it.method("OPTIONS").target("*").body("")]);
    "order.preflight-of-foreign-page" [Harmless] "whether a foreign page may ask with the user's credentials", "CWE-942" =>
        |given| {
            let origin = format!("https://{INTRUDER}.example");
            Ok(given.bares(|it| ["GET", "POST", "DELETE"].map(|method| it.clone().method("OPTIONS").body("").field("origin", &origin)
                .field("access-control-request-method", method).field("access-control-request-headers", "authorization")))?.planting(origin))
        };
    "order.request-of-foreign-page" [Harmless] "whether a foreign page may read an answer", "CWE-942" =>
        |given| { let origin = format!("https://{INTRUDER}.example"); Ok(given.drafts(|it| [it.field("origin", &origin)])?.planting(origin)) };
    "order.request-of-page-without-origin" [Harmless] "whether a page in a frame without an origin may read an answer", "CWE-942" =>
        |given| Ok(given.drafts(|it| [it.field("origin", "null")])?.planting("access-control-allow-origin: null"));
    "order.request-of-look-alike-page" [Harmless] "whether a page whose host ends in the right one may read an answer", "CWE-942" =>
        |given| {
            let origin = format!("https://{INTRUDER}.localhost");
            Ok(given.drafts(|it| [it.clone().field("origin", &origin), it.field("origin", format!("https://localhost.{INTRUDER}.localhost"))])?.planting(format!("{INTRUDER}.localhost")))
        };
    "order.request-of-browser-without-credential" "a request of a page without a credential", "CWE-306" =>
        |given| given.bares(|it| [it.field("origin", "http://localhost").field("sec-fetch-mode", "cors").field("sec-fetch-site", "same-origin")]);
    "order.preflight-that-is-none" "a request that only looks like a preflight, without a credential", "CWE-436" =>
        |given| given.bares(|it| [it.field("origin", "http://localhost").field("access-control-request-method", "GET")]);
    "order.preflight-by-override" "a preflight by a field that replaces its method, without a credential", "CWE-436" =>
        |given| given.bares(|it| [it.clone().field("x-http-method-override", "OPTIONS").field("origin", "http://localhost"), it.field("x-method-override", "OPTIONS")]);
    "order.prefetch-without-credential" "what a browser asks for before it is needed, without a credential", "CWE-306" =>
        |given| given.bares(|it| [("purpose", "prefetch"), ("sec-purpose", "prefetch;prerender"), ("x-moz", "prefetch"), ("service-worker", "script"), ("x-requested-with", "XMLHttpRequest")]
            .map(|(name, value)| it.clone().field(name, value)));
    "order.private-network" [Harmless] "whether a public page may reach into a private network", "Private Network Access" =>
        |given| Ok(given.bares(|it| [it.method("OPTIONS").body("").field("origin", "https://other.invalid").field("access-control-request-method", "GET").field("access-control-request-private-network", "true")])?
            .planting("access-control-allow-private-network: true"));
    "order.answer-from-a-cache" "what was answered to somebody with a credential, a moment later without", "RFC 9111 §3.5" =>
        |given| given.bares(|it| [it.clone(), it.clone().field("cache-control", "only-if-cached"), it.clone().field("cache-control", "max-stale=999999"), it.field("pragma", "cache")]);
}
