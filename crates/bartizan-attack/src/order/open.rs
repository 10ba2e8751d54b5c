//! From an open route into a closed one, and past what a credential allows.

use crate::draft::Draft;
use crate::given::{Given, Made};
use crate::table::table;
use crate::volley::Volley;

table! { Order;
    "order.open-with-dots" "the closed path by way of the open one and `..`", "CWE-22" =>
        |given| below(given, |open, closed| vec![format!("{open}/..{closed}"), format!("{open}/../..{closed}"), format!("{open}/.{closed}"), format!("{open}/x/../..{closed}")]);
    "order.open-with-encoded-dots" "the same with dots and slashes percent-encoded", "CWE-22" =>
        |given| below(given, |open, closed| vec![format!("{open}/%2e%2e{closed}"), format!("{open}%2f..{closed}"), format!("{open}/..%2f{}", closed.trim_start_matches('/')), format!("{open}%2f%2e%2e%2f{}", closed.trim_start_matches('/')), format!("{open}/%252e%252e{closed}")]);
    "order.open-with-parameter" "the closed path by way of the open one and a parameter", "CVE-2020-11989" =>
        |given| below(given, |open, closed| vec![format!("{open};/..{closed}"), format!("{open}/..;{closed}"), format!("{open};{closed}")]);
    "order.open-with-backslash" "the closed path by way of the open one and backslashes", "CWE-22" =>
        |given| below(given, |open, closed| vec![format!("{open}/..%5c{}", closed.trim_start_matches('/')), format!("{open}%5c..{closed}")]);
    "order.open-as-prefix" "the closed path behind the open one", "CWE-187" =>
        |given| below(given, |open, closed| vec![format!("{open}{closed}"), format!("{open}/{closed}"), format!("{open}//{closed}"), format!("{open}%00{closed}")]);
    "order.open-as-suffix" "the open path behind the closed one", "CWE-187" =>
        |given| below(given, |open, closed| vec![format!("{closed}{open}"), format!("{closed};{open}"), format!("{closed}%00{open}"), format!("{closed}?{open}"), format!("{closed}%23{open}")]);
    "order.open-with-fragment" "the closed path, said to be the open one behind a number sign", "CWE-436" =>
        |given| { given.over_http1()?; let open = given.open_path()?.to_owned(); given.bare()?; given.raws(|it| {
            let bare = it.without("authorization");
            let closed = bare.target.clone();
            [format!("{closed}#{open}"), format!("{closed}#/..{open}")].map(|target| bare.clone().target(target).http1())
        }) };
    "order.open-by-rewriting" "the closed path, by fields that some frameworks route by, from the open one", "CVE-2018-14773" =>
        |given| {
            let (open, bare) = (given.open_path()?.to_owned(), given.bare()?);
            // What is answered may be the open route's own: the closed one's must not be in it.
            let shots = ["x-original-url", "x-rewrite-url", "x-forwarded-uri"].map(|name| bare.clone().field(name, &open));
            Ok(Volley::new("given", given.control(), shots))
        };
    "order.open-with-absolute-url" "the closed path as a whole URL whose host is the open path", "RFC 9112 §3.2.2" =>
        |given| below(given, |open, closed| vec![format!("http://{}{closed}", open.trim_start_matches('/').replace('/', ".")), format!("http://localhost{open}/..{closed}")]);
    "order.open-with-bad-token" [Harmless] "the open route with tokens that are wrong", "RFC 6750 §3" =>
        |given| {
            let open = open(given)?;
            let shots = ["Bearer x", "Bearer a.b.c", "Basic x", ""].map(|text| open.clone().field("authorization", text));
            Ok(Volley::new("open", open, shots))
        };
    "order.open-by-other-method" [Harmless] "the open route by methods that change something", "CWE-650" =>
        |given| {
            let open = open(given)?;
            let shots = ["POST", "PUT", "DELETE", "PATCH", "FOO"].map(|method| open.clone().method(method).body("x"));
            Ok(Volley::new("open", open, shots))
        };
    "order.open-repeats-field" [Harmless] "the open route, which anybody may ask, and fields that come back", "CWE-79" =>
        |given| {
            let open = open(given)?;
            let shots = ["user-agent", "x-a", "x-forwarded-host", "referer"].map(|name| open.clone().field(name, "bartizan-marker-51c0"));
            Ok(Volley::new("open", open, shots).planting("bartizan-marker-51c0"))
        };
    "order.forbidden" "what the credential does not allow, as it is", "CWE-285" =>
        |given| { let draft = given.forbidden()?; given.drafts(|_| [draft]) };
    "order.forbidden-with-query" "what the credential does not allow, with a query that says otherwise", "CWE-285" =>
        |given| {
            let draft = given.forbidden()?;
            given.drafts(|_| ["admin=true", "role=admin", "scope=admin", "debug=1", "sudo=1"].map(|query| draft.clone().query(query)))
        };
    "order.forbidden-with-identity" "what the credential does not allow, with fields that claim a role", "CWE-269" =>
        |given| {
            let draft = given.forbidden()?;
            given.drafts(|_| [("x-role", "admin"), ("x-user", "admin"), ("x-scope", "admin"), ("x-admin", "true"), ("x-internal", "true"), ("x-forwarded-user", "admin"), ("x-forwarded-for", "127.0.0.1")]
                .map(|(name, value)| draft.clone().field(name, value)))
        };
    "order.forbidden-without-credential" "what is forbidden, without any credential", "CWE-306" =>
        |given| {
            let draft = given.forbidden()?;
            given.bares(|it| [it.method(&draft.method).target(draft.target)])
        };
}

/// A request for the open route, without a credential.
fn open(given: &Given<'_>) -> Result<Draft, crate::given::Need> {
    let path = given.open_path()?;
    given.is_plain()?;
    let draft = given.bare()?.method("GET").target(path).body("");
    Ok(draft.without("content-type"))
}

/// Paths between the open route and the closed one, without a credential.
fn below(given: &Given<'_>, make: impl FnOnce(&str, &str) -> Vec<String>) -> Made {
    let open = given.open_path()?.to_owned();
    given.bares(|it| {
        let targets = make(&open, it.path()).into_iter();
        let drafts: Vec<_> = targets.map(|target| it.clone().target(target)).collect();
        drafts
    })
}
