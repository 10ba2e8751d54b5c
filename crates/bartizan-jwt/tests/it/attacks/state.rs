//! K9, K16 and K17: the clock, and what gets into logs and headers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::{Event, observe_fn};
use bartizan_jwt::JwtLayer;

use super::target;
use crate::support::{outcome, passed, refused, send};

#[tokio::test]
async fn k09_the_wall_clock_jumps() {
    let target = target();
    let token = target.token().sign().unwrap();
    target.accepts(&token).await;
    target
        .offline
        .clock
        .set_wall_back(Duration::from_secs(86_400));
    let expected = refused(401, "jwt.issued_in_future");
    assert_eq!(outcome(&target.layer, &token).await, expected);
    let now = bartizan_core::Clock::wall(&target.offline.clock);
    target
        .offline
        .clock
        .set_wall(now + Duration::from_secs(2 * 86_400));
    assert_eq!(
        outcome(&target.layer, &token).await,
        refused(401, "jwt.expired")
    );
    target
        .offline
        .clock
        .set_wall(now + Duration::from_secs(86_400));
    assert_eq!(outcome(&target.layer, &token).await, passed());
}

#[tokio::test]
async fn k16_nothing_of_a_token_gets_into_events() {
    let target = target();
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let observer = observe_fn(move |event| {
        if let Event::Decision(decision) = event {
            let text = format!("{:?} {:?}", decision.decision(), decision.code());
            sink.lock().unwrap().push(text);
        }
    });
    let config = target.offline.config().with_observer(Arc::new(observer));
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    let secret = "s3cret\r\ninjected: 1";
    for token in [
        target.token().header("kid", secret).sign().unwrap(),
        target.token().claim("iss", secret).sign().unwrap(),
        target.token().claim("sub", secret).sign().unwrap(),
        target.token().claim("aud", secret).sign().unwrap(),
    ] {
        assert_eq!(outcome(&layer, &token).await.0, 401);
        let events = events.lock().unwrap().join(" ");
        let (_, signature) = token.rsplit_once('.').unwrap();
        for part in ["s3cret", "injected", signature] {
            assert!(!events.contains(part), "{events}");
        }
    }
    assert_eq!(events.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn k17_what_a_client_sends_never_gets_into_a_challenge() {
    let target = target();
    let config = target.offline.config().with_realm("a\"b\\c\r\nd");
    let layer = JwtLayer::start(config.build().unwrap()).unwrap();
    let token = target
        .token()
        .claim("scope", "\", evil=\"1")
        .header("typ", "\"x");
    let answer = send(&layer, &token.sign().unwrap()).await;
    assert_eq!(
        answer.header("www-authenticate").unwrap(),
        r#"Bearer realm="a\"b\\c??d", error="invalid_token""#
    );
}
