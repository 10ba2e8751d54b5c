//! What the gateway decides can be watched before it is enforced, and scraped in any case.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Gate, Town, counted, echo};

/// Tokens that pass the gateway go on to the service.
fn forwarding(text: &str, mode: &str) -> String {
    text.replace(
        "name = \"gate\"",
        &format!("name = \"gate\"\nmode = \"{mode}\""),
    )
    .replace(
        "upstream = \"shop\"",
        "upstream = \"shop\"\nforward_token = true",
    )
}

/// Asks for something that the policy allows to readers, and gives status and what the service saw.
async fn ask(town: &Town, gate: &Gate, token: Option<&str>) -> (u16, Value) {
    let mut request = town.client(None).get(gate.url("/api/a"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn in_shadow_a_bad_token_passes_as_nobodys_and_goes_no_further() {
    let town = Town::new().await;
    let text = forwarding(&town.plain(echo().await), "shadow");
    let gate = town.start(&text).await;
    let good = town.token().sign().unwrap();
    let expired = town.token().expired_since(Duration::from_secs(600));
    let expired = expired.sign().unwrap();

    let (status, seen) = ask(&town, &gate, Some(&good)).await;
    assert_eq!(
        (status, &seen["x-bartizan-subject"]),
        (200, &Value::from("alice"))
    );
    assert_eq!(seen["authorization"], format!("Bearer {good}"));
    for bad in [Some(&*expired), Some("not.a.token"), None] {
        let (status, seen) = ask(&town, &gate, bad).await;
        assert_eq!(status, 200, "{bad:?}");
        assert_eq!(seen["x-bartizan-subject"], Value::Null, "{bad:?}");
        assert_eq!(seen["authorization"], Value::Null, "{bad:?}");
    }
    for (layer, code, times) in [
        ("jwt", "jwt.expired", 1),
        ("authz", "authz.unauthenticated", 3),
    ] {
        let labels = [
            &format!("layer=\"{layer}\""),
            "outcome=\"would_have_denied\",mode=\"shadow\"",
            &*format!("code=\"{code}\""),
        ];
        assert_eq!(counted(&town, &gate, &labels).await, times, "{labels:?}");
    }

    // The same is refused as soon as it counts.
    let gate = town.start(&text.replace("\"shadow\"", "\"enforce\"")).await;
    let (status, _) = ask(&town, &gate, Some(&good)).await;
    assert_eq!(status, 200);
    let (status, seen) = ask(&town, &gate, Some(&expired)).await;
    assert_eq!((status, &seen["code"]), (401, &Value::from("jwt.expired")));
    let labels = ["layer=\"jwt\"", "outcome=\"denied\",mode=\"enforce\""];
    assert_eq!(counted(&town, &gate, &labels).await, 1);
}
