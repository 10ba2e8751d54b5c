//! What can be asked of customers.

use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bartizan_core::{Caller, Code, Rejection, RejectionKind, Subject};
use bartizan_encrypt::{EncryptLayer, KeyScope, Keyring};
use bartizan_jwt::RevocationList;
use serde_json::{Value, json};

use crate::records::Records;

/// All customers are those of one shop.
pub(crate) const TENANT: &str = "shop";

/// What [`routes`] serves, for whoever speaks of requests by their route.
pub(crate) const ROUTES: [&str; 3] = ["/customers/{id}", "/customers/{id}/key", "/session"];

#[derive(Clone)]
struct Desk {
    keyring: Keyring,
    records: Records,
    signed_out: RevocationList,
}

pub(crate) fn routes(
    keyring: Keyring,
    cards: EncryptLayer,
    records: Records,
    signed_out: RevocationList,
) -> Router {
    let desk = Desk {
        keyring,
        records,
        signed_out,
    };
    Router::new()
        .route("/customers/{id}", get(read).put(write).layer(cards))
        .route("/customers/{id}/key", post(rotate).delete(erase))
        .route("/session", delete(sign_out))
        .with_state(desk)
}

/// The card number in the document is masked, plain or left out: that is not for us to know.
async fn read(
    caller: Caller,
    State(desk): State<Desk>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Rejection> {
    require_scope(&caller, "customers:read")?;
    let record = desk.records.get(&id);
    record
        .map(Json)
        .ok_or_else(|| Rejection::new(RejectionKind::Forbidden, UNKNOWN))
}

async fn write(
    caller: Caller,
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Json(document): Json<Value>,
) -> Result<Json<Value>, Rejection> {
    require_scope(&caller, "customers:write")?;
    desk.records.put(&id, document.clone());
    Ok(Json(document))
}

/// What is written from now on is sealed under a new key; the rest still opens.
async fn rotate(
    caller: Caller,
    State(desk): State<Desk>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Rejection> {
    require_scope(&caller, "customers:keys")?;
    let key = desk.keyring.rotate(&KeyScope::subject(TENANT, &id)).await;
    Ok(Json(json!({ "key": key.map_err(no_keys)?.to_string() })))
}

/// Without the key, nothing that was ever sealed for this customer can be read by anybody.
async fn erase(
    caller: Caller,
    State(desk): State<Desk>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Rejection> {
    require_scope(&caller, "customers:keys")?;
    desk.keyring
        .erase(&Subject::new(TENANT, &id))
        .await
        .map_err(no_keys)?;
    Ok(Json(json!({ "erased": id })))
}

/// The token that asks for it ends, before its time.
async fn sign_out(caller: Caller, State(desk): State<Desk>) -> Result<Json<Value>, Rejection> {
    let token = &caller.principal;
    let (Some(id), Some(expires)) = (token.token_id(), token.expires()) else {
        return Err(Rejection::new(RejectionKind::Malformed, NO_TOKEN_ID));
    };
    let revoked = desk.signed_out.revoke_token(token.issuer(), id, expires);
    revoked.map_err(|full| Rejection::new(RejectionKind::Unavailable, BUSY).with_cause(full))?;
    Ok(Json(json!({ "signed_out": token.subject() })))
}

fn no_keys(error: bartizan_encrypt::KeyChangeError) -> Rejection {
    Rejection::new(RejectionKind::Unavailable, BUSY).with_cause(error)
}

fn require_scope(caller: &Caller, scope: &str) -> Result<(), Rejection> {
    match caller.principal.has_scope(scope) {
        true => Ok(()),
        false => Err(Rejection::new(RejectionKind::Forbidden, MISSING_SCOPE)),
    }
}

/// The token does not cover what is asked for.
const MISSING_SCOPE: Code = Code::new("customers.missing_scope");
/// Nothing is stored of this customer; told to those alone who may read.
const UNKNOWN: Code = Code::new("customers.unknown");
/// A token without a name cannot be revoked by it.
const NO_TOKEN_ID: Code = Code::new("customers.no_token_id");
/// It could not be done now.
const BUSY: Code = Code::new("customers.busy");
