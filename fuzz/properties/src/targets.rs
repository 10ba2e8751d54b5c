//! The targets by their names.

/// A target, by name and what it holds bytes to.
pub type Target = (&'static str, fn(&[u8]));

macro_rules! targets {
    ($($name:ident)*) => {
        &[$((stringify!($name), crate::$name::check)),*]
    };
}

/// All of them, in alphabetical order.
pub const TARGETS: &[Target] = targets! {
    apikey
    apikey_field
    apikey_file
    audit_cursor
    audit_note
    audit_proof
    audit_record
    audit_recovery
    audit_render
    audit_secrets
    audit_segment
    audit_tiles
    audit_trace
    audit_witness
    cedar
    certificate
    challenge
    ciphertext
    claims
    client_address
    configuration
    credential
    destination
    discovery
    envoy_answers
    fetch_url
    forwarded_certificate
    grpc_timeout
    introspection
    istio
    json_path
    json_rewrite
    key_file
    key_set
    kms_answers
    message_rewrite
    nats_answers
    otlp_answers
    path
    pem
    policy
    proof
    proof_claims
    proxy_protocol
    rate
    ratelimit_fields
    redis_answers
    request
    revocation_lists
    spiffe_bundle
    spiffe_id
    token
    token_file
    token_response
    trace_parent
    upload_json
    vault_answers
    witness_answers
    workload_api
    yaml
};
