//! What stays with a request to its end, and writes it down whichever way it ends.

mod entry;

use std::sync::Arc;

use bartizan_core::{Enforcement, Outcome, Protocol, SecurityContext};
use http::header::{HeaderMap, HeaderName};
use http::{Method, Request, StatusCode};

use super::tap::Taps;
use crate::config::Settings;
use crate::ledger::{Begun, Ends, NotTaken, Receipt};
use crate::policy::{Facts, Rule};
use crate::privacy::Keyed;
use crate::record::{Durability, Ending, Level, Stage, Trace};

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A request under way.
pub(crate) struct Watch {
    settings: Arc<Settings>,
    context: SecurityContext,
    method: Method,
    begun: Begun,
    trace: Option<Trace>,
    answer: Option<Answered>,
    key: Option<Keyed>,
    /// It moves with the request from hand to hand, so that what few rules ask for is elsewhere.
    extra: Option<Box<Extra>>,
    protocol: Protocol,
    stage: Stage,
    /// Whether the record that was waited for tells the end already.
    told: bool,
    done: bool,
}

/// What is known of a request beyond its metadata.
#[derive(Debug, Default)]
struct Extra {
    /// By their place among the headers that some rule names.
    request_headers: Vec<(usize, String)>,
    response_headers: Vec<(String, String)>,
    taps: Option<Arc<Taps>>,
}

/// What is known of the answer.
#[derive(Clone, Copy, Debug)]
struct Answered {
    status: StatusCode,
    grpc_status: Option<u16>,
    bytes: u64,
    /// How many bytes the body promised to have.
    promised: Option<u64>,
}

/// What becomes of an answer.
pub(crate) enum Answer {
    /// It is sent.
    Send,
    /// It is sent once its record is durable.
    Wait(Receipt),
    /// It cannot be recorded, and is not sent.
    Withhold,
}

impl Watch {
    pub(crate) fn begin<B>(
        settings: &Arc<Settings>,
        request: &mut Request<B>,
        context: SecurityContext,
        protocol: Protocol,
    ) -> Self {
        let trace = request.headers().get(&TRACEPARENT);
        let trace = trace.and_then(|trace| Trace::of_bytes(trace.as_bytes()));
        Self {
            begun: settings.ledger.begin(),
            extra: Extra::begin(settings, request),
            trace,
            context,
            method: request.method().clone(),
            protocol,
            key: None,
            stage: Stage::Whole,
            answer: None,
            told: false,
            done: false,
            settings: Arc::clone(settings),
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn context(&self) -> &SecurityContext {
        &self.context
    }

    pub(crate) fn set_key(&mut self, key: Keyed) {
        self.key = Some(key);
    }

    /// Whether the principal's key is still to be asked for.
    pub(crate) fn lacks_key(&self) -> bool {
        self.key.is_none()
    }

    /// Takes note of the head of the answer. `promised` is how long the body will be, if it says.
    pub(crate) fn answered(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        promised: Option<u64>,
    ) {
        self.answer = Some(Answered {
            status,
            grpc_status: self.grpc_status(headers),
            bytes: 0,
            promised,
        });
        if !self.settings.policy.names_response_headers() {
            return;
        }
        let names = self.rule().response_headers().iter();
        let named = names
            .flat_map(|name| values(headers, name).map(|value| (name.clone(), value)))
            .collect();
        self.extra.get_or_insert_default().response_headers = named;
    }

    /// Writes the record of an answer that must be durable before it is sent.
    pub(crate) fn hold(&mut self, is_end: bool) -> Answer {
        if !self.settings.policy.promises_durable() {
            return Answer::Send;
        }
        let (level, durability) = {
            let rule = self.rule();
            (rule.level(), rule.durability())
        };
        let anonymous = self.refused_anonymously().is_some();
        if level == Level::None || durability != Durability::Durable || anonymous {
            return Answer::Send;
        }
        if !is_end {
            self.stage = Stage::Answered;
        }
        let ending = if is_end {
            Ending::Complete
        } else {
            Ending::Pending
        };
        let rule = self.rule();
        let appended = self.write(rule, ending, |ledger, frame| ledger.append_durable(frame));
        self.stage = Stage::Completed;
        self.told = is_end && appended.is_ok();
        match appended {
            Ok(receipt) => Answer::Wait(receipt),
            Err(NotTaken) => Answer::Withhold,
        }
    }

    /// Takes note of a piece of the body.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(answer) = &mut self.answer {
            answer.bytes = answer.bytes.saturating_add(bytes as u64);
        }
    }

