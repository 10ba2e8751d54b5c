//! Facts that hold when this compiles.

use std::fmt::Debug;

use bartizan_core::{Chain, GuardBody, GuardLayer, Guarded, Rejection, SecurityContext};

use crate::support::Gate;

fn shared<T: Clone + Debug + Send + Sync + 'static>() {}
fn sent<T: Send + 'static>() {}

#[test]
fn layers_and_services_are_clone_send_sync_and_debug() {
    type Six = Chain<Chain<Chain<Gate, Gate>, Chain<Gate, Gate>>, Chain<Gate, Gate>>;
    shared::<Gate>();
    shared::<GuardLayer<Six>>();
    shared::<Guarded<axum::Router, Six>>();
    shared::<SecurityContext>();
    sent::<GuardBody<hyper::body::Incoming, <Six as bartizan_core::Guard>::Pass>>();
    sent::<Rejection>();
}

#[test]
fn a_refusal_is_one_pointer() {
    assert_eq!(size_of::<Rejection>(), size_of::<usize>());
}
