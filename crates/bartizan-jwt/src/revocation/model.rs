//! Every order in which tokens can be revoked and asked about, tried by a model checker.

use loom::thread;

use super::*;
use crate::testing::{self, ISSUER, header, keys, now, rules, sign};
use crate::verify::verify;

#[test]
fn what_was_revoked_stays_so_while_what_expired_is_forgotten() {
    let token = sign(&header(), &testing::claims());
    let token = verify(&token, &keys(), &rules().build().unwrap(), now()).unwrap();
    let claims = Arc::clone(token.shared_claims());
    loom::model(move || {
        let list = RevocationList::new(2);
        let long_ago = now().saturating_sub(MAX_LEEWAY);
        list.revoke_token(ISSUER, "expired", long_ago).unwrap();
        let (revoking, claims) = (list.clone(), Arc::clone(&claims));
        let forgetting = list.clone();
        let forgetting = thread::spawn(move || forgetting.forget_expired(now()));
        let end = now() + std::time::Duration::from_secs(300);
        revoking.revoke_token(ISSUER, "t-1", end).unwrap();
        assert!(revoking.is_revoked(&claims));
        assert!(forgetting.join().unwrap() <= 1);
        assert!(list.is_revoked(&claims));
        // What is counted is what is there: there is room for one, and for no more.
        list.revoke_token(ISSUER, "t-2", end).unwrap();
        assert!(list.revoke_token(ISSUER, "t-3", end).is_err());
    });
}
