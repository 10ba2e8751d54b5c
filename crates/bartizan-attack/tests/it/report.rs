//! What a report says, to people and to programs.

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use bartizan_attack::{Class, Target, Verdict, attacks, run};
use serde_json::Value;

/// A service whose lock is one secret, and whose window is open.
fn service() -> Router {
    let read = async |method: Method, headers: HeaderMap| {
        if ["TRACE", "TRACK", "DEBUG"].contains(&method.as_str()) {
            return (StatusCode::METHOD_NOT_ALLOWED, "");
        }
        let window = headers.contains_key("x-internal");
        let door = headers
            .get_all("authorization")
            .iter()
            .eq(["Bearer secret"]);
        if window || door {
            return (StatusCode::OK, "lamp");
        }
        (StatusCode::UNAUTHORIZED, "")
    };
    Router::new().fallback(read)
}

fn target() -> Target {
    Target::get("/orders").with_bearer("secret")
}

#[tokio::test]
async fn findings_stand_first_and_say_what_was_promised() {
    let report = run(service()).with_target(target()).await;
    let text = report.to_string();
    assert!(
        text.starts_with("GOT IN: header.identity-internal: "),
        "{text}"
    );
    assert!(
        text.contains("(CWE-290)\n  promised: refused; answered: 200 (request 1 of 6)\n"),
        "{text}"
    );
    assert_eq!(report.findings().count(), 1, "{text}");
    let said = std::panic::catch_unwind(|| report.assert_none_got_in()).unwrap_err();
    let said = said.downcast_ref::<String>().unwrap();
    assert!(said.contains("header.identity-internal"), "{said}");
}

#[tokio::test]
async fn what_was_not_run_says_what_it_needs_and_never_counts_as_held() {
    let report = run(service()).with_target(target()).await;
    let counts = report.counts(None);
    assert_eq!(counts.total(), attacks().count());
    assert!(counts.not_run > 300, "{report}");
    let verdict = report.verdict("token.exp-past").unwrap();
    let needs = Verdict::NotRun("needs the issuer's key (Target::with_signer)".to_owned());
    assert_eq!(verdict, &needs);
    assert!(
        report
            .to_string()
            .contains("not run, needs a service behind a URL: "),
        "{report}"
    );
}

#[tokio::test]
async fn what_is_meant_to_pass_is_left_out_with_its_reason() {
    let allowed = target().allow("header.identity-internal", "a window for the baker");
    let report = run(service()).with_target(allowed).await;
    report.assert_none_got_in();
    assert!(
        report
            .to_string()
            .contains("not run, allowed: a window for the baker: 1 "),
        "{report}"
    );
}

#[tokio::test]
async fn a_report_is_one_document_for_programs() {
    let report = run(service())
        .with_target(target())
        .only(Class::Headers)
        .await;
    let document: Value = serde_json::to_value(&report).unwrap();
    assert_eq!(document["counts"]["findings"], 1);
    let attacks = document["attacks"].as_array().unwrap();
    let found = attacks
        .iter()
        .find(|it| it["verdict"] == "finding")
        .unwrap();
    assert_eq!(found["name"], "header.identity-internal");
    assert_eq!(found["class"], "headers");
    assert_eq!(found["promise"], "refused");
    assert_eq!(found["reference"], "CWE-290");
    assert!(found["why"].as_str().unwrap().starts_with("200"));
    assert!(attacks.iter().all(|it| it["class"] == "headers"));
}

#[tokio::test]
async fn an_open_service_can_be_attacked_without_a_word() {
    let open = Router::new().fallback(async || "lamp");
    let report = run(open).await;
    let verdict = report.verdict("header.trace-malformed");
    assert_eq!(verdict, Some(&Verdict::Held), "{report}");
    // Who has no lock is promised nothing about keys.
    let verdict = report.verdict("token.absent");
    assert!(matches!(verdict, Some(Verdict::NotRun(_))), "{report}");
}
