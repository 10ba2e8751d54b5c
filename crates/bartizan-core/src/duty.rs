//! Under which name a guard decides, and what comes of its verdict.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

use crate::context::SecurityContext;
use crate::decision::{Decision, Enforcement, Outcome};
use crate::event::{DecisionEvent, Event, Observe};
use crate::guard::Inspection;
use crate::pass::{Pass, Settled};
use crate::protocol::Protocol;
use crate::rejection::Rejection;

/// Under which name a guard decides, whether it enforces, and who is told.
///
/// Clones share it: a pass keeps one for as long as its response lasts, and is moved often.
#[derive(Clone)]
pub struct Duty(Arc<Known>);

#[derive(Clone)]
struct Known {
    layer: &'static str,
    enforcement: Enforcement,
    observer: Option<Arc<dyn Observe>>,
}

impl Duty {
    /// Decides as the layer with this name (such as `jwt`), enforces, and tells nobody.
    pub fn new(layer: &'static str) -> Self {
        Self(Arc::new(Known {
            layer,
            enforcement: Enforcement::Enforce,
            observer: None,
        }))
    }

    /// Sets whether a refusal reaches the client.
    #[must_use]
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        Arc::make_mut(&mut self.0).enforcement = enforcement;
        self
    }

    /// Sets who is told of each decision.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        Arc::make_mut(&mut self.0).observer = Some(observer);
        self
    }

    /// The name of the layer.
    pub fn layer(&self) -> &'static str {
        self.0.layer
    }

    /// Whether a refusal reaches the client.
    pub fn enforcement(&self) -> Enforcement {
        self.0.enforcement
    }

    /// Who is told, for events that are not decisions.
    pub fn observer(&self) -> Option<&Arc<dyn Observe>> {
        self.0.observer.as_ref()
    }

    /// Records a decision beside the verdict, such as that of one rule among many that only
    /// watches, and tells the observer. The verdict itself is recorded by the engine.
    pub fn record(&self, inspection: &Inspection<'_>, decision: Decision) {
        self.conclude(inspection.context, inspection.protocol, decision);
    }

    /// Records a decision, and tells the observer.
    pub(crate) fn conclude(
        &self,
        context: &SecurityContext,
        protocol: Protocol,
        decision: Decision,
    ) {
        if let Some(observer) = &self.0.observer {
            let event = DecisionEvent::new(&decision, context, protocol);
            observer.observe(&Event::Decision(event));
        }
        context.record(decision);
    }

    /// Records a verdict. In shadow mode a refusal becomes a passage without a pass.
    fn decide<P>(
        &self,
        inspection: &mut Inspection<'_>,
        verdict: Result<P, Rejection>,
    ) -> Result<Option<P>, Rejection> {
        let note = inspection.note.take();
        let (outcome, code) = match &verdict {
            Ok(_) => (Outcome::Allowed, None),
            Err(rejection) => {
                let outcome = match (rejection.outcome(), self.0.enforcement) {
                    (Outcome::Denied, Enforcement::Shadow) => Outcome::WouldHaveDenied,
                    (outcome, _) => outcome,
                };
                (outcome, Some(rejection.code()))
            }
        };
        let mut decision =
            Decision::new(self.0.layer, outcome).with_enforcement(self.0.enforcement);
        if let Some(code) = code {
            decision = decision.with_code(code);
        }
        if let Some(note) = note {
            decision = decision.with_detail(note);
        }
        self.record(inspection, decision);
        match verdict {
            Ok(pass) => Ok(Some(pass)),
            Err(_) if self.0.enforcement == Enforcement::Shadow => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }

    /// Records a verdict and turns it into what happens: the pass, if there is one, or the
    /// refusal.
    pub(crate) fn settle<P: Pass>(
        &self,
        inspection: &mut Inspection<'_>,
        verdict: Result<P, Rejection>,
    ) -> Result<Settled<P>, Rejection> {
        let (context, protocol) = (inspection.context, inspection.protocol);
        Ok(match self.decide(inspection, verdict)? {
            Some(pass) => Settled::watched(pass, self, context, protocol),
            None => Settled::shadowed(),
        })
    }
}

impl fmt::Debug for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duty")
            .field("layer", &self.0.layer)
            .field("enforcement", &self.0.enforcement)
            .finish_non_exhaustive()
    }
}

/// Settles a verdict under a guard's duty; a guard made of others has settled already.
pub(crate) fn settle<P: Pass>(
    duty: Option<&Duty>,
    inspection: &mut Inspection<'_>,
    verdict: Result<P, Rejection>,
) -> Result<Settled<P>, Rejection> {
    match duty {
        Some(duty) => duty.settle(inspection, verdict),
        None => verdict.map(Settled::unwatched),
    }
}

/// The same for whoever is done with the context, and hands it over.
pub(crate) fn settle_with<P: Pass>(
    duty: Option<&Duty>,
    parts: &mut Parts,
    (context, protocol, note): (SecurityContext, Protocol, Option<Arc<str>>),
    verdict: Result<P, Rejection>,
) -> Result<Settled<P>, Rejection> {
    let Some(duty) = duty else {
        return verdict.map(Settled::unwatched);
    };
    let mut inspection = Inspection {
        parts,
        context: &context,
        protocol,
        note,
    };
    Ok(match duty.decide(&mut inspection, verdict)? {
        Some(pass) => Settled::watched_in(pass, duty, context, protocol),
        None => Settled::shadowed(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::Request;

    use super::*;
    use crate::event::observe_fn;

    #[test]
    fn a_decision_beside_the_verdict_is_recorded_and_told() {
        let told = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&told);
        let duty = Duty::new("ratelimit").with_observer(Arc::new(observe_fn(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        })));
        let (mut parts, ()) = Request::new(()).into_parts();
        let context = SecurityContext::new(parts.uri.clone());
        let inspection = Inspection::new(&mut parts, &context);
        let decision = Decision::new("ratelimit", Outcome::WouldHaveDenied);
        duty.record(&inspection, decision.clone());
        assert_eq!(context.decisions(), [decision]);
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
