//! A service whose whole security is one file: tokens for people, keys for programs.

use std::path::Path;

use bartizan::config::Config;
use http::Method;

use super::Rows;
use crate::client::{BoxError, HttpCall, measured};
use crate::wire::Alert;

/// Somewhat more than an invoice may have.
const TOO_LARGE: usize = 1100;

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
    besides(rows)
}

/// What else it says: `[metadata]`, `[upload]`, and what takes another build.
fn besides(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "What that file says of bodies, and to who has no token yet",
        "Bodies are measured while they come in; the service is told of none that breaks a bound.",
    );
    let (scene, invoices) = (rows.scene, &rows.scene.invoices);
    let (web, reports) = (scene.workload("/web")?, scene.workload("/reports")?);
    let token = scene.token().audience("invoices").scope("invoices:write");
    let token = token.sign()?;
    let document = "/.well-known/oauth-protected-resource";
    let put = |body: String| {
        let call = HttpCall::new(Method::PUT, "/invoices/7").token(Some(token.clone()));
        call.json(body)
    };
    for (request, expected, client, call) in [
        (
            "HTTP: whose tokens count, without a token",
            ("200", "for https://localhost:8447"),
            &web,
            HttpCall::get(document),
        ),
        (
            "HTTP: the same, by POST",
            ("401", "jwt.missing"),
            &web,
            HttpCall::new(Method::POST, document),
        ),
        (
            "HTTP: the same, by who may not call",
            ("403", "mtls.peer_not_allowed"),
            &reports,
            HttpCall::get(document),
        ),
        (
            "HTTP: alice files an invoice",
            ("200", "filed for alice"),
            &web,
            put(r#"{"cents":1250}"#.to_owned()),
        ),
        (
            "HTTP: one that is larger than 1 KiB",
            ("413", "ratelimit.body_too_large"),
            &web,
            put(format!(
                r#"{{"cents":1250,"of":"{}"}}"#,
                "x".repeat(TOO_LARGE)
            )),
        ),
        (
            "HTTP: one that is five levels deep",
            ("400", "ratelimit.json_too_deep"),
            &web,
            put(r#"{"cents":[[[[1250]]]]}"#.to_owned()),
        ),
    ] {
        rows.send(request, expected, client, invoices.address, call);
    }

    let (good, folder) = (invoices.file.clone(), scene.folder.clone());
    rows.add(
        "file: policies in Cedar, checked",
        ("refused", "built without `cedar`"),
        measured(Alert::default(), async move {
            in_cedar(&std::fs::read_to_string(good)?, &folder)
        }),
    );
    Ok(())
}

/// What is said of this file with `[rules.cedar]` in the place of its rules: Cedar is sixty packages
/// more, which this program is built without.
fn in_cedar(good: &str, folder: &Path) -> Result<(String, String), BoxError> {
    let (before, rules) = good.split_once("[[rules.rule]]").ok_or("no rules")?;
    let (_, after) = rules.split_once("[upload]").ok_or("nothing behind them")?;
    let text = format!("{before}[rules.cedar]\nfiles = [\"invoices.cedar\"]\n[upload]{after}");
    let Err(error) = Config::from_toml(&text, folder) else {
        return Ok(("accepted".to_owned(), "nothing".to_owned()));
    };
    let problem = error.problems().first().ok_or("refused without a reason")?;
    let said = match problem.missing_feature() {
        Some(feature) => format!("built without `{feature}`"),
        None => problem.to_string(),
    };
    Ok(("refused".to_owned(), said))
}
