use proptest::prelude::*;

use super::*;

/// A self-signed authority made once with OpenSSL; its dates do not matter here.
const AUTHORITY: &str = "\
    MIIBjjCCATWgAwIBAgIUf8rO08J1j+Qh7AlbS2Qz6IRIvFgwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJYXV0aG9yaXR5\
    MCAXDTI2MTEyMTIzMDYzOVoYDzIxMjYxMDI4MjMwNjM5WjAUMRIwEAYDVQQDDAlhdXRob3JpdHkwWTATBgcqhkjOPQIB\
    BggqhkjOPQMBBwNCAARO04VrjfjshHfiKcfLyg8fANBzlLZ0tWSmr7f2XtWZTBDpPM9uBS9KrssWBR0Rvl2UX7PiSsTw\
    pOKcoVRcNPbDo2MwYTAdBgNVHQ4EFgQUI15QqP5KLKoc+7oAqJwCXRPH+UswHwYDVR0jBBgwFoAUI15QqP5KLKoc+7oA\
    qJwCXRPH+UswDgYDVR0PAQH/BAQDAgEGMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgcyIV0Rysb0h3\
    r+n1Mw5sf/bYiAFon4GM8JxblMvCkJICIA9+tfjS/s+VCY55jEnVJBpkLI8bPADksJxHvGIQZGjy";
/// A leaf of it.
const LEAF: &str = "\
    MIIBgjCCASigAwIBAgIUewicnwcnQLRExbsLR9ePp/3JSzkwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEbGVhZjAgFw0y\
    NjExMjEyMzA2MzlaGA8yMTI2MTAyODIzMDYzOVowDzENMAsGA1UEAwwEbGVhZjBZMBMGByqGSM49AgEGCCqGSM49AwEH\
    A0IABE7ThWuN+OyEd+Ipx8vKDx8A0HOUtnS1ZKavt/Ze1ZlMEOk8z24FL0quyxYFHRG+XZRfs+JKxPCk4pyhVFw09sOj\
    YDBeMB0GA1UdDgQWBBQjXlCo/kosqhz7ugConAJdE8f5SzAfBgNVHSMEGDAWgBQjXlCo/kosqhz7ugConAJdE8f5SzAO\
    BgNVHQ8BAf8EBAMCB4AwDAYDVR0TAQH/BAIwADAKBggqhkjOPQQDAgNIADBFAiBPNKJ4V+NFAa5jac6ynECjlq/ckX6W\
    BWx0lul9+QDbnwIhAPRhl3MFEEbUc+nLBZ8l2EYvEdWnPudZN+mu94ZV2Vzs";

