//! What somebody without a credential learns from a refusal.

use crate::given::{Given, Made};
use crate::table::table;

/// What is planted, so that it is known again in an answer.
const MARKER: &str = "bartizan-marker-7f3a";

table! { Order;
    "order.unknown-path-told-apart" [SameAnswer] "paths that are there and paths that are not, without a credential", "CWE-204" =>
        |given| given.bares(|it| [it.clone(), it.clone().target(format!("/{MARKER}")), it.target(format!("/{MARKER}/a/b/c"))]);
    "order.unknown-child-told-apart" [SameAnswer] "what is below a path and what is not, without a credential", "CWE-204" =>
        |given| given.bares(|it| { let path = it.path().to_owned(); [it.clone(), it.clone().target(format!("{path}x")), it.target(format!("{path}/{MARKER}"))] });
    "order.method-told-apart" [SameAnswer] "methods that a path takes and methods that it does not, without a credential", "CWE-204" =>
        |given| { given.is_plain()?; given.bares(|it| ["GET", "POST", "PUT", "DELETE"].map(|method| it.clone().method(method))) };
    "order.body-told-apart" [SameAnswer] "bodies that are right and bodies that are not, without a credential", "CWE-204" =>
        |given| { given.is_plain()?; given.bares(|it| {
            let post = it.method("POST");
            [post.clone().field("content-type", "application/json").body("{}"), post.clone().field("content-type", "application/json").body("{"), post.clone().field("content-type", "text/x").body("x"), post.without("content-type").body("")]
        }) };
    "order.query-told-apart" [SameAnswer] "queries that are right and queries that are not, without a credential", "CWE-204" =>
        |given| given.bares(|it| [it.clone(), it.clone().query("page=-1"), it.clone().query("a=%ff"), it.query("x[]=1&x=2")]);
    "order.type-told-apart" [SameAnswer] "types of an answer that are there and those that are not, without a credential", "CWE-204" =>
        |given| { given.is_plain()?; given.bares(|it| [it.clone(), it.clone().field("accept", "image/x-none"), it.field("accept", "")]) };
    "order.token-told-apart" [SameAnswer] "tokens that are wrong in different ways", "RFC 6750 §3.1" =>
        |given| given.tokens(|it| [it.clone().claim("sub", "x").kept(), it.clone().claim("exp", 1).kept(), it.header("kid", "x").kept()]);
    "order.expiry-before-signature" [SameAnswer] "an expired token under a wrong signature, and a fresh one", "RFC 8725 §3.3" =>
        |given| given.tokens(|it| [it.clone().claim("exp", 1).with_signature(&[1; 64]), it.claim("exp", 4_102_444_800_u64).with_signature(&[1; 64])]);
    "order.audience-before-signature" [SameAnswer] "the right and a wrong audience under a wrong signature", "RFC 8725 §3.3" =>
        |given| given.tokens(|it| [it.clone().with_signature(&[1; 64]), it.claim("aud", "other").with_signature(&[1; 64])]);
    "order.refusal-repeats-token" "a wrong token that comes back in the refusal", "CWE-209" =>
        |given| Ok(given.bares(|it| [it.clone().field("authorization", format!("Bearer {MARKER}")), it.clone().field("authorization", format!("Bearer a.{MARKER}.c")), it.field("authorization", format!("{MARKER} x"))])?.planting(MARKER));
    "order.refusal-repeats-path" "a path that comes back in the refusal as it was", "CWE-79" =>
        |given| Ok(given.bares(|it| [it.target(format!("/{MARKER}%3cscript%3e"))])?.planting(format!("{MARKER}<script>")));
    "order.refusal-repeats-query" "a query that comes back in the refusal", "CWE-79" =>
        |given| Ok(given.bares(|it| [it.query(&format!("a={MARKER}"))])?.planting(MARKER));
    "order.refusal-repeats-field" "a field that comes back in the refusal", "CWE-79" =>
        |given| Ok(given.bares(|it| ["user-agent", "x-a", "accept", "cookie", "referer"].map(|name| it.clone().field(name, MARKER)))?.planting(MARKER));
    "order.refusal-repeats-host" "a host that comes back in the refusal", "CWE-644" =>
        |given| Ok(given.bares(|it| [it.host(format!("{MARKER}.example"))])?.planting(MARKER));
    "order.refusal-repeats-body" "a body that comes back in the refusal", "CWE-79" =>
        |given| { given.is_plain()?; Ok(given.bares(|it| [it.method("POST").field("content-type", "application/json").body(format!("{{\"{MARKER}\":"))])?.planting(MARKER)) };
    "order.refusal-shows-source" "a refusal that names files of source code", "CWE-209" =>
        |given| Ok(given.bares(|it| [it.clone(), it.clone().field("authorization", "Bearer a.b.c"), it.field("authorization", "Bearer \u{0}x".trim_end_matches('x').replace('\0', "e30.e30.e30"))])?.planting(".rs:"));
    "order.refusal-shows-panic" "a refusal that tells of a panic or a trace", "CWE-209" =>
        |given| Ok(given.bares(|it| [it.clone(), it.field("authorization", "Bearer a.b.c")])?.planting("panicked"));
    "order.refusal-tells-the-right-issuer" "a refusal that says how a right token looks", "CWE-209" =>
        |given| {
            let issuer = given.good()?.claims.get("iss").and_then(|it| it.as_str()).unwrap_or("\u{1}").to_owned();
            Ok(given.tokens(|it| [it.claim("iss", "x").kept()])?.planting(issuer))
        };
    "order.condition-answered-first" "a condition that is answered before the credential is looked at", "RFC 9110 §13.2.1" =>
        |given| { given.is_plain()?; unmodified(given) };
    "order.range-answered-first" "a range that is answered before the credential is looked at", "RFC 9110 §14.2" =>
        |given| { given.is_plain()?; given.bares(|it| ["bytes=0-0", "bytes=-1", "bytes=999999-"].map(|range| it.clone().field("range", range))) };
    "order.expectation-answered-first" "an expectation that is answered before the credential is looked at", "RFC 9110 §10.1.1" =>
        |given| { given.is_plain()?; given.bares(|it| [it.method("POST").field("expect", "100-continue").body("x")]) };
    "order.coding-undone-first" "a body that is unfolded before the credential is looked at", "CWE-409" =>
        |given| { given.is_plain()?; given.bares(|it| ["gzip", "deflate", "br", "zstd"].map(|coding| it.clone().method("POST").field("content-encoding", coding).body("x"))) };
}

/// 304 is no refusal: it says that what is closed has not changed.
fn unmodified(given: &Given<'_>) -> Made {
    given.bares(|it| {
        [
            it.clone().field("if-none-match", "*"),
            it.clone()
                .field("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
            it.field("if-match", "*"),
        ]
    })
}
