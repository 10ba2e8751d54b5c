//! Where a request carries its token: what is taken stands there whole, as the last thing of its
//! field, and no second field can put another one in its place.

use bartizan_jwt::fuzzing::{in_authorization, in_cookies, in_protocols};

/// Holds the bytes to what the head of this file says.
pub fn check(field: &[u8]) {
    if let Ok(Some(token)) = in_authorization(&[field]) {
        let rest = field
            .strip_suffix(token.as_bytes())
            .expect("it stands there");
        let scheme = rest.trim_ascii_end();
        assert!(rest.ends_with(b" "));
        assert!(scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"dpop"));
        check_token(&token);
    }
    for fields in [[field, b"Bearer x"], [b"Bearer x", field]] {
        assert!(in_authorization(&fields).is_err());
    }
    let cookie = in_cookies(&[field], "session");
    if let Ok(Some(token)) = &cookie {
        check_token(token);
        let pair = format!("session={token}");
        let pairs = field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        assert_eq!(pairs.filter(|it| *it == pair.as_bytes()).count(), 1);
    }
    // Another cookie beside it changes nothing, and another one of the name lets neither pass.
    let beside = in_cookies(&[field, b"session2=y"], "session");
    assert_eq!(beside.ok(), cookie.as_ref().ok().cloned());
    let twice = in_cookies(&[field, b"session=y"], "session");
    assert!(twice.is_err() || matches!(cookie, Ok(None)));
    if let Ok(Some(token)) = in_protocols(&[field], "bearer") {
        check_token(&token);
        let offered: Vec<_> = field
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .collect();
        let pair = [&b"bearer"[..], token.as_bytes()];
        assert!(offered.windows(2).any(|both| both == pair));
    }
}

fn check_token(token: &str) {
    let body = token.trim_end_matches('=');
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
    assert!(!body.is_empty() && body.chars().all(is_token), "{token:?}");
}
