//! Running attacks: each with its control request, before and after.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, Version};
use http_body::Body;
use tower_service::Service;

use crate::answer::{Exchange, Meaning, Reading};
use crate::attack::{Attack, Class, Promise, attacks};
use crate::carrier::{Carrier, InProcess};
use crate::error::GivenError;
use crate::given::Given;
use crate::keys::Thief;
use crate::payload::Payload;
use crate::remote::Remote;
use crate::report::{Entry, Report, Verdict};
use crate::target::Target;
use crate::volley::{Shot, Volley};
use crate::wire::Wire;

/// How often a request that was one too many is made again.
const ATTEMPTS: usize = 12;
/// The longest wait before it is.
const LONGEST_WAIT: u64 = 5;

/// Attacks a service in this process: anything that takes `http::Request<Payload>`, such as an axum
/// `Router` or tonic's `Routes`.
///
/// Await it. What is not said by [`Run::with_target`] is `GET /` without credentials. Attacks that
/// need a socket are reported as not run; see [`run_at`].
///
/// ```
/// use bartizan_attack as attack;
/// use bartizan_attack::Target;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # async fn lock(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
/// #     let known = request.headers().get_all("authorization").iter().eq(["Bearer secret"]);
/// #     if known { next.run(request).await } else { axum::response::IntoResponse::into_response(http::StatusCode::UNAUTHORIZED) }
/// # }
/// # let service = axum::Router::new().route("/orders", axum::routing::get(async || "lamp"));
/// # let service = service.layer(axum::middleware::from_fn(lock));
/// let target = Target::get("/orders").with_bearer("secret");
/// attack::run(service).with_target(target).await.assert_none_got_in();
/// # }
/// ```
pub fn run<S, B>(service: S) -> Run
where
    S: Service<Request<Payload>, Response = Response<B>> + Clone + 'static,
    B: Body + 'static,
{
    let place = move |target: &Target| -> Result<Box<dyn Carrier>, GivenError> {
        Ok(Box::new(InProcess {
            service,
            prepare: target.prepare.clone(),
            version: if target.grpc {
                Version::HTTP_2
            } else {
                Version::HTTP_11
            },
        }))
    };
    Run::new(Box::new(place), Target::get("/"))
}

/// Attacks a service behind a URL.
///
/// Await it. What is not said by [`Run::with_target`] is `GET` of the URL's path without credentials.
pub fn run_at(remote: Remote) -> Run {
    let target = Target::get(remote.path.clone());
    let place = move |target: &Target| -> Result<Box<dyn Carrier>, GivenError> {
        Ok(Box::new(Wire::new(remote, target.grpc)?))
    };
    Run::new(Box::new(place), target)
}

type Place = dyn FnOnce(&Target) -> Result<Box<dyn Carrier>, GivenError>;

/// A run that begins when it is awaited, and yields a [`Report`].
#[must_use = "a run begins when it is awaited"]
pub struct Run {
    place: Box<Place>,
    target: Target,
    only: Vec<Class>,
}

impl Run {
    fn new(place: Box<Place>, target: Target) -> Self {
        Self {
            place,
            target,
            only: Vec::new(),
        }
    }

    /// Says what is known of the service.
    pub fn with_target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// Runs attacks of this class alone; may be said of several.
    pub fn only(mut self, class: Class) -> Self {
        self.only.push(class);
        self
    }

