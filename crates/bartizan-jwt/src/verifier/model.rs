//! Every order in which keys can be withdrawn while their tokens come in, tried by a model checker.

use bartizan_core::SystemClock;
use bartizan_source::Publisher;
use loom::thread::{Builder, JoinHandle};

use super::*;
use crate::cache::model::cache;
use crate::testing::{claims, header, key_set, keys, now, rules, sign};

/// Verifying takes more stack than a thread of a model has.
const STACK: usize = 64 * 1024;

fn verifiers(publisher: &Publisher<KeySet>) -> Verifiers {
    let keys = KeySource::Watched(publisher.published());
    let verifier = Verifier::new(rules().build().unwrap(), keys);
    Verifiers::new(vec![verifier], Some(cache(1, 4)))
}

fn spawn<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().stack_size(STACK).spawn(act).unwrap()
}

#[test]
fn a_token_is_recalled_no_more_once_its_key_was_withdrawn() {
    let token = sign(&header(), &claims());
    loom::model(move || {
        let publisher = Publisher::new(Arc::new(SystemClock));
        publisher.publish(keys());
        let verifiers = Arc::new(verifiers(&publisher));
        // The checker does not see into the slot of the keys. This stands for it, so that it tries
        // both orders of looking at them and replacing them.
        let slot = Arc::new(AtomicU64::new(0));
        let verifying = {
            let (verifiers, token) = (Arc::clone(&verifiers), token.clone());
            let slot = Arc::clone(&slot);
            spawn(move || {
                slot.fetch_add(1, Ordering::Relaxed);
                // By the old keys or by the new ones.
                let _ = verifiers.verify(0, &token, now());
            })
        };
        let withdrawing = {
            let (verifiers, token) = (Arc::clone(&verifiers), token.clone());
            spawn(move || {
                slot.fetch_add(1, Ordering::Relaxed);
                publisher.publish(key_set(&[]));
                assert!(verifiers.recall(token.as_bytes(), now()).is_none());
                assert!(verifiers.verify(0, &token, now()).is_err());
            })
        };
        verifying.join().unwrap();
        withdrawing.join().unwrap();
        assert!(verifiers.recall(token.as_bytes(), now()).is_none());
    });
}

#[test]
fn what_rested_on_a_withdrawn_key_is_forgotten_by_whoever_sees_the_new_ones_first() {
    let token = sign(&header(), &claims());
    loom::model(move || {
        let publisher = Publisher::new(Arc::new(SystemClock));
        publisher.publish(keys());
        let verifiers = Arc::new(verifiers(&publisher));
        let verify = || {
            let (verifiers, token) = (Arc::clone(&verifiers), token.clone());
            spawn(move || verifiers.verify(0, &token, now()).is_ok())
        };
        assert!(verify().join().unwrap());
        assert_eq!(verifiers.cached(), 1);
        publisher.publish(key_set(&[]));
        for thread in [verify(), verify()] {
            assert!(!thread.join().unwrap());
        }
        assert_eq!(verifiers.cached(), 0);
    });
}
