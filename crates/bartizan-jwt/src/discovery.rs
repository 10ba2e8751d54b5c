//! Where an issuer says that its keys are.

use serde_json::Value;

use crate::issuer::{self, Issuer};
use crate::json;

/// A discovery document that cannot be used.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum DiscoveryError {
    #[error("the discovery document is not strict JSON")]
    NotJson,
    #[error("the discovery document states another issuer than {expected}")]
    OtherIssuer { expected: Box<str> },
    #[error("the discovery document has no jwks_uri")]
    NoKeyLocation,
    #[error("jwks_uri {0}")]
    BadKeyLocation(&'static str),
}

/// The places where an issuer's document may be, in the order in which they are asked: as OpenID
/// Connect Discovery 1.0 §4.1 says, and as [RFC 8414 §3.1] says, which puts the well-known part
/// between host and path.
///
/// [RFC 8414 §3.1]: https://www.rfc-editor.org/rfc/rfc8414#section-3.1
pub(crate) fn locations(issuer: &Issuer) -> [String; 2] {
    let text = issuer.as_str().trim_end_matches('/');
    let path_start = text.find("://").and_then(|scheme| {
        text.get(scheme + 3..)?
            .find('/')
            .map(|slash| scheme + 3 + slash)
    });
    let (origin, path) = text.split_at(path_start.unwrap_or(text.len()));
    [
        format!("{text}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
    ]
}

/// The location of the keys, from a document of this issuer.
///
/// Whose keys they are rests on this comparison ([RFC 8414 §3.3]): without it, any issuer on the
/// same host could speak for any other. The keys may be on another host, as Google's are.
///
/// [RFC 8414 §3.3]: https://www.rfc-editor.org/rfc/rfc8414#section-3.3
pub(crate) fn key_location(document: &str, issuer: &Issuer) -> Result<String, DiscoveryError> {
    let document = json::read_tree(document).map_err(|_| DiscoveryError::NotJson)?;
    if document.get("issuer").and_then(Value::as_str) != Some(issuer.as_str()) {
        return Err(DiscoveryError::OtherIssuer {
            expected: issuer.as_str().into(),
        });
    }
    let location = document.get("jwks_uri").and_then(Value::as_str);
    let location = location.ok_or(DiscoveryError::NoKeyLocation)?;
    match issuer::check(location) {
        None => Ok(location.to_owned()),
        Some(problem) => Err(DiscoveryError::BadKeyLocation(problem)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_document_is_below_the_path_or_before_it() {
        let check = |issuer: &str, expected: [&str; 2]| {
            assert_eq!(locations(&Issuer::new(issuer).unwrap()), expected);
        };
        check(
            "https://a.example",
            [
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ],
        );
        check(
            "https://a.example/",
            [
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ],
        );
        check(
            "https://a.example:8443/realms/x",
            [
                "https://a.example:8443/realms/x/.well-known/openid-configuration",
                "https://a.example:8443/.well-known/oauth-authorization-server/realms/x",
            ],
        );
    }

    #[track_caller]
    fn check(document: &str, expected: Result<&str, DiscoveryError>) {
        let issuer = Issuer::new("https://a.example").unwrap();
        assert_eq!(
            key_location(document, &issuer),
            expected.map(str::to_owned),
            "{document}"
        );
    }

    #[test]
    fn the_document_must_be_of_the_issuer_itself() {
        check(
            r#"{"issuer":"https://a.example","jwks_uri":"https://keys.example/k"}"#,
            Ok("https://keys.example/k"),
        );
        for stated in [
            r#""https://a.example/""#,
            r#""https://A.example""#,
            r#""https://b.example""#,
            "1",
            "null",
            r#"["https://a.example"]"#,
        ] {
            check(
                &format!(r#"{{"issuer":{stated},"jwks_uri":"https://keys.example/k"}}"#),
                Err(DiscoveryError::OtherIssuer {
                    expected: "https://a.example".into(),
                }),
            );
        }
    }

    #[test]
    fn the_keys_must_be_somewhere_safe() {
        check(
            r#"{"issuer":"https://a.example"}"#,
            Err(DiscoveryError::NoKeyLocation),
        );
        check(
            r#"{"issuer":"https://a.example","jwks_uri":"http://keys.example/k"}"#,
            Err(DiscoveryError::BadKeyLocation("is not https")),
        );
        check(
            r#"{"issuer":"https://a.example","jwks_uri":"file:///etc/passwd"}"#,
            Err(DiscoveryError::BadKeyLocation(
                "does not begin with https://",
            )),
        );
    }

    #[test]
    fn what_is_not_strict_json_is_refused() {
        for document in [
            "",
            "<!doctype html>",
            r#"{"issuer":"https://a.example","issuer":"https://b.example"}"#,
        ] {
            check(document, Err(DiscoveryError::NotJson));
        }
    }

    proptest! {
        #[test]
        fn a_document_never_leads_to_an_unsafe_place(
            stated in "(https://a\\.example|[a-z:/.]{0,20})",
            place in "(https?|file)://[a-z0-9.@:/#?]{0,20}",
            rest in ".{0,20}",
        ) {
            let issuer = Issuer::new("https://a.example").unwrap();
            for document in [
                format!(r#"{{"issuer":"{stated}","jwks_uri":"{place}"}}"#),
                format!(r#"{{"issuer":"{stated}","jwks_uri":"{place}"{rest}"#),
                rest.clone(),
            ] {
                if let Ok(location) = key_location(&document, &issuer) {
                    prop_assert_eq!(issuer::check(&location), None);
                    prop_assert_eq!(&stated, "https://a.example");
                }
            }
        }

        #[test]
        fn every_issuer_has_two_places_on_its_own_host(path in "[a-z0-9/]{0,20}") {
            let issuer = Issuer::new(&format!("https://a.example/{path}")).unwrap();
            for location in locations(&issuer) {
                prop_assert!(location.starts_with("https://a.example/"));
            }
        }
    }
}