    async fn attack(self) -> Report {
        let mut target = self.target;
        let made = (self.place)(&target).and_then(|it| Ok((it, Thief::generate()?)));
        let chosen = attacks().filter(|it| self.only.is_empty() || self.only.contains(&it.class()));
        let (carrier, thief) = match made {
            Ok(made) => made,
            Err(error) => {
                let verdict = Verdict::Unjudged(error.to_string());
                let entries = chosen.map(|it| Entry::new(it, 0, verdict.clone()));
                return Report {
                    entries: entries.collect(),
                };
            }
        };
        if let Some(remote) = carrier.remote() {
            target.draft.host = Some(remote.host.clone());
        }
        let mut given = Given {
            target: &target,
            remote: carrier.remote(),
            http1: false,
            http2: false,
            thief,
        };
        let mut runner = Runner {
            carrier: carrier.as_ref(),
            proven: HashSet::new(),
        };
        if let Some(remote) = given.remote {
            let draft = given.control();
            let scheme = if remote.tls { "https" } else { "http" };
            let fields = Shot::Fields(draft.http2(scheme), draft.body, draft.trailers);
            given.http2 = runner.accepts(&given, fields).await;
            let draft = given.control();
            given.http1 = !target.grpc && runner.accepts(&given, Shot::Raw(draft.http1())).await;
        }
        let mut entries = Vec::new();
        for attack in chosen {
            entries.push(runner.run(attack, &given).await);
        }
        Report { entries }
    }
}

impl IntoFuture for Run {
    type Output = Report;
    type IntoFuture = Pin<Box<dyn Future<Output = Report>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.attack())
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("target", &self.target)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

struct Runner<'a> {
    carrier: &'a dyn Carrier,
    /// The kinds of control request that were accepted since the last attack that spoiled one.
    proven: HashSet<&'static str>,
}

impl Runner<'_> {
    async fn run(&mut self, attack: &Attack, given: &Given<'_>) -> Entry {
        let entry = |shots, verdict| Entry::new(attack, shots, verdict);
        let mut allowed = given.target.allowed.iter();
        if let Some((_, reason)) = allowed.find(|(name, _)| name == attack.name()) {
            return entry(0, Verdict::NotRun(format!("allowed: {reason}")));
        }
        let volley = match attack.build(given) {
            Ok(volley) => volley,
            Err(need) => return entry(0, Verdict::NotRun(format!("needs {}", need.0))),
        };
        let reading = Reading {
            accepted: given.target.accepted.clone(),
            excused_grpc: volley.excused_grpc.clone(),
        };
        if !self.proven.contains(volley.kind) {
            let control = self.send(&volley.control, &reading, false).await;
            if reading.of(&control) != Meaning::Accepted {
                let why = format!("the control request: {control}");
                return entry(0, Verdict::Unjudged(why));
            }
            self.proven.insert(volley.kind);
        }
        let shots = volley.shots.len();
        // Of a flood the order matters; the others have nothing to do with each other.
        let exchanges = match volley.floods {
            true => {
                let mut exchanges = Vec::new();
                for shot in &volley.shots {
                    exchanges.push(self.send(shot, &reading, true).await);
                }
                exchanges
            }
            false => {
                let all = volley.shots.iter();
                together(all.map(|shot| self.send(shot, &reading, false))).await
            }
        };
        let unsendable = exchanges.iter().find_map(|exchange| match exchange {
            Exchange::Unsendable(need) => Some(*need),
            _ => None,
        });
        if let Some(need) = unsendable {
            return entry(0, Verdict::NotRun(format!("needs {need}")));
        }
        let verdict = judge(attack.promise(), &volley, &exchanges, &reading);
        let verdict = match (verdict, self.still(attack, given, &volley, &reading).await) {
            (Verdict::Held, Some(spoiled)) => spoiled,
            (verdict, _) => verdict,
        };
        entry(shots, verdict)
    }

    /// Whether the service accepts the control request after an attack; if not, what that means.
    async fn still(
        &mut self,
        attack: &Attack,
        given: &Given<'_>,
        volley: &Volley,
        reading: &Reading,
    ) -> Option<Verdict> {
        // Made anew: what is to be used once was used.
        let fresh = attack.build(given).map(|it| it.control);
        let control = fresh.unwrap_or_else(|_| volley.control.clone());
        let exchange = self.send(&control, reading, false).await;
        let meaning = reading.of(&exchange);
        if meaning == Meaning::Accepted {
            return None;
        }
        self.proven.clear();
        let why = format!("the control request afterwards: {exchange}");
        Some(match (meaning, &exchange) {
            (Meaning::Broke | Meaning::Silent, _) | (_, Exchange::Closed(_)) => {
                Verdict::Finding(why)
            }
            _ => Verdict::Unjudged(why),
        })
    }

    async fn accepts(&self, given: &Given<'_>, shot: Shot) -> bool {
        let reading = Reading {
            accepted: given.target.accepted.clone(),
            ..Reading::default()
        };
        let exchange = self.send(&shot, &reading, false).await;
        reading.of(&exchange) == Meaning::Accepted
    }

    /// Sends, and again after a while as long as there were too many requests.
    async fn send(&self, shot: &Shot, reading: &Reading, floods: bool) -> Exchange {
        let mut exchange = self.carrier.send(shot, floods).await;
        for _ in 1..ATTEMPTS {
            if floods || reading.of(&exchange) != Meaning::Limited {
                break;
            }
            let seconds = match &exchange {
                Exchange::Answered(answers) => answers.iter().find_map(|it| it.retry_after),
                _ => None,
            };
            let seconds = seconds.unwrap_or(1).clamp(1, LONGEST_WAIT);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            exchange = self.carrier.send(shot, false).await;
        }
        exchange
    }
}

