//! Where a request carries its token, and where it must not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::draft::Draft;
use crate::given::{Given, Made};
use crate::table::table;

table! { Tokens;
    "token.absent" "no credential", "RFC 6750 §3" =>
        |given| given.bares(|it| [it]);
    "token.absent-but-scheme" "the scheme of tokens, and no token", "RFC 6750 §3" =>
        |given| given.bares(|it| ["Bearer", "Bearer ", "Bearer  ", "bearer\t"].map(|text| it.clone().field("authorization", text)));
    "token.absent-but-field" "an empty field of authorization", "RFC 9110 §11.6.2" =>
        |given| given.bares(|it| [it.field("authorization", "")]);
    "token.word-for-nothing" "words for nothing, as careless clients send them", "CWE-1390" =>
        |given| given.bares(|it| ["null", "undefined", "None", "nil", "false", "0", "[object Object]", "${TOKEN}"]
            .map(|word| it.clone().field("authorization", format!("Bearer {word}"))));
    "token.without-scheme" "a good token without a scheme", "RFC 6750 §2.1" =>
        |given| schemes(given, &[""]);
    "token.by-another-scheme" "a good token by a scheme that nobody asked for", "RFC 9110 §11.4" =>
        |given| schemes(given, &["Token ", "JWT ", "OAuth ", "Digest ", "Negotiate ", "Basic ", "ApiKey "]);
    "token.scheme-not-apart" "a good token that is not apart from its scheme", "RFC 6750 §2.1" =>
        |given| schemes(given, &["Bearer", "Bearer:", "Bearer=", "Bearer,"]);
    "token.scheme-twice" "a good token behind its scheme twice", "RFC 6750 §2.1" =>
        |given| schemes(given, &["Bearer Bearer ", "Basic Bearer "]);
    "token.scheme-look-alike" "schemes that begin with the right one", "RFC 9110 §11.1" =>
        |given| schemes(given, &["BearerX ", "Bearers ", "xBearer ", "Bear "]);
    "token.as-password" "a good token as user or password", "RFC 7617 §2" =>
        |given| {
            let token = given.good()?.sign();
            given.bares(|it| [it.clone().basic(&token, ""), it.clone().basic("", &token), it.basic("x-oauth-token", &token)])
        };
    "token.default-passwords" "passwords that products are delivered with", "CWE-1392" =>
        |given| given.bares(|it| [("admin", "admin"), ("admin", "password"), ("root", "root"), ("guest", "guest"), ("test", "test"), ("", "")]
            .map(|(user, password)| it.clone().basic(user, password)));
    "token.two-in-one-field" "two tokens in one field, a good one first or last", "RFC 9110 §11.6.2" =>
        |given| {
            let token = given.good()?.sign();
            given.bares(|it| [format!("Bearer {token}, Bearer x"), format!("Bearer x, Bearer {token}"), format!("Bearer {token} x"), format!("Bearer x {token}")]
                .map(|text| it.clone().field("authorization", text)))
        };
    "token.two-fields-good-first" "two fields of authorization, the good one first", "RFC 9110 §5.3" =>
        |given| {
            let token = given.good()?.sign();
            given.bares(|it| [it.and_field("authorization", format!("Bearer {token}")).and_field("authorization", "Bearer x")])
        };
    "token.two-fields-good-last" "two fields of authorization, the good one last", "RFC 9110 §5.3" =>
        |given| {
            let token = given.good()?.sign();
            given.bares(|it| [it.and_field("authorization", "Basic YTpi").and_field("authorization", format!("Bearer {token}"))])
        };
    "token.two-fields-of-two-subjects" "two good tokens of two subjects", "RFC 9110 §5.3" =>
        |given| {
            let (one, other) = (given.minted()?.claim("sub", "alice").sign(), given.minted()?.claim("sub", "mallory").sign());
            given.bares(|it| [it.and_field("authorization", format!("Bearer {one}")).and_field("authorization", format!("Bearer {other}"))])
        };
    "token.in-query" "a good token in the query", "RFC 6750 §5.3" =>
        |given| placed(given, |it, token| vec![it.query(&format!("access_token={token}"))]);
    "token.in-query-by-other-names" "a good token in the query by names that frameworks know", "CWE-598" =>
        |given| placed(given, |it, token| ["token", "jwt", "auth", "authorization", "bearer", "id_token", "apikey"]
            .map(|name| it.clone().query(&format!("{name}={token}"))).to_vec());
    "token.in-fragment" "a good token behind a number sign", "RFC 6750 §2.3" =>
        |given| placed(given, |it, token| { let target = format!("{}%23access_token={token}", it.target); vec![it.target(target)] });
    "token.in-form" "a good token in the body of a form", "RFC 6750 §2.2" =>
        |given| { given.is_plain()?; placed(given, |it, token| vec![
            it.method("POST").field("content-type", "application/x-www-form-urlencoded").body(format!("access_token={token}")),
        ]) };
    "token.in-json" "a good token in a JSON body", "RFC 6750 §2.2" =>
        |given| { given.is_plain()?; placed(given, |it, token| vec![
            it.method("POST").field("content-type", "application/json").body(format!("{{\"access_token\":\"{token}\"}}")),
        ]) };
    "token.in-cookie" "a good token in a cookie", "CWE-352" =>
        |given| placed(given, |it, token| ["access_token", "token", "jwt", "Authorization", "session", "__Host-token"]
            .map(|name| it.clone().field("cookie", format!("{name}={token}"))).to_vec());
    "token.in-other-field" "a good token in a field that proxies put it into", "CWE-290" =>
        |given| fields(given, &["x-access-token", "x-auth-token", "x-forwarded-access-token", "x-forwarded-authorization", "x-original-authorization"]);
    "token.in-proxy-field" "a good token for the proxy", "RFC 9110 §11.7.2" =>
        |given| fields(given, &["proxy-authorization"]);
    "token.in-answer-field" "a good token in a field of answers", "RFC 9110 §11.3" =>
        |given| fields(given, &["www-authenticate", "authentication-info", "set-cookie"]);
    "token.in-look-alike-field" "a good token in a field whose name looks like the right one", "CWE-444" =>
        |given| fields(given, &["authorization_", "x-authorization", "http_authorization", "authorisation", "auth"]);
    "token.in-websocket-field" "a good token as a protocol of WebSockets", "RFC 6455 §11.3.4" =>
        |given| placed(given, |it, token| vec![it.field("sec-websocket-protocol", format!("bearer, {token}"))]);
    "token.in-trailer" "a good token behind the body", "RFC 9110 §6.5.1" =>
        |given| placed(given, |it, token| {
            let body = if it.body.is_empty() { b"x".to_vec() } else { it.body.clone() };
            vec![it.body(body).field("trailer", "authorization").trailer("authorization", &format!("Bearer {token}"))]
        });
    "token.in-host" "a good token as the user of a URL", "RFC 9110 §4.2.4" =>
        |given| { given.over_http1()?; placed(given, |it, token| vec![it.host(format!("{token}@localhost"))]) };
    "token.in-encoded-field" "a good token that was encoded, as a field", "RFC 6750 §2.1" =>
        |given| placed(given, |it, token| vec![it.field("authorization", format!("Bearer {}", STANDARD.encode(token)))]);
}

/// A good token behind these words.
fn schemes(given: &Given<'_>, schemes: &[&str]) -> Made {
    placed(given, |it, token| {
        let drafts = schemes.iter().map(|scheme| {
            it.clone()
                .field("authorization", format!("{scheme}{token}"))
        });
        drafts.collect()
    })
}

/// A good token in these fields, as it is and behind its scheme.
fn fields(given: &Given<'_>, names: &[&str]) -> Made {
    placed(given, |it, token| {
        let bearing = |name: &&str| {
            let with = |value: String| it.clone().field(name, value);
            [with(token.to_owned()), with(format!("Bearer {token}"))]
        };
        names.iter().flat_map(bearing).collect()
    })
}

/// A good token in another place than the right one.
fn placed(given: &Given<'_>, make: impl FnOnce(Draft, &str) -> Vec<Draft>) -> Made {
    let token = match given.target.signer {
        Some(_) => given.minted()?.sign(),
        None => given.good()?.kept(),
    };
    given.bares(|it| make(it, &token))
}
