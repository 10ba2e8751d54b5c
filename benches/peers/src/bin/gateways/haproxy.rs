//! The policy as HAProxy 2.6 and later understand it.

use std::net::SocketAddr;
use std::path::Path;

use crate::policy::{self, Limit};

/// The configuration of a proxy in front of `backend`.
///
/// Where there are several ways, the one that costs HAProxy least: the payload of a token is
/// decoded once and not for each claim, the certificate is looked at once for each connection, and
/// the log goes from the process into the file, without a syslog server between.
pub(crate) fn configuration(
    folder: &Path,
    listen: SocketAddr,
    backend: SocketAddr,
    limit: Limit,
) -> String {
    let folder = folder.display();
    let Limit { requests, seconds } = limit;
    let (issuer, audience, scope) = (policy::ISSUER, policy::AUDIENCE, policy::SCOPE);
    let (leeway, regex, grpc) = (policy::LEEWAY, policy::TEMPLATE_REGEX, policy::GRPC_PATH);
    let (caller, name) = (policy::CALLER, general_name(policy::CALLER));
    // HAProxy counts a request before it decides, so that the one beyond is number limit + 1.
    format!(
        r#"global
    nbthread 2
    maxconn 4096
    log stdout len 4096 format raw local0 info
    ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets

defaults
    mode http
    log global
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    option http-keep-alive
    http-reuse always

frontend orders
    bind {listen} ssl crt {folder}/orders-both.pem ca-file {folder}/ca.pem verify required alpn h2,http/1.1
    log-format '{{"time":%Ts.%ms,"client":"%ci:%cp","peer":"%[var(sess.peer),json(utf8s)]","issuer":"%[var(txn.iss),json(utf8s)]","subject":"%[var(txn.sub),json(utf8s)]","scope":"%[var(txn.scope),json(utf8s)]","method":"%HM","path":"%[var(txn.path),json(utf8s)]","protocol":"%HV","status":%ST,"reason":"%[var(txn.reason)]","bytes":%B,"ms":%Ta,"state":"%tsc"}}'

    # The SPIFFE ID, as the one name of its kind and length in the certificate; once a connection.
    tcp-request session set-var(sess.peer) str({caller}) if {{ ssl_c_der,hex -m sub {name} }}

    http-request set-var(txn.path) path
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.payload) var(txn.bearer),word(2,.),ub64dec
    http-request set-var(txn.reason) str(token) if !{{ var(txn.bearer) -m found }}
    http-request deny deny_status 401 if !{{ var(txn.bearer) -m found }}
    http-request set-var(txn.reason) str(signature)
    http-request deny deny_status 401 if !{{ var(txn.alg) -m str RS256 }}
    http-request deny deny_status 401 if !{{ var(txn.bearer),jwt_verify(txn.alg,"{folder}/issuer.pem") -m int 1 }}
    http-request set-var(txn.reason) str(claims)
    http-request set-var(txn.iss) var(txn.payload),json_query('$.iss')
    http-request set-var(txn.aud) var(txn.payload),json_query('$.aud')
    http-request set-var(txn.sub) var(txn.payload),json_query('$.sub')
    http-request set-var(txn.scope) var(txn.payload),json_query('$.scope')
    http-request set-var(txn.exp) var(txn.payload),json_query('$.exp','int')
    http-request set-var(txn.now) date(-{leeway})
    http-request deny deny_status 401 if !{{ var(txn.iss) -m str {issuer} }}
    http-request deny deny_status 401 if !{{ var(txn.aud) -m str {audience} }}
    http-request deny deny_status 401 if !{{ var(txn.exp) -m found }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int le 0 }}

    http-request set-var(txn.reason) str(limit)
    stick-table type string len 64 size 200k expire {kept}s store http_req_rate({seconds}s)
    http-request track-sc0 var(txn.sub)
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {requests} }}

    http-request set-var(txn.reason) str(rules)
    acl web var(sess.peer) -m found
    acl reads var(txn.scope) -m reg (^|\ ){scope}(\ |$)
    acl order method GET
    acl order_path var(txn.path) -m reg ^{regex}$
    acl charge var(txn.path) -m str {grpc}
    acl post method POST
    http-request deny deny_status 403 if !web
    http-request deny deny_status 403 if !reads
    http-request deny deny_status 403 if !order !charge
    http-request deny deny_status 403 if order !order_path
    http-request deny deny_status 403 if charge !post
    http-request set-var(txn.reason) str(allowed)
    use_backend charges if charge
    default_backend orders

backend orders
    server orders {backend}

backend charges
    server charges {backend} proto h2
"#,
        kept = seconds.max(10),
    )
}

/// A URI name as it stands in a certificate, in hexadecimal: its tag, its length, itself.
fn general_name(uri: &str) -> String {
    let mut text = format!("86{:02X}", uri.len());
    for byte in uri.bytes() {
        text.push_str(&format!("{byte:02X}"));
    }
    text
}