/// Runs all of them at once, and gives what they give in their order.
async fn together<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|it| (Box::pin(it), None)).collect();
    poll_fn(|cx| {
        let mut waits = false;
        for (future, done) in &mut futures {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *done = Some(value),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, done)| done).collect()
}

/// Holds what was answered against what was promised.
fn judge(promise: Promise, volley: &Volley, exchanges: &[Exchange], reading: &Reading) -> Verdict {
    let numbered = |number: usize, exchange: &Exchange| match exchanges.len() {
        1 => exchange.to_string(),
        count => format!("{exchange} (request {} of {count})", number + 1),
    };
    let mut statuses = Vec::new();
    let mut limited = false;
    for (number, exchange) in exchanges.iter().enumerate() {
        let meaning = reading.of(exchange);
        let said = || numbered(number, exchange);
        if meaning == Meaning::Broke {
            return Verdict::Finding(said());
        }
        let Exchange::Answered(answers) = exchange else {
            statuses.push((0, None));
            if promise == Promise::Harmless && meaning == Meaning::Silent {
                return Verdict::Finding(said());
            }
            continue;
        };
        let marker = volley.marker.as_deref();
        if marker.is_some_and(|it| answers.iter().any(|answer| answer.contains(it))) {
            return Verdict::Finding(format!("{}, with what was planted", said()));
        }
        if meaning == Meaning::Limited {
            if volley.floods {
                limited = true;
                continue;
            }
            return Verdict::Unjudged(said());
        }
        let accepted = answers.iter().map(|it| reading.of_answer(it));
        let accepted = accepted.filter(|it| *it == Meaning::Accepted).count();
        let broken = match promise {
            Promise::Refused => accepted > 0,
            Promise::OneAnswer => accepted > 1,
            Promise::Harmless | Promise::Limited | Promise::SameAnswer => false,
        };
        if broken {
            return Verdict::Finding(said());
        }
        // Who cannot tell at present tells nothing apart.
        let told = answers.first().filter(|it| !it.is_undecided());
        statuses.extend(told.map(|it| (it.status, it.grpc)));
    }
    let differs = statuses.windows(2).any(|pair| pair.first() != pair.last());
    match promise {
        Promise::SameAnswer if differs => {
            let all: Vec<String> = exchanges.iter().map(Exchange::to_string).collect();
            Verdict::Finding(all.join(", "))
        }
        Promise::Limited if !limited => {
            Verdict::Finding(format!("{} requests, and none too many", exchanges.len()))
        }
        _ => Verdict::Held,
    }
}
