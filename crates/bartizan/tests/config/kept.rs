//! What outlives a change of the table that it belongs to.

use bartizan::config::Configured;
use bartizan::core::{Clock as _, SystemClock, WallTime};
use bartizan_testkit::{Call, Host, SigningAlgorithm, SigningKey};
use http::{HeaderName, HeaderValue};

use crate::sample::{Folder, ISSUER};
use crate::service::{built, call};

/// A file with these options of `[tokens]`.
fn text(options: &str) -> String {
    format!(
        "[[rules.rule]]\nname = 'all'\neffect = 'allow'\n[tokens]\n{options}\n\
         [[tokens.issuer]]\nissuer = '{ISSUER}'\naudiences = ['orders']\nkey_file = 'keys.json'\n"
    )
}

async fn code(configured: &Configured, call: &Call) -> Option<String> {
    Host::Hyper
        .send(&configured.layer(), call)
        .await
        .unwrap()
        .code()
}

async fn reloaded(folder: &Folder, configured: &Configured, options: &str) {
    folder.write("bartizan.toml", &text(options));
    let reload = configured.reload().await.unwrap();
    assert_eq!(reload.changed(), ["tokens"], "{options}");
}

#[tokio::test]
async fn tokens_stay_revoked_while_their_table_changes() {
    let folder = Folder::new();
    let configured = built(&folder, &text("revocations = 10")).await;
    let token = folder.mint.token().audience("orders").token_id("first");
    let first = call("192.0.2.1", None, Some(&token.sign().unwrap()));
    let token = token.token_id("second");
    let second = call("192.0.2.1", None, Some(&token.sign().unwrap()));
    let handle = configured.revocations().unwrap();
    let far = WallTime::from_unix_seconds(40_000_000_000);
    handle.revoke_token(ISSUER, "first", far).unwrap();
    let revoked = Some("jwt.revoked".to_owned());
    assert_eq!(code(&configured, &first).await, revoked);

    reloaded(&folder, &configured, "revocations = 10\nrealm = 'orders'").await;
    assert_eq!(code(&configured, &first).await, revoked);
    assert_eq!(code(&configured, &second).await, None);
    // Whoever was given the list before goes on with it.
    handle.revoke_token(ISSUER, "second", far).unwrap();
    assert_eq!(code(&configured, &second).await, revoked);
    // One of another size begins anew.
    reloaded(&folder, &configured, "revocations = 11").await;
    assert_eq!(code(&configured, &first).await, None);
}

#[tokio::test]
async fn proofs_stay_used_while_their_table_changes() {
    let folder = Folder::new();
    let dpop = |more: &str| format!("dpop = {{ origins = ['https://orders.example'{more} }}");
    let configured = built(&folder, &text(&dpop("]"))).await;
    let key = SigningKey::generate(SigningAlgorithm::Es256, "client").unwrap();
    let token = folder.mint.token().audience("orders").bound_to_key(&key);
    let token = token.sign().unwrap();
    let uri = "https://orders.example/echo";
    let proof = key.proof("POST", uri, SystemClock.wall()).for_token(&token);
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    let call = call("192.0.2.1", None, None)
        .add_header(http::header::AUTHORIZATION, value(&format!("DPoP {token}")))
        .add_header(
            HeaderName::from_static("dpop"),
            value(&proof.sign().unwrap()),
        );
    assert_eq!(code(&configured, &call).await, None);
    let replayed = Some("jwt.proof_replayed".to_owned());
    assert_eq!(code(&configured, &call).await, replayed);
    let more = dpop(", 'https://shop.example']");
    reloaded(&folder, &configured, &more).await;
    assert_eq!(code(&configured, &call).await, replayed);
    reloaded(&folder, &configured, &dpop("], replay_capacity = 5000")).await;
    assert_eq!(code(&configured, &call).await, None);
}
