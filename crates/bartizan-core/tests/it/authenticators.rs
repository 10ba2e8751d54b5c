//! Two ways to authenticate, of which a request uses one.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bartizan_core::{
    Authenticator, Authenticators, Chain, Challenge, Check, Code, Duty, Enforcement, Guard,
    GuardLayer, Inquiry, Inspection, Pass, Presented, Principal, Rejection, RejectionKind, Scheme,
    SecurityContext,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, response};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Gate, http};

const MISSING: Code = Code::new("test.missing");
const BAD: Code = Code::new("test.bad");

/// Lets pass who says `good` in its header.
#[derive(Clone, Debug)]
struct Way {
    duty: Duty,
    header: &'static str,
    presented: Presented,
    later: bool,
    anonymous: bool,
}

fn way(header: &'static str) -> Way {
    Way {
        duty: Duty::new(header),
        header,
        presented: Presented::Elsewhere,
        later: false,
        anonymous: false,
    }
}

impl Way {
    fn shadow(mut self) -> Self {
        self.duty = self.duty.with_enforcement(Enforcement::Shadow);
        self
    }

    fn later(mut self) -> Self {
        self.later = true;
        self
    }

    fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    fn seen(mut self, presented: Presented) -> Self {
        self.presented = presented;
        self
    }
}

