//! Every order in which a body and its guard can talk, tried by a model checker.

use std::future::poll_fn;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use super::link::Link;
use crate::error::RateLimitErrorKind;

#[test]
fn neither_a_body_nor_its_guard_waits_for_ever() {
    loom::model(|| {
        let link = Arc::new(Link::new(false));
        let reading = Arc::clone(&link);
        let reader = thread::spawn(move || {
            assert!(reading.report(RateLimitErrorKind::JsonTooDeep));
            block_on(poll_fn(|cx| reading.poll_broken::<()>(cx))).is_err()
        });
        let fault = block_on(poll_fn(|cx| link.poll_fault(cx)));
        assert_eq!(fault, RateLimitErrorKind::JsonTooDeep);
        link.end();
        assert!(reader.join().unwrap());
    });
}
