//! Fields by which products tell a service who was authenticated before it. Whoever reads them has to
//! be sure that nobody else can write them.

use crate::given::{Given, Made};
use crate::table::table;

/// A token that says it is an administrator's, and is signed by nobody.
const UNSIGNED: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZG1pbiIsImVtYWlsIjoiYWRtaW5AZXhhbXBsZS5vcmcifQ.";

table! { Headers;
    "header.product-oauth2-proxy" "the fields of oauth2-proxy", "CWE-290" =>
        |given| claim(given, &[("x-forwarded-user", "admin"), ("x-forwarded-email", "a@b.c"), ("x-forwarded-preferred-username", "admin"), ("x-auth-request-user", "admin")]);
    "header.product-kong" "the fields of Kong", "CWE-290" =>
        |given| claim(given, &[("x-consumer-id", "1"), ("x-consumer-username", "admin"), ("x-credential-identifier", "admin"), ("x-authenticated-userid", "admin")]);
    "header.product-amazon-balancer" "the fields of Amazon's balancer", "CWE-290" =>
        |given| claim(given, &[("x-amzn-oidc-identity", "admin"), ("x-amzn-oidc-data", UNSIGNED), ("x-amzn-oidc-accesstoken", UNSIGNED)]);
    "header.product-amazon-gateway" "the fields of Amazon's API gateway", "CWE-290" =>
        |given| claim(given, &[("x-amzn-requestcontext-authorizer", "admin"), ("x-apigateway-context", "{\"authorizer\":{\"principalId\":\"admin\"}}")]);
    "header.product-google-proxy" "the fields of Google's identity-aware proxy", "CWE-290" =>
        |given| claim(given, &[("x-goog-authenticated-user-email", "accounts.google.com:admin@example.org"), ("x-goog-authenticated-user-id", "1"), ("x-goog-iap-jwt-assertion", UNSIGNED)]);
    "header.product-google-endpoints" "the fields of Google's endpoints and serverless platforms", "CWE-290" =>
        |given| claim(given, &[("x-endpoint-api-userinfo", "eyJpZCI6ImFkbWluIn0"), ("x-apigateway-api-userinfo", "eyJpZCI6ImFkbWluIn0"), ("x-serverless-authorization", UNSIGNED), ("x-appengine-user-is-admin", "1")]);
    "header.product-azure" "the fields of Azure's app service", "CWE-290" =>
        |given| claim(given, &[("x-ms-client-principal", "eyJ1c2VySWQiOiJhZG1pbiJ9"), ("x-ms-client-principal-name", "admin"), ("x-ms-client-principal-id", "1"), ("x-ms-token-aad-id-token", UNSIGNED)]);
    "header.product-cloudflare" "the fields of Cloudflare Access", "CWE-290" =>
        |given| claim(given, &[("cf-access-authenticated-user-email", "a@b.c"), ("cf-access-jwt-assertion", UNSIGNED), ("cf-access-client-id", "x")]);
    "header.product-tailscale" "the fields of Tailscale", "CWE-290" =>
        |given| claim(given, &[("tailscale-user-login", "admin@example.org"), ("tailscale-user-name", "admin"), ("x-webauth-user", "admin")]);
    "header.product-grafana" "the field of proxies before Grafana", "CWE-290" =>
        |given| claim(given, &[("x-webauth-name", "admin"), ("x-webauth-role", "Admin"), ("x-grafana-user", "admin")]);
    "header.product-authelia" "the fields of Authelia and Authentik", "CWE-290" =>
        |given| claim(given, &[("remote-name", "admin"), ("remote-groups", "admins"), ("x-authentik-username", "admin"), ("x-authentik-groups", "admins")]);
    "header.product-pomerium" "the fields of Pomerium", "CWE-290" =>
        |given| claim(given, &[("x-pomerium-claim-email", "a@b.c"), ("x-pomerium-jwt-assertion", UNSIGNED), ("x-pomerium-claim-groups", "admin")]);
    "header.product-kubernetes" "the fields by which Kubernetes takes users from a proxy", "CVE-2018-1002105" =>
        |given| claim(given, &[("x-remote-group", "system:masters"), ("x-remote-extra-scopes", "*"), ("impersonate-group", "system:masters"), ("impersonate-uid", "0")]);
    "header.product-wso2" "the fields of WSO2 and Apigee", "CWE-290" =>
        |given| claim(given, &[("x-jwt-assertion", UNSIGNED), ("x-apigee-user", "admin"), ("x-apigee-developer-email", "a@b.c")]);
    "header.product-istio" "the fields by which Istio hands on claims", "CWE-290" =>
        |given| claim(given, &[("x-jwt-claim-sub", "admin"), ("sec-istio-auth-userinfo", "eyJzdWIiOiJhZG1pbiJ9"), ("x-envoy-original-path", "/"), ("x-ext-authz", "allow")]);
    "header.product-siteminder" "the fields of older single sign-on", "CWE-290" =>
        |given| claim(given, &[("sm-user", "admin"), ("sm_user", "admin"), ("iv-user", "admin"), ("oam-remote-user", "admin"), ("shib-identity-provider", "x"), ("eppn", "admin")]);
    "header.product-next" "the field that told Next.js to skip its middleware, and the like", "CVE-2025-29927" =>
        |given| claim(given, &[("x-middleware-subrequest", "middleware:middleware:middleware:middleware:middleware"), ("x-middleware-next", "1"), ("x-invoke-path", "/")]);
    "header.product-f5" "the field that made an application's own proxy trusted", "CVE-2022-1388" =>
        |given| claim(given, &[("x-f5-auth-token", "x"), ("x-fork-key", "x"), ("x-original-remote-addr", "127.0.0.1")]);
}

fn claim(given: &Given<'_>, fields: &[(&str, &str)]) -> Made {
    given.bares(|it| {
        let drafts = fields
            .iter()
            .map(|(name, value)| it.clone().field(name, value));
        drafts.collect::<Vec<_>>()
    })
}