fn x509(x5c: &str) -> String {
    format!(r#"{{ "kty": "EC", "use": "x509-svid", "x5c": [{x5c}] }}"#)
}

fn document(keys: &[&str]) -> String {
    format!(r#"{{ "keys": [{}] }}"#, keys.join(","))
}

fn roots(json: &str) -> Result<usize, SpiffeBundleError> {
    SpiffeBundle::from_json(json.as_bytes()).map(|bundle| bundle.roots().len())
}

#[test]
fn takes_the_first_certificate_of_each_key_for_x509_svids() {
    let good = x509(&format!("\"{AUTHORITY}\""));
    assert_eq!(roots(&document(&[&good])).unwrap(), 1);
    assert_eq!(roots(&document(&[&good, &good])).unwrap(), 2);
    let two = x509(&format!("\"{AUTHORITY}\", \"not looked at\""));
    assert_eq!(roots(&document(&[&two])).unwrap(), 1);
}

#[test]
fn passes_over_what_is_not_for_x509_svids() {
    for key in [
        x509("").as_str(),
        r#"{ "kty": "EC", "use": "x509-svid" }"#,
        r#"{ "kty": "EC", "use": "wit-svid", "x5c": ["?"] }"#,
        r#"{ "kty": "EC", "x5c": ["?"] }"#,
        r#"{ "kty": "unheard-of", "use": "x509-svid", "x5c": ["?"] }"#,
        r#"{ "use": "x509-svid", "x5c": ["?"] }"#,
        r#"{ "kty": "EC", "use": "jwt-svid", "kid": "a", "crv": "P-256" }"#,
        "{}",
    ] {
        assert_eq!(roots(&document(&[key])).unwrap(), 0, "{key}");
    }
}

#[test]
fn reads_sequence_and_hint() {
    let text = r#"{ "spiffe_sequence": 18446744073709551615, "spiffe_refresh_hint": 60 }"#;
    let bundle = SpiffeBundle::from_json(text.as_bytes()).unwrap();
    assert_eq!(bundle.sequence(), Some(u64::MAX));
    assert_eq!(bundle.refresh_hint(), Duration::from_secs(60));
    assert!(bundle.roots().is_empty());
    let bundle = SpiffeBundle::from_json(br#"{ "keys": null, "more": {} }"#).unwrap();
    assert_eq!(bundle.sequence(), None);
    assert_eq!(bundle.refresh_hint(), Duration::from_secs(300));
}

#[test]
fn refuses_what_breaks_a_rule() {
    let json = [
        "",
        "[]",
        "null",
        "{",
        r#"{ "keys": {} }"#,
        r#"{ "keys": [1] }"#,
        r#"{ "keys": [], "keys": [] }"#,
        r#"{ "spiffe_sequence": -1 }"#,
        r#"{ "spiffe_sequence": "1" }"#,
        r#"{ "keys": [{ "kty": "EC", "kty": "RSA" }] }"#,
    ];
    for text in json {
        let verdict = roots(text);
        assert!(
            matches!(verdict, Err(SpiffeBundleError::Json { .. })),
            "{text}: {verdict:?}"
        );
    }
    for text in [
        "\"?\"",
        "\"AQID \"",
        "\"AQ\"",
        &format!("\"{}\"", "A".repeat(24_000)),
    ] {
        let verdict = roots(&document(&["{}", &x509(text)]));
        assert!(
            matches!(verdict, Err(SpiffeBundleError::Certificate { position: 1 })),
            "{text}: {verdict:?}"
        );
    }
    for text in ["\"AQID\"", "\"\"", &format!("\"{LEAF}\"")] {
        let verdict = roots(&document(&[&x509(text)]));
        assert!(
            matches!(verdict, Err(SpiffeBundleError::Roots(_))),
            "{text}: {verdict:?}"
        );
    }
    for kid in ["", r#", "kid": """#, r#", "kid": null"#] {
        let key = format!(r#"{{ "kty": "EC", "use": "jwt-svid"{kid} }}"#);
        let verdict = roots(&document(&[&key]));
        assert!(
            matches!(verdict, Err(SpiffeBundleError::NoKeyId { position: 0 })),
            "{verdict:?}"
        );
    }
}

#[test]
fn holds_its_limits() {
    let keys = |count: usize| document(&vec!["{}"; count]);
    assert_eq!(roots(&keys(MAX_KEYS)).unwrap(), 0);
    assert!(matches!(
        roots(&keys(MAX_KEYS + 1)),
        Err(SpiffeBundleError::TooLarge)
    ));
    let sized = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
    assert_eq!(roots(&sized(MAX_DOCUMENT_BYTES)).unwrap(), 0);
    let verdict = roots(&sized(MAX_DOCUMENT_BYTES + 1));
    assert!(matches!(verdict, Err(SpiffeBundleError::TooLarge)));
    let good = x509(&format!("\"{AUTHORITY}\""));
    let many = vec![good.as_str(); 65];
    assert_eq!(roots(&document(&many[1..])).unwrap(), 64);
    assert!(matches!(
        roots(&document(&many)),
        Err(SpiffeBundleError::Roots(_))
    ));
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64), text: String) {
        let _ = SpiffeBundle::from_json(&bytes);
        let _ = roots(&document(&[&x509(&format!("{text:?}"))]));
    }
}
