//! A service whose whole security is one file: tokens for people, keys for programs.

use http::Method;

use super::Rows;
use crate::client::HttpCall;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "What one file says: tokens, API keys, rules, an exemption",
        "No line of Rust says any of this: examples/invoices/invoices.toml does.",
    );
    let (scene, invoices) = (rows.scene, &rows.scene.invoices);
    let web = scene.workload("/web")?;
    let token = scene
        .token()
        .audience("invoices")
        .scope("invoices:read")
        .sign()?;
    let read = || HttpCall::get("/invoices/7");
    let with_key = |key: &str| read().header("x-api-key", key.to_owned());
    let (key, revoked) = (&*invoices.key, &*invoices.revoked);
    let last = key.chars().last().unwrap_or_default();
    let mistyped = key.replace(last, if last == 'a' { "b" } else { "a" });
    let in_url = format!("/invoices/7?api_key={key}").leak();
    let other_scope = scene
        .token()
        .audience("invoices")
        .scope("orders:read")
        .sign()?;
    let with_token = |call: HttpCall| call.token(Some(token.clone()));
    for (request, expected, call) in [
        (
            "HTTP: alice, by her token",
            ("200", "hello alice"),
            with_token(read()),
        ),
        (
            "HTTP: reports, by its API key",
            ("200", "hello reports"),
            with_key(key),
        ),
        (
            "HTTP: token and key at once",
            ("400", "context.two_credentials"),
            with_token(with_key(key)),
        ),
        (
            "HTTP: a key with a slip",
            ("401", "apikey.mistyped"),
            with_key(&mistyped),
        ),
        (
            "HTTP: a key that was revoked",
            ("401", "apikey.revoked"),
            with_key(revoked),
        ),
        (
            "HTTP: a key in the URL",
            ("400", "apikey.in_url"),
            HttpCall::get(in_url),
        ),
        (
            "HTTP: a token without the scope",
            ("403", "authz.denied"),
            read().token(Some(other_scope)),
        ),
        (
            "HTTP: what no rule speaks of",
            ("403", "authz.denied"),
            with_token(HttpCall::new(Method::DELETE, "/invoices/7")),
        ),
        (
            "HTTP: a denial, in other letters",
            ("403", "authz.denied"),
            with_token(HttpCall::get("/invoices/Drafts/")),
        ),
        (
            "HTTP: health, which is exempt",
            ("200", "alive"),
            HttpCall::get("/healthz"),
        ),
        (
            "HTTP: a detour through health",
            ("400", "route.ambiguous_path"),
            HttpCall::get("/healthz/../invoices/7"),
        ),
    ] {
        rows.send(request, expected, &web, invoices.address, call);
    }
    Ok(())
}