    /// Takes note of the trailers.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        let status = self.grpc_status(trailers);
        if let Some(answer) = &mut self.answer {
            answer.grpc_status = status.or(answer.grpc_status);
        }
    }

    /// Writes the request down. Repeating it does nothing.
    pub(crate) fn finish(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let ledger = &self.settings.ledger;
        if self.told && ending == Ending::Complete {
            return ledger.leave();
        }
        if self.stage == Stage::Whole
            && let Some((layer, code)) = self.refused_anonymously()
        {
            return ledger.refuse(self.context.address(), layer, code, Ends::Request);
        }
        let rule = self.rule();
        if rule.level() == Level::None {
            return ledger.leave();
        }
        // What the durable record did not say yet makes nobody wait any more.
        let class = rule.durability().min(Durability::Buffered);
        let _ = self.write(rule, ending, |ledger, frame| {
            ledger.append(frame, class, Ends::Request)
        });
    }

    /// How a request ended whose future or body was dropped.
    fn dropped(&self) -> Ending {
        if std::thread::panicking() {
            return Ending::Panicked;
        }
        match &self.answer {
            None => Ending::Disconnected,
            Some(answer) => {
                let silent = self.method == Method::HEAD
                    || answer.status.is_informational()
                    || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&answer.status)
                    || (self.method == Method::CONNECT && answer.status.is_success());
                // Servers do not ask a body for its end that has given all it promised.
                if silent || answer.promised == Some(answer.bytes) {
                    Ending::Complete
                } else {
                    Ending::Disconnected
                }
            }
        }
    }

    /// The layer and code of a refusal, if nobody had been authenticated.
    fn refused_anonymously(&self) -> Option<(&'static str, &'static str)> {
        if self.context.principal().is_some() || self.context.peer().is_some() {
            return None;
        }
        self.refusal()
    }

    fn refusal(&self) -> Option<(&'static str, &'static str)> {
        let mut refusal = None;
        self.context.visit_decisions(|decision| {
            let refused = matches!(
                decision.outcome(),
                Outcome::Denied | Outcome::CouldNotDecide
            );
            if refused && decision.enforcement() == Enforcement::Enforce && refusal.is_none() {
                let code = decision.code().map_or("", |code| code.as_str());
                refusal = Some((decision.layer(), code));
            }
        });
        refusal
    }

    /// The status of a gRPC call, if these headers or trailers tell it.
    fn grpc_status(&self, headers: &HeaderMap) -> Option<u16> {
        if !self.protocol.is_grpc() {
            return None;
        }
        let status = headers.get(&GRPC_STATUS)?.to_str().ok()?;
        status.parse().ok().filter(|status| *status < 1000)
    }

    fn rule(&self) -> &Rule {
        let policy = &self.settings.policy;
        policy.only().unwrap_or_else(|| {
            policy.find(&Facts {
                method: self.method.as_str(),
                template: self.template(),
                protocol: self.protocol,
                peer: self.context.peer(),
                refused: policy.asks_for_outcomes() && self.refusal().is_some(),
            })
        })
    }

    /// The route template; of gRPC the method, which is what a path is there.
    fn template(&self) -> Option<&str> {
        let grpc = || {
            let path = self.protocol.is_grpc().then(|| self.context.path().ok());
            path.flatten()
        };
        self.context.template().or_else(grpc)
    }
}

/// The values of a header, as text: bytes that are none become the replacement character.
fn values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = String> + use<'h> {
    let values = headers.get_all(name).into_iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

impl Extra {
    /// What is known when the request begins, if any rule asks for it.
    fn begin<B>(settings: &Settings, request: &mut Request<B>) -> Option<Box<Self>> {
        if settings.request_headers.is_empty() && !settings.taps {
            return None;
        }
        let headers = settings.request_headers.iter().enumerate();
        let request_headers = headers
            .flat_map(|(index, name)| {
                values(request.headers(), name).map(move |value| (index, value))
            })
            .collect();
        let taps = settings.taps.then(|| {
            let taps = Arc::new(Taps::new(settings.largest_tap));
            request.extensions_mut().insert(Arc::clone(&taps));
            taps
        });
        Some(Box::new(Self {
            request_headers,
            response_headers: Vec::new(),
            taps,
        }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.done {
            self.finish(self.dropped());
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("number", &self.begun.number)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
