//! Card numbers that the service stores and cannot read.

use bartizan_testkit::TokenBuilder;
use customers::Records;
use http::Method;
use serde_json::json;

use super::Rows;
use crate::client::{Got, HttpCall, http};
use crate::scene::{CARD, Scene};

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "Card numbers: sealed, shown to whom they concern, forgotten",
        "The service stores what it cannot read; a token's scopes say how much is shown.",
    );
    let (scene, customers) = (rows.scene, rows.scene.customers);
    let web = scene.workload("/web")?;
    let scoped = |scope: &str| scene.customer_token().scope(scope).sign().map(Some);
    let read = |path| HttpCall::get(path);
    let write = |path, scope| {
        let token = scoped(&format!("customers:write {scope}"))?;
        anyhow::Ok(HttpCall::new(Method::PUT, path).token(token))
    };

    let call = write("/customers/7", "customers:read")?.json(document(CARD));
    let stored = scene.records.clone();
    let send = http(web.clone(), customers, call);
    rows.add(
        "HTTP: a card, and how it is stored",
        ("200", "card fe1.…"),
        async move {
            let got = send.await;
            match kept_card(&stored) {
                Some(kept) if kept.starts_with("fe1.") && !kept.contains(CARD) => Got {
                    said: "card fe1.…".to_owned(),
                    ..got
                },
                kept => Got::failed(&format!("stored as {kept:?}")),
            }
        },
    );
    let mut show = |request, expected, scope: &str| {
        let call = read("/customers/7").token(scoped(scope)?);
        rows.send(request, ("200", expected), &web, customers, call);
        anyhow::Ok(())
    };
    show(
        "HTTP: scope cards:read",
        "card 4111111111111111",
        "customers:read cards:read",
    )?;
    show(
        "HTTP: scope customers:read alone",
        "card ****1111",
        "customers:read",
    )?;

    let stored = scene.records.clone();
    let send = http(web.clone(), customers, {
        read("/customers/8").token(scoped("customers:read cards:read")?)
    });
    rows.add(
        "HTTP: 7's card, copied to customer 8",
        ("500", "encrypt.unknown_key"),
        async move {
            if let Some(document) = stored.get("7") {
                stored.put("8", document);
            }
            send.await
        },
    );
    let stolen = scene.records.clone();
    let (dialler, call) = (web.clone(), write("/customers/9", "cards:read")?);
    rows.add(
        "HTTP: a ciphertext instead of a number",
        ("400", "encrypt.ciphertext_injected"),
        async move {
            let body = json!({ "name": "mallory", "card": kept_card(&stolen) }).to_string();
            http(dialler, customers, call.json(body)).await
        },
    );
    let twice = write("/customers/9", "cards:read")?;
    let twice = twice.json(r#"{"card":"1","c\u0061rd":"2"}"#);
    rows.send(
        "HTTP: two cards, one of them disguised",
        ("400", "encrypt.duplicate_member"),
        &web,
        customers,
        twice,
    );

    rotated(rows, scene)?;
    erased(rows, scene)
}

/// A new key seals from now on; what the old one sealed still opens.
fn rotated(rows: &mut Rows<'_>, scene: &Scene) -> anyhow::Result<()> {
    let (customers, web) = (scene.customers, scene.workload("/web")?);
    let token = |scope| scoped(scene.customer_token(), scope);
    let rotate = HttpCall::new(Method::POST, "/customers/7/key").token(token("customers:keys")?);
    let read = HttpCall::get("/customers/7").token(token("customers:read cards:read")?);
    let write = HttpCall::new(Method::PUT, "/customers/7")
        .token(token("customers:write cards:read")?)
        .json(document(CARD));
    let stored = scene.records.clone();
    rows.add(
        "HTTP: key rotated; read, then stored anew",
        ("200", "under the new key"),
        async move {
            // Version and key identifier, which a ciphertext begins with.
            let key = || kept_card(&stored).map(|card| card.chars().take(16).collect());
            let old: Option<String> = key();
            for call in [rotate, read] {
                let got = http(web.clone(), customers, call).await;
                if got.answer != "200" {
                    return got;
                }
            }
            let got = http(web, customers, write).await;
            let said = match key() == old {
                true => "under the old key",
                false => "under the new key",
            };
            let said = said.to_owned();
            Got { said, ..got }
        },
    );
    Ok(())
}

/// Without the key, what was ever sealed for a person is gone, also from backups.
fn erased(rows: &mut Rows<'_>, scene: &Scene) -> anyhow::Result<()> {
    let (customers, web) = (scene.customers, scene.workload("/web")?);
    let token = |scope| scoped(scene.customer_token(), scope);
    rows.send(
        "HTTP: 7 wants to be forgotten",
        ("200", "erased 7"),
        &web,
        customers,
        HttpCall::new(Method::DELETE, "/customers/7/key").token(token("customers:keys")?),
    );
    rows.send(
        "HTTP: 7's card after that",
        ("200", "card null"),
        &web,
        customers,
        HttpCall::get("/customers/7").token(token("customers:read cards:read")?),
    );
    Ok(())
}

/// The card of customer 7 as the service has stored it.
fn kept_card(records: &Records) -> Option<String> {
    let document = records.get("7")?;
    document.get("card")?.as_str().map(str::to_owned)
}

/// What is stored of a customer with this card.
pub(super) fn document(card: &str) -> String {
    json!({ "name": "alice", "card": card }).to_string()
}

fn scoped(token: TokenBuilder, scope: &str) -> anyhow::Result<Option<String>> {
    Ok(Some(token.scope(scope).sign()?))
}
