//! Fields that claim an identity, a role or a right, in the place of a credential and beside one.

use crate::given::{Given, Made};
use crate::table::{INTRUDER, table};

/// Names that services have read identities from.
const NAMES: &[&str] = &[
    "x-user",
    "x-user-id",
    "x-username",
    "x-remote-user",
    "remote-user",
    "x-forwarded-user",
    "x-authenticated-user",
    "x-subject",
    "x-principal",
    "x-bartizan-subject",
    "x-auth-request-user",
    "x-on-behalf-of",
    "impersonate-user",
    "x-tenant-id",
];

table! { Headers;
    "header.identity-user" "a user by the commonest names", "CWE-290" =>
        |given| claim(given, &["x-user", "x-user-id", "x-username", "x-userid", "user"], "admin");
    "header.identity-remote-user" "the user of a web server before the service", "CWE-290" =>
        |given| claim(given, &["remote-user", "x-remote-user", "x-forwarded-remote-user"], "admin");
    "header.identity-subject" "the subject of a token that was verified before", "CWE-290" =>
        |given| claim(given, &["x-subject", "x-sub", "x-principal", "x-jwt-sub", "x-token-subject"], "admin");
    "header.identity-of-this-family" "the fields that gateways of this family write themselves", "CWE-290" =>
        |given| claim(given, &["x-bartizan-subject", "x-bartizan-peer", "x-bartizan-principal", "x-bartizan-scopes", "x-bartizan-client"], "admin");
    "header.identity-role" "a role or a group", "CWE-269" =>
        |given| claim(given, &["x-role", "x-roles", "x-groups", "x-user-role", "x-forwarded-groups"], "admin");
    "header.identity-scope" "a scope or a permission", "CWE-269" =>
        |given| claim(given, &["x-scope", "x-scopes", "x-permissions", "x-authenticated-scope", "scope"], "admin orders:read orders:write");
    "header.identity-administrator" "a flag that says administrator", "CWE-269" =>
        |given| claim(given, &["x-admin", "x-is-admin", "x-superuser", "x-privileged", "x-root"], "true");
    "header.identity-internal" "a flag that says that the request comes from inside", "CWE-290" =>
        |given| claim(given, &["x-internal", "x-internal-request", "x-trusted", "x-from-gateway", "x-service-call", "x-verified"], "true");
    "header.identity-authenticated" "a flag that says that somebody has looked at the credentials", "CWE-290" =>
        |given| claim(given, &["x-authenticated", "x-auth", "x-auth-verified", "x-jwt-verified", "x-authorized", "x-authentication-status"], "true");
    "header.identity-tenant" "a tenant or an account", "CWE-639" =>
        |given| claim(given, &["x-tenant", "x-tenant-id", "x-account-id", "x-org-id", "x-customer-id"], "1");
    "header.identity-impersonated" "a user in whose name to act", "CWE-441" =>
        |given| claim(given, &["impersonate-user", "x-impersonate-user", "sudo", "x-on-behalf-of", "x-act-as", "x-switch-user"], "admin");
    "header.identity-claims" "the claims of a token, without the token", "CWE-290" =>
        |given| claim(given, &["x-jwt-payload", "x-jwt-claims", "x-token-claims", "x-claims", "x-userinfo"], "eyJzdWIiOiJhZG1pbiIsInNjb3BlIjoiYWRtaW4ifQ");
    "header.identity-api-key" "keys that are tried first", "CWE-798" =>
        |given| given.bares(|it| ["test", "admin", "key", "secret", "changeme", "0", "null"].map(|key| it.clone().field("x-api-key", key)));
    "header.identity-session" "cookies of sessions that nobody began", "CWE-384" =>
        |given| given.bares(|it| ["session=admin", "sessionid=1", "JSESSIONID=1", "user=admin; admin=true", "auth=1", "remember_token=admin"]
            .map(|cookie| it.clone().field("cookie", cookie)));
    "header.identity-debug" "fields that switch checks off in some frameworks", "CWE-489" =>
        |given| given.bares(|it| ["x-debug", "x-skip-auth", "x-no-auth", "x-bypass", "x-test", "x-dev", "x-disable-auth"].map(|name| it.clone().field(name, "1")));
    "header.identity-with-underscores" "fields whose underscores become hyphens on the way", "CWE-444" =>
        |given| claim(given, &["x_user", "remote_user", "x_forwarded_user", "http_x_user", "authorization_user"], "admin");
    "header.identity-in-other-case" "fields in other case, which a filter by name lets through", "RFC 9110 §5.1" =>
        |given| claim(given, &["X-User", "X-REMOTE-USER", "x-Forwarded-User"], "admin");
    "header.identity-in-trailer" "an identity behind the body", "RFC 9110 §6.5.1" =>
        |given| given.bares(|it| NAMES.iter().map(|name| {
            let body = if it.body.is_empty() { b"x".to_vec() } else { it.body.clone() };
            it.clone().body(body).trailer(name, "admin")
        }).collect::<Vec<_>>());
    "header.identity-in-query" "an identity in the query", "CWE-290" =>
        |given| given.bares(|it| ["user", "sub", "role", "admin", "uid", "as"].map(|name| it.clone().query(&format!("{name}=admin"))));
    "header.identity-beside-credential" [Harmless] "another identity beside a good credential: the answer is about the credential's", "CWE-290" =>
        |given| Ok(given.drafts(|it| NAMES.iter().map(|name| it.clone().field(name, INTRUDER)).collect::<Vec<_>>())?.planting(INTRUDER));
    "header.identity-beside-credential-twice" [Harmless] "another identity twice, beside a good credential", "RFC 9110 §5.3" =>
        |given| Ok(given.drafts(|it| NAMES.iter().map(|name| {
            it.clone().field(name, INTRUDER).and_field(name, format!("{INTRUDER}, admin"))
        }).collect::<Vec<_>>())?.planting(INTRUDER));
    "header.identity-in-baggage" [Harmless] "another identity in the baggage of a trace, beside a good credential", "W3C Baggage §4" =>
        |given| Ok(given.drafts(|it| [it.field("baggage", format!("user={INTRUDER},role=admin"))])?.planting(INTRUDER));
}

/// Requests without credentials, with one of these fields each.
fn claim(given: &Given<'_>, names: &[&str], value: &str) -> Made {
    given.bares(|it| {
        let drafts = names.iter().map(|name| it.clone().field(name, value));
        drafts.collect::<Vec<_>>()
    })
}
