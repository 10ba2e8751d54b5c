//! Guards in a row.

use std::convert::Infallible;

use bartizan_core::{Chain, Guard, GuardLayer, Outcome, SecurityContext};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Gate, http};

/// Sends a request through the guard and gives the response's status, the marks of its passes,
/// and who decided what.
async fn run(guard: impl Guard, passes: bool) -> (u16, Vec<String>, Vec<(&'static str, Outcome)>) {
    let context = SecurityContext::new("/hello".parse().unwrap());
    let service = GuardLayer::new(guard).layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    }));
    let mut request = http(passes);
    request.extensions_mut().insert(context.clone());
    let response = service.oneshot(request).await.unwrap();
    let marks = response.headers().get_all("x-passed").iter();
    let marks = marks
        .map(|mark| mark.to_str().unwrap().to_owned())
        .collect();
    let decisions = context
        .decisions()
        .iter()
        .map(|d| (d.layer(), d.outcome()))
        .collect();
    (response.status().as_u16(), marks, decisions)
}

#[tokio::test]
async fn each_guard_decides_under_its_own_name_and_pays_from_the_inside_out() {
    for (first, second) in [
        (Gate::named("a"), Gate::named("b")),
        (Gate::named("a").later(), Gate::named("b")),
        (Gate::named("a"), Gate::named("b").later()),
        (Gate::named("a").later(), Gate::named("b").later()),
    ] {
        let (status, marks, decisions) = run(Chain::new(first, second), true).await;
        assert_eq!(status, 200);
        assert_eq!(marks, ["b", "a"]);
        assert_eq!(
            decisions,
            [("a", Outcome::Allowed), ("b", Outcome::Allowed)]
        );
    }
}

#[tokio::test]
async fn the_second_guard_is_not_asked_after_a_refusal() {
    for first in [Gate::named("a"), Gate::named("a").later()] {
        let (status, marks, decisions) = run(Chain::new(first, Gate::named("b")), false).await;
        assert_eq!(status, 403);
        assert!(marks.is_empty());
        assert_eq!(decisions, [("a", Outcome::Denied)]);
    }
}

#[tokio::test]
async fn a_guard_in_shadow_mode_does_not_hide_one_that_enforces() {
    let chain = Chain::new(Gate::named("a").shadow(), Gate::named("b").later());
    let (status, _, decisions) = run(chain, false).await;
    assert_eq!(status, 403);
    assert_eq!(
        decisions,
        [("a", Outcome::WouldHaveDenied), ("b", Outcome::Denied)]
    );
}

/// An address limit that charges failed authentications stands outside the guard that fails them.
#[tokio::test]
async fn what_passed_before_sees_the_refusal_of_a_guard_further_in() {
    for later in [[false, false], [true, false], [false, true], [true, true]] {
        let gate = |name, later| match later {
            true => Gate::named(name).later(),
            false => Gate::named(name),
        };
        let [first, second] = [gate("a", later[0]), gate("b", later[1])];
        let held = first.held();
        let chain = Chain::new(first, second.closed());
        let (status, marks, decisions) = run(chain, true).await;
        assert_eq!(status, 403, "{later:?}");
        assert_eq!(marks, ["a"], "{later:?}");
        assert_eq!(decisions, [("a", Outcome::Allowed), ("b", Outcome::Denied)]);
        assert_eq!(*held.borrow(), 0, "the refusal keeps no pass");
    }
}

#[tokio::test]
async fn a_refusal_in_the_midst_of_a_chain_asks_nobody_behind_it() {
    for middle in [Gate::named("b").closed(), Gate::named("b").closed().later()] {
        let chain = Chain::new(Gate::named("a"), middle).then(Gate::named("c"));
        let (status, marks, decisions) = run(chain, true).await;
        assert_eq!(status, 403);
        assert_eq!(marks, ["a"]);
        assert_eq!(decisions, [("a", Outcome::Allowed), ("b", Outcome::Denied)]);
    }
}

#[tokio::test]
async fn a_chain_as_the_second_of_another_refuses_as_a_whole() {
    for last in [Gate::named("c").closed(), Gate::named("c").closed().later()] {
        let inner = Chain::new(Gate::named("b"), last);
        let (status, marks, decisions) = run(Chain::new(Gate::named("a"), inner), true).await;
        assert_eq!(status, 403);
        assert_eq!(marks, ["b", "a"]);
        assert_eq!(
            decisions,
            [
                ("a", Outcome::Allowed),
                ("b", Outcome::Allowed),
                ("c", Outcome::Denied)
            ]
        );
    }
}

#[tokio::test]
async fn a_chain_that_may_be_absent_refuses_as_a_whole() {
    for last in [Gate::named("b").closed(), Gate::named("b").closed().later()] {
        let chain = Some(Chain::new(Gate::named("a"), last));
        let expected = (
            403,
            vec!["a".to_owned()],
            vec![("a", Outcome::Allowed), ("b", Outcome::Denied)],
        );
        assert_eq!(run(chain.clone(), true).await, expected);
        let outer = Chain::new(chain, Gate::named("c"));
        assert_eq!(run(outer, true).await, expected, "nobody behind is asked");
    }
}

#[tokio::test]
async fn a_guard_that_is_absent_decides_nothing() {
    let nobody: Option<Gate> = None;
    let (status, marks, decisions) = run(nobody.clone(), false).await;
    assert_eq!((status, marks.len(), decisions.len()), (200, 0, 0));
    let chain = Chain::new(nobody.clone(), Gate::named("b")).then(nobody);
    let (status, marks, decisions) = run(chain, true).await;
    assert_eq!(status, 200);
    assert_eq!(marks, ["b"]);
    assert_eq!(decisions, [("b", Outcome::Allowed)]);
}

#[tokio::test]
async fn a_guard_that_may_be_absent_decides_as_it_would_by_itself() {
    for gate in [Gate::named("b"), Gate::named("b").later()] {
        for passes in [true, false] {
            let alone = run(gate.clone(), passes).await;
            assert_eq!(run(Some(gate.clone()), passes).await, alone);
            let chained = run(Chain::new(None::<Gate>, Some(gate.clone())), passes).await;
            assert_eq!(chained, alone);
        }
        // It still sees the refusal of a guard further in.
        let chain = Chain::new(Some(gate), Some(Gate::named("c").closed()));
        let (status, marks, _) = run(chain, true).await;
        assert_eq!(status, 403);
        assert_eq!(marks, ["b"]);
    }
    let shadowed = run(Some(Gate::named("b").shadow()), false).await;
    assert_eq!(
        shadowed,
        (200, vec![], vec![("b", Outcome::WouldHaveDenied)])
    );
}
