//! The policy as Envoy understands it.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::policy::{self, Limit};

/// How many verified tokens Envoy remembers, if it is to: more than there are hot ones.
const REMEMBERED: u32 = 1_000;

/// How many subjects it keeps count of.
const SUBJECTS: u32 = 20_000;

const EXTENSION: &str = "type.googleapis.com/envoy.extensions";

/// The configuration of a proxy in front of `backend`, in JSON.
///
/// What the policy does not ask for and costs time is off: request IDs, the headers that it adds
/// to requests and responses.
pub(crate) fn configuration(
    folder: &Path,
    keys: &str,
    listen: SocketAddr,
    backend: SocketAddr,
    limit: Limit,
    caches: bool,
) -> String {
    let manager = json!({
        "@type": format!("{EXTENSION}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "orders",
        "codec_type": "AUTO",
        "use_remote_address": true,
        "generate_request_id": false,
        "access_log": [access_log(folder)],
        "http_filters": [
            filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", tokens(keys, caches)),
            filter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", limits(limit)),
            filter("rbac", "rbac.v3.RBAC", rules()),
            filter("router", "router.v3.Router", json!({ "suppress_envoy_headers": true })),
        ],
        "route_config": {
            "virtual_hosts": [{
                "name": "orders",
                "domains": ["*"],
                "routes": [
                    route(json!({ "prefix": "/", "grpc": {} }), "charges"),
                    route(json!({ "prefix": "/" }), "orders"),
                ],
            }],
        },
    });
    let listener = json!({
        "name": "orders",
        "address": address(listen),
        "filter_chains": [{
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": tls(folder),
            },
            "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }],
        }],
    });
    json!({
        "static_resources": {
            "listeners": [listener],
            "clusters": [cluster("orders", backend, false), cluster("charges", backend, true)],
        },
    })
    .to_string()
}

fn tls(folder: &Path) -> Value {
    let file = |name: &str| json!({ "filename": folder.join(name) });
    json!({
        "@type": format!("{EXTENSION}.transport_sockets.tls.v3.DownstreamTlsContext"),
        "require_client_certificate": true,
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificates": [{
                "certificate_chain": file("orders.pem"),
                "private_key": file("orders-key.pem"),
            }],
            "validation_context": { "trusted_ca": file("ca.pem") },
        },
    })
}

fn tokens(keys: &str, caches: bool) -> Value {
    let mut issuer = json!({
        "issuer": policy::ISSUER,
        "audiences": [policy::AUDIENCE],
        "local_jwks": { "inline_string": keys },
        "forward": true,
        "clock_skew_seconds": policy::LEEWAY,
        "payload_in_metadata": "claims",
        "normalize_payload_in_metadata": { "space_delimited_claims": ["scope"] },
    });
    if caches {
        issuer["jwt_cache_config"] = json!({ "jwt_cache_size": REMEMBERED });
    }
    json!({
        "providers": { "issuer": issuer },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "issuer" } }],
    })
}

fn limits(limit: Limit) -> Value {
    let bucket = json!({
        "max_tokens": limit.requests,
        "tokens_per_fill": limit.requests,
        "fill_interval": format!("{}s", limit.seconds),
    });
    let all = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    json!({
        "stat_prefix": "limit",
        "filter_enabled": all,
        "filter_enforced": all,
        "rate_limited_as_resource_exhausted": true,
        // For whom no descriptor is made; nobody, since all have a subject by then.
        "token_bucket": { "max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s" },
        // Without a value, which makes a bucket for each.
        "descriptors": [{ "entries": [{ "key": "subject" }], "token_bucket": bucket }],
        "max_dynamic_descriptors": SUBJECTS,
        "always_consume_default_token_bucket": false,
    })
}

fn rules() -> Value {
    let path = |matcher: Value| json!({ "url_path": { "path": matcher } });
    let method = |name: &str| {
        let exact = json!({ "exact": name });
        json!({ "header": { "name": ":method", "string_match": exact } })
    };
    let regex = json!({ "safe_regex": { "regex": policy::TEMPLATE_REGEX } });
    let order = json!({ "and_rules": { "rules": [method("GET"), path(regex)] } });
    let exact = json!({ "exact": policy::GRPC_PATH });
    let charge = json!({ "and_rules": { "rules": [method("POST"), path(exact)] } });

    let caller = json!({
        "authenticated": { "principal_name": { "exact": policy::CALLER } },
    });
    let scope = json!({
        "metadata": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{ "key": "claims" }, { "key": "scope" }],
            "value": { "list_match": { "one_of": { "string_match": { "exact": policy::SCOPE } } } },
        },
    });
    let callers = json!([{ "and_ids": { "ids": [caller, scope] } }]);
    json!({
        "rules": {
            "action": "ALLOW",
            "policies": {
                "orders": { "permissions": [order], "principals": callers },
                "charges": { "permissions": [charge], "principals": callers },
            },
        },
    })
}

fn access_log(folder: &Path) -> Value {
    let claim =
        |name: &str| format!("%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:claims:{name})%");
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": format!("{EXTENSION}.access_loggers.file.v3.FileAccessLog"),
            "path": folder.join("envoy-access.log"),
            "log_format": {
                "json_format": {
                    "time": "%START_TIME%",
                    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
                    "peer": "%DOWNSTREAM_PEER_URI_SAN%",
                    "issuer": claim("iss"),
                    "subject": claim("sub"),
                    "scope": claim("scope"),
                    "method": "%REQ(:METHOD)%",
                    "path": "%PATH(NQ)%",
                    "protocol": "%PROTOCOL%",
                    "status": "%RESPONSE_CODE%",
                    "reason": "%RESPONSE_CODE_DETAILS%",
                    "bytes": "%BYTES_SENT%",
                    "ms": "%DURATION%",
                    "state": "%RESPONSE_FLAGS%",
                },
            },
        },
    })
}

fn filter(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!("{EXTENSION}.filters.http.{kind}"));
    json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": config })
}

fn route(matched: Value, cluster: &str) -> Value {
    let subject = json!({
        "metadata": {
            "descriptor_key": "subject",
            "source": "DYNAMIC",
            "metadata_key": {
                "key": "envoy.filters.http.jwt_authn",
                "path": [{ "key": "claims" }, { "key": "sub" }],
            },
        },
    });
    json!({
        "match": matched,
        "route": {
            "cluster": cluster,
            "rate_limits": [{ "actions": [subject] }],
        },
    })
}

fn cluster(name: &str, backend: SocketAddr, http2: bool) -> Value {
    let version = match http2 {
        true => json!({ "http2_protocol_options": {} }),
        false => json!({ "http_protocol_options": {} }),
    };
    let endpoint = json!({ "endpoint": { "address": address(backend) } });
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{EXTENSION}.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": version,
            },
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [endpoint] }],
        },
    })
}

fn address(socket: SocketAddr) -> Value {
    let (address, port) = (socket.ip().to_string(), socket.port());
    json!({ "socket_address": { "address": address, "port_value": port } })
}
