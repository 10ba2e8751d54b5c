//! The issuer as an authorization server: clients, token endpoint, introspection.

mod form;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

pub(super) use self::form::Form;
use crate::mint::TokenMint;
use crate::signing_key::SigningKey;

const CLIENT_CREDENTIALS: &str = "client_credentials";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the issuer knows as an authorization server.
pub(super) struct Authorization {
    state: Mutex<State>,
}

struct State {
    clients: HashMap<String, Proof>,
    opaque: HashMap<String, Map<String, Value>>,
    lifetime: Duration,
}

/// By what a client proves itself.
pub(super) enum Proof {
    Certificate([u8; 32]),
    Key(SigningKey),
    Secret(String),
}

/// An answer: its status, and its JSON.
pub(super) type Reply = (StatusCode, Value);

/// A request to an endpoint that clients authenticate at.
pub(super) struct Asked<'r> {
    pub(super) headers: &'r HeaderMap,
    pub(super) form: &'r Form,
    /// The SHA-256 of the client certificate.
    pub(super) certificate: Option<[u8; 32]>,
    pub(super) endpoint: &'r str,
}

impl Authorization {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                clients: HashMap::new(),
                opaque: HashMap::new(),
                lifetime: Duration::from_secs(300),
            }),
        }
    }

    pub(super) fn add_client(&self, client: &str, proof: Proof) {
        self.state().clients.insert(client.to_owned(), proof);
    }

    pub(super) fn set_lifetime(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// Makes up a token that says nothing by itself, and keeps what it stands for.
    pub(super) fn opaque(&self, claims: Map<String, Value>) -> String {
        let mut state = self.state();
        let number = state.opaque.len() + 1;
        let token = format!("opaque-{number}.{}", "x".repeat(24));
        state.opaque.insert(token.clone(), claims);
        token
    }

    pub(super) fn end_opaque(&self, token: &str) {
        self.state().opaque.remove(token);
    }

    /// Answers at the token endpoint.
    pub(super) fn grant(&self, mint: &TokenMint, asked: &Asked<'_>) -> Reply {
        let Some(client) = self.client(mint, asked) else {
            return refused(StatusCode::UNAUTHORIZED, "invalid_client");
        };
        let claims = match asked.form.get("grant_type") {
            Some(CLIENT_CREDENTIALS) => Ok(json!({
                "sub": client,
                "scope": asked.form.get("scope").unwrap_or_default(),
            })),
            Some(TOKEN_EXCHANGE) => exchange(mint, asked.form),
            _ => Err("unsupported_grant_type"),
        };
        let claims = match claims {
            Ok(claims) => claims,
            Err(error) => return refused(StatusCode::BAD_REQUEST, error),
        };
        let lifetime = self.state().lifetime;
        let audiences: Vec<&str> = asked
            .form
            .all("audience")
            .chain(asked.form.all("resource"))
            .collect();
        let mut token = mint.token().client_id(&client).expires_in(lifetime);
        match audiences.as_slice() {
            [] => {}
            [one] => token = token.audience(one),
            many => token = token.audiences(many.iter().copied()),
        }
        for (name, value) in claims.as_object().into_iter().flatten() {
            token = token.claim(name, value.clone());
        }
        let scope = claims.get("scope").cloned().unwrap_or_default();
        match token.sign() {
            Ok(token) => (
                StatusCode::OK,
                json!({
                    "access_token": token,
                    "issued_token_type": ACCESS_TOKEN,
                    "token_type": "Bearer",
                    "expires_in": lifetime.as_secs(),
                    "scope": scope,
                }),
            ),
            Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        }
    }

    /// Answers at the introspection endpoint: for opaque tokens, and for its own JWTs.
    pub(super) fn introspect(&self, mint: &TokenMint, asked: &Asked<'_>) -> Reply {
        if self.client(mint, asked).is_none() {
            return refused(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let token = asked.form.get("token").unwrap_or_default();
        let opaque = self.state().opaque.get(token).cloned();
        let claims = opaque.or_else(|| verified(token, &mint.published_keys()));
        let alive = claims.filter(|claims| is_alive(mint, claims));
        let answer = match alive {
            Some(mut claims) => {
                claims.insert("active".to_owned(), json!(true));
                Value::Object(claims)
            }
            None => json!({ "active": false }),
        };
        (StatusCode::OK, answer)
    }

    /// The client that a request proves to come from.
    fn client(&self, mint: &TokenMint, asked: &Asked<'_>) -> Option<String> {
        let form = asked.form;
        let state = self.state();
        if let Some((client, secret)) = basic(asked.headers) {
            let known =
                matches!(state.clients.get(&client), Some(Proof::Secret(s)) if *s == secret);
            return known.then_some(client);
        }
        let client = form.get("client_id")?.to_owned();
        let proven = match state.clients.get(&client)? {
            Proof::Certificate(known) => asked.certificate.as_ref() == Some(known),
            Proof::Secret(known) => form.get("client_secret") == Some(known),
            Proof::Key(key) => {
                let assertion = form.get("client_assertion").unwrap_or_default();
                let stated = verified(assertion, std::slice::from_ref(key)).unwrap_or_default();
                let names = |name: &str, value: &str| stated.get(name) == Some(&json!(value));
                form.get("client_assertion_type") == Some(JWT_BEARER)
                    && names("iss", &client)
                    && names("sub", &client)
                    && (names("aud", asked.endpoint) || names("aud", mint.issuer()))
                    && stated.contains_key("jti")
                    && is_alive(mint, &stated)
            }
        };
        proven.then_some(client)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The claims of the token that another is exchanged for (RFC 8693 §2): the same subject, no more
/// scopes, and for somebody.
fn exchange(mint: &TokenMint, form: &Form) -> Result<Value, &'static str> {
    let keys = mint.published_keys();
    let read = |name: &str, kind: &str| {
        if form.get(kind) != Some(ACCESS_TOKEN) {
            return Err("invalid_request");
        }
        let token = form.get(name).unwrap_or_default();
        verified(token, &keys)
            .filter(|claims| is_alive(mint, claims))
            .ok_or("invalid_grant")
    };
    let subject = read("subject_token", "subject_token_type")?;
    let held = subject.get("scope").and_then(Value::as_str);
    let held: Vec<&str> = held.unwrap_or_default().split(' ').collect();
    let wanted = form.get("scope").map(|scope| scope.split(' ').collect());
    let wanted: Vec<&str> = wanted.unwrap_or_else(|| held.clone());
    if wanted.iter().any(|scope| !held.contains(scope)) {
        return Err("invalid_scope");
    }
    if form.get("audience").or(form.get("resource")).is_none() {
        return Err("invalid_target");
    }
    let mut claims = json!({ "sub": subject.get("sub"), "scope": wanted.join(" ") });
    if form.get("actor_token").is_some() {
        let actor = read("actor_token", "actor_token_type")?;
        if let Some(members) = claims.as_object_mut() {
            members.insert("act".to_owned(), json!({ "sub": actor.get("sub") }));
        }
    }
    Ok(claims)
}

/// The claims of a token that one of these keys signed.
fn verified(token: &str, keys: &[SigningKey]) -> Option<Map<String, Value>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (_, payload) = signed.split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let is_signed = |key: &SigningKey| key.verifies(signed.as_bytes(), &signature);
    keys.iter().find(|key| is_signed(key))?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn is_alive(mint: &TokenMint, claims: &Map<String, Value>) -> bool {
    let expires = claims.get("exp").and_then(Value::as_u64);
    expires.is_none_or(|expires| expires > mint.now().unix_seconds())
}

/// Name and secret of the `Authorization` field (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let pair = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (client, secret) = pair.split_once(':')?;
    Some((form::decode(client), form::decode(secret)))
}

fn refused(status: StatusCode, error: &str) -> Reply {
    (status, json!({ "error": error }))
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Authorization")
            .field("clients", &state.clients.keys())
            .finish_non_exhaustive()
    }
}