#[derive(Debug)]
struct Mark(&'static str);

impl Pass for Mark {
    fn respond(&mut self, response: &mut response::Parts) {
        let value = HeaderValue::from_static(self.0);
        response.headers.append("x-passed", value);
    }
}

/// Gives its answer when it is polled a second time.
struct Second(Option<Result<Mark, Rejection>>, bool);

impl Inquiry<Mark> for Second {
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<Mark, Rejection>> {
        if !std::mem::replace(&mut self.1, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(name(self.0.take().unwrap(), inspection))
    }
}

/// What a way leaves in the request for those further in.
#[derive(Clone, Copy, Debug)]
struct Left(&'static str);

/// Whoever passes with a credential is named after it.
fn name(
    verdict: Result<Mark, Rejection>,
    inspection: &mut Inspection<'_>,
) -> Result<Mark, Rejection> {
    if let Ok(Mark(name)) = &verdict
        && *name != "nobody"
    {
        inspection
            .context
            .set_principal(Principal::builder(Scheme::Jwt, "test", name).assert_verified())?;
        inspection.parts.extensions.insert(Left(name));
    }
    verdict
}

impl Guard for Way {
    type Pass = Mark;
    type Inquiry = Second;

    fn duty(&self) -> Option<&Duty> {
        Some(&self.duty)
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<Mark, Second> {
        let refused = |code| {
            let rejection = Rejection::new(RejectionKind::Unauthenticated, code);
            Err(rejection.with_challenge(Challenge::new(self.header)))
        };
        let verdict = match inspection.parts.headers.get(self.header) {
            Some(value) if value == "good" => Ok(Mark(self.header)),
            Some(_) => refused(BAD),
            None if self.anonymous => Ok(Mark("nobody")),
            None => refused(MISSING),
        };
        match self.later {
            true => Check::Later(Second(Some(verdict), false)),
            false => Check::Now(name(verdict, inspection)),
        }
    }
}

impl Authenticator for Way {
    fn presented(&self, inspection: &Inspection<'_>) -> Presented {
        match inspection.parts.headers.contains_key(self.header) {
            true => self.presented,
            false => Presented::Nothing,
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Seen {
    status: u16,
    passed: Vec<String>,
    challenges: Vec<String>,
    decisions: Vec<String>,
    principal: Option<String>,
    /// What the handler found in the request.
    left: Vec<String>,
}

async fn send(
    first: impl Into<Option<Way>>,
    second: impl Into<Option<Way>>,
    headers: &[(&'static str, &'static str)],
) -> Seen {
    let guard = Authenticators::new(first.into(), second.into());
    let handler = service_fn(async |request: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::<Bytes>::from("hello"));
        if let Some(Left(name)) = request.extensions().get() {
            let name = HeaderValue::from_static(name);
            response.headers_mut().insert("x-left", name);
        }
        Ok::<_, Infallible>(response)
    });
    let service = GuardLayer::new(guard).layer(handler);
    let context = SecurityContext::new("/hello".parse().unwrap());
    let mut request = Request::get("/hello").extension(context.clone());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::default()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let all = |name: &str| {
        let values = response.headers().get_all(name).iter();
        values.map(|it| it.to_str().unwrap().to_owned()).collect()
    };
    let decisions = context.decisions();
    let decisions = decisions.iter().map(|it| {
        let code = it.code().map_or("", |code| code.as_str());
        format!("{} {} {code}", it.layer(), it.outcome().as_str())
    });
    Seen {
        status: response.status().as_u16(),
        passed: all("x-passed"),
        challenges: all("www-authenticate"),
        decisions: decisions.collect(),
        principal: context.principal().map(|it| it.subject().to_owned()),
        left: all("x-left"),
    }
}

#[tokio::test]
async fn the_credential_decides_who_is_asked() {
    for later in [false, true] {
        let ways = || match later {
            true => (way("a").later(), way("b").later()),
            false => (way("a"), way("b")),
        };
        for name in ["a", "b"] {
            let (a, b) = ways();
            let seen = send(a, b, &[(name, "good")]).await;
            assert_eq!((seen.status, seen.passed), (200, vec![name.to_owned()]));
            assert_eq!(seen.decisions, [format!("{name} allowed ")]);
            let (a, b) = ways();
            let seen = send(a, b, &[(name, "bad")]).await;
            assert_eq!(seen.status, 401);
            assert_eq!(seen.decisions, [format!("{name} denied test.bad")]);
            assert_eq!(seen.challenges, [name]);
        }
    }
}

#[tokio::test]
async fn two_credentials_are_refused_however_good() {
    for values in [["good", "good"], ["good", "bad"], ["bad", "good"]] {
        let both = [("a", values[0]), ("b", values[1])];
        let seen = send(way("a"), way("b"), &both).await;
        assert_eq!(seen.status, 400);
        assert_eq!(seen.decisions, ["a denied context.two_credentials"]);
        let seen = send(way("a").shadow(), way("b").shadow(), &both).await;
        assert_eq!(
            (seen.status, seen.passed.len()),
            (200, 0),
            "and nobody is vouched for"
        );
    }
}

#[tokio::test]
async fn one_field_that_both_see_belongs_to_the_second() {
    let both = [("a", "bad"), ("b", "good")];
    let seen_in = |a: Presented, b: Presented| send(way("a").seen(a), way("b").seen(b), &both);
    let (field, other) = (Presented::InAuthorization, Presented::Elsewhere);
    assert_eq!(seen_in(field, field).await.passed, ["b"]);
    assert_eq!(seen_in(field, other).await.status, 400);
    assert_eq!(seen_in(other, field).await.status, 400);
}

#[tokio::test]
async fn what_stands_where_nothing_may_is_refused_by_whoever_sees_it() {
    let misplaced = |name| way(name).seen(Presented::Misplaced);
    let headers = [("a", "good"), ("b", "bad")];
    let seen = send(way("a"), misplaced("b"), &headers).await;
    assert_eq!(seen.decisions, ["b denied test.bad"]);
    let seen = send(misplaced("b"), way("a"), &headers).await;
    assert_eq!(seen.decisions, ["b denied test.bad"]);
    let seen = send(way("a"), misplaced("b").shadow(), &headers).await;
    assert_eq!((seen.status, seen.passed), (200, vec!["a".to_owned()]));
    assert_eq!(
        seen.decisions,
        ["b would_have_denied test.bad", "a allowed "]
    );
}

#[tokio::test]
async fn without_a_credential_both_are_asked_and_both_challenge() {
    for (a, b) in [
        (way("a"), way("b")),
        (way("a").later(), way("b")),
        (way("a").anonymous(), way("b")),
        (way("a").anonymous().later(), way("b").later()),
        (way("a"), way("b").anonymous()),
    ] {
        let challenges = match (a.anonymous, b.anonymous) {
            (false, false) => vec!["a", "b"],
            (true, _) => vec!["b"],
            (_, true) => vec!["a"],
        };
        let seen = send(a, b, &[]).await;
        assert_eq!(seen.status, 401);
        assert_eq!(seen.challenges, challenges);
    }
    let seen = send(way("a").anonymous(), way("b").anonymous(), &[]).await;
    assert_eq!((seen.status, seen.passed.len()), (200, 2));
}

#[tokio::test]
async fn a_way_in_shadow_mode_changes_nothing_beside_one_that_enforces() {
    let headers = |name, value: Option<&'static str>| value.map(|value| (name, value));
    let values = [None, Some("good"), Some("bad")];
    for later in [false, true] {
        for anonymous in [false, true] {
            for (of_enforced, of_shadowed) in values
                .iter()
                .flat_map(|it| values.map(|other| (*it, other)))
            {
                let enforced = Way {
                    later,
                    anonymous,
                    ..way("e")
                };
                let shadowed = Way {
                    later,
                    ..way("s").shadow()
                };
                let sent = [headers("e", of_enforced), headers("s", of_shadowed)];
                let sent: Vec<_> = sent.into_iter().flatten().collect();
                let alone = send(enforced.clone(), None, &sent).await;
                for seen in [
                    send(enforced.clone(), shadowed.clone(), &sent).await,
                    send(shadowed.clone(), enforced.clone(), &sent).await,
                ] {
                    let recorded = match (of_enforced, of_shadowed) {
                        (Some(_), None) => None,
                        (None, None) => Some("s would_have_denied test.missing"),
                        (None, Some("good")) => Some("s allowed "),
                        (None, Some(_)) => Some("s would_have_denied test.bad"),
                        (Some(_), Some(_)) => Some("s would_have_denied context.two_credentials"),
                    };
                    let recorded = recorded.into_iter().map(str::to_owned);
                    let expected = Seen {
                        decisions: recorded.chain(alone.decisions.clone()).collect(),
                        ..alone.clone()
                    };
                    assert_eq!(seen, expected, "{sent:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_field_that_both_see_is_no_way_around_the_one_that_enforces() {
    let seen = |name| way(name).seen(Presented::InAuthorization);
    let sent = [("a", "bad"), ("b", "good")];
    let keys_watch = send(seen("a"), seen("b").shadow(), &sent).await;
    assert_eq!((keys_watch.status, keys_watch.principal), (401, None));
    assert_eq!(keys_watch.decisions, ["b allowed ", "a denied test.bad"]);
    let tokens_watch = send(seen("a").shadow(), seen("b"), &sent).await;
    assert_eq!(
        (tokens_watch.status, tokens_watch.decisions.len()),
        (200, 1)
    );
    assert_eq!(tokens_watch.principal.as_deref(), Some("b"));
}

#[tokio::test]
async fn two_ways_in_shadow_mode_record_and_let_pass() {
    for (sent, expected) in [
        (
            &[][..],
            [
                "a would_have_denied test.missing",
                "b would_have_denied test.missing",
            ]
            .as_slice(),
        ),
        (&[("a", "good")], &["a allowed "]),
        (&[("b", "good")], &["b allowed "]),
        (
            &[("a", "bad")],
            &[
                "a would_have_denied test.bad",
                "b would_have_denied test.missing",
            ],
        ),
        (
            &[("b", "bad")],
            &[
                "b would_have_denied test.bad",
                "a would_have_denied test.missing",
            ],
        ),
    ] {
        for later in [false, true] {
            let way = |name| Way {
                later,
                ..way(name).shadow()
            };
            let seen = send(way("a"), way("b"), sent).await;
            assert_eq!((seen.status, &*seen.decisions), (200, &*owned(expected)));
            let good = sent.iter().find(|(_, value)| *value == "good");
            assert_eq!(seen.principal.as_deref(), good.map(|(name, _)| *name));
        }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&it| it.to_owned()).collect()
}

/// Two guards of which the second may refuse after the first has passed.
#[derive(Clone, Debug)]
struct Both(Chain<Gate, Gate>);

impl Guard for Both {
    type Pass = <Chain<Gate, Gate> as Guard>::Pass;
    type Inquiry = <Chain<Gate, Gate> as Guard>::Inquiry;

    fn duty(&self) -> Option<&Duty> {
        self.0.duty()
    }

    fn check(&self, inspection: &mut Inspection<'_>) -> Check<Self::Pass, Self::Inquiry> {
        self.0.check(inspection)
    }
}

impl Authenticator for Both {
    fn presented(&self, _: &Inspection<'_>) -> Presented {
        Presented::InAuthorization
    }
}

#[tokio::test]
async fn an_authenticator_made_of_others_refuses_as_a_whole() {
    let hello = async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    };
    for (last, expected) in [(Gate::new(), 200), (Gate::new().closed(), 403)] {
        let both = Both(Chain::new(Gate::new(), last));
        let first = Authenticators::new(Some(both.clone()), None::<Way>);
        let service = GuardLayer::new(first).layer(service_fn(hello));
        assert_eq!(
            service.oneshot(http(true)).await.unwrap().status(),
            expected
        );
        let second = Authenticators::new(Some(way("a")), Some(both));
        let service = GuardLayer::new(second).layer(service_fn(hello));
        assert_eq!(
            service.oneshot(http(true)).await.unwrap().status(),
            expected
        );
    }
}

#[tokio::test]
async fn either_may_be_absent_or_both() {
    assert_eq!(send(way("a"), None, &[("a", "good")]).await.status, 200);
    assert_eq!(send(None, way("b"), &[("b", "good")]).await.status, 200);
    assert_eq!(send(way("a"), None, &[("b", "good")]).await.status, 401);
    assert_eq!(send(None, way("b"), &[("a", "good")]).await.status, 401);
    let seen = send(None, None, &[]).await;
    assert_eq!((seen.status, seen.decisions.len()), (200, 0));
}
