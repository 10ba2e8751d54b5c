//! E1 to E9: how the token is written.

use bartizan_testkit::{Call, Host};
use http::HeaderValue;
use http::header::AUTHORIZATION;

use super::target;

#[tokio::test]
async fn e01_another_number_of_parts() {
    let target = target();
    let token = target.token().sign().unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    for shape in [
        ".",
        "..",
        "....",
        header,
        signed,
        &format!("{token}."),
        &format!(".{token}"),
        &format!("{header}..{payload}.{signature}"),
        &format!("{header}..{signature}"),
        &format!(".{payload}.{signature}"),
        &format!("{token}.x.y"),
    ] {
        target.refuses(shape, "jwt.malformed").await;
    }
}

#[tokio::test]
async fn e02_another_spelling_of_the_same_bytes() {
    let target = target();
    let token = target.token().sign().unwrap();
    target.accepts(&token).await;
    target.refuses(&format!("{token}="), "jwt.malformed").await;
    target.refuses(&format!("{token}=="), "jwt.malformed").await;
    // A signature of 64 bytes leaves four bits of its last character unused.
    let (front, last) = token.split_at(token.len() - 1);
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars() {
        let changed = format!("{front}{other}");
        if !"AQgw".contains(other) && last != other.to_string() {
            target.refuses(&changed, "jwt.malformed").await;
        }
    }
}

#[tokio::test]
async fn e03_a_payload_that_is_not_one_object() {
    let target = target();
    for payload in [
        &b"[]"[..],
        b"\"x\"",
        b"null",
        b"1",
        b"",
        b"{} ,",
        b"{}{}",
        b"\xef\xbb\xbf{}",
        b"{\"sub\":\"\xff\"}",
        b"{\"sub\":\"\\ud800\"}",
        b"{'sub':1}",
    ] {
        let token = target.token().raw_payload(payload).sign().unwrap();
        target.refuses(&token, "jwt.malformed").await;
    }
}

#[tokio::test]
async fn e04_objects_within_objects() {
    let target = target();
    for (depth, fits) in [(15, true), (16, false), (200, false), (2000, false)] {
        let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let claims = serde_json::json!(target.token().claims()).to_string();
        let payload = format!("{},\"x\":{value}}}", claims.strip_suffix('}').unwrap());
        let token = target.token().raw_payload(payload).sign().unwrap();
        if fits {
            target.accepts(&token).await;
        } else {
            target.refuses(&token, "jwt.malformed").await;
        }
    }
}

#[tokio::test]
async fn e05_a_token_or_a_header_that_is_too_large() {
    let target = target();
    let token = target.token().claim("x", "x".repeat(8192)).sign().unwrap();
    target.refuses(&token, "jwt.too_large").await;
    let token = target.token().header("x", "x".repeat(1024)).sign().unwrap();
    target.refuses(&token, "jwt.malformed").await;
    target.refuses(&"a".repeat(60_000), "jwt.too_large").await;
}

async fn refuse_twice(members: &[&str]) {
    let target = target();
    let claims = serde_json::json!(target.token().claims()).to_string();
    let claims = claims.strip_suffix('}').unwrap();
    for twice in members {
        let token = target.token().raw_payload(format!("{claims},{twice}}}"));
        target
            .refuses(&token.sign().unwrap(), "jwt.malformed")
            .await;
    }
}

#[tokio::test]
async fn e06_a_registered_claim_twice() {
    refuse_twice(&[
        r#""sub":"mallory""#,
        r#""exp":9999999999"#,
        r#""iss":"https://issuer.example""#,
        r#""\u0073ub":"mallory""#,
    ])
    .await;
}

#[tokio::test]
async fn e07_a_private_claim_twice() {
    refuse_twice(&[
        r#""scope":"a","scope":"b""#,
        r#""roles":["a"],"roles":["b"]"#,
        r#""tenant":1,"tenant":2"#,
        r#""x":{"a":1,"a":2}"#,
    ])
    .await;
}

#[tokio::test]
async fn e08_more_than_one_token() {
    let target = target();
    let token = target.token().sign().unwrap();
    let field = |text: String| HeaderValue::try_from(text).unwrap();
    let bearer = || field(format!("Bearer {token}"));
    let two = Call::echo("")
        .add_header(AUTHORIZATION, bearer())
        .add_header(AUTHORIZATION, bearer());
    let listed = field(format!("Bearer {token}, Bearer {token}"));
    let listed = Call::echo("").add_header(AUTHORIZATION, listed);
    let other = Call::echo("")
        .add_header(AUTHORIZATION, bearer())
        .add_header(AUTHORIZATION, HeaderValue::from_static("Basic dTpw"));
    for call in [two, listed, other] {
        let answer = Host::Hyper.send(&target.layer, &call).await.unwrap();
        assert_eq!(answer.http_status.as_u16(), 400);
        assert_eq!(answer.code().as_deref(), Some("jwt.multiple_tokens"));
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.contains(r#"error="invalid_request""#),
            "{challenge}"
        );
    }
    // What is in the query is no token.
    let query = Call::echo("")
        .with_http_path(format!("/echo?access_token={token}"))
        .add_header(AUTHORIZATION, bearer());
    let answer = Host::Hyper.send(&target.layer, &query).await.unwrap();
    assert!(answer.is_success());
}

#[tokio::test]
async fn e09_the_scheme_in_other_spellings() {
    let target = target();
    let token = target.token().sign().unwrap();
    for (field, code) in [
        (format!("bearer {token}"), None),
        (format!("BEARER {token}"), None),
        (format!("Bearer  {token}"), None),
        ("Bearer".to_owned(), Some("jwt.malformed_credentials")),
        (
            format!("Bearer\t{token}"),
            Some("jwt.malformed_credentials"),
        ),
        (
            format!("Bearer {token} x"),
            Some("jwt.malformed_credentials"),
        ),
        (format!("Bearer {token}, x"), Some("jwt.multiple_tokens")),
        (format!("Bearer{token}"), Some("jwt.missing")),
        (format!("Token {token}"), Some("jwt.missing")),
    ] {
        let value = HeaderValue::try_from(&field).unwrap();
        let call = Call::echo("").add_header(AUTHORIZATION, value);
        let answer = Host::Hyper.send(&target.layer, &call).await.unwrap();
        let got = answer.code().filter(|_| !answer.is_success());
        assert_eq!(got.as_deref(), code, "{field}");
    }
}
