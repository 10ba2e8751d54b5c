//! What people look for in an entry.

use std::borrow::Cow;

use bartizan_core::{Enforcement, IpNetwork, Outcome};

use crate::record::{Kind, Record, RequestRecord, Trace};
use crate::render::hex;

/// The facts of an entry that are worth a column or an attribute of their own.
pub(super) struct Summary<'a> {
    pub(super) kind: Kind,
    /// In nanoseconds since 1970.
    pub(super) time: u64,
    /// What was decided, if something was.
    pub(super) outcome: Option<Outcome>,
    /// Why.
    pub(super) code: Option<&'a str>,
    /// The principal, or what stands for a principal that is sealed.
    pub(super) principal: Option<Cow<'a, str>>,
    pub(super) issuer: Option<&'a str>,
    pub(super) peer: Option<&'a str>,
    pub(super) network: Option<IpNetwork>,
    pub(super) method: Option<&'a str>,
    pub(super) route: Option<&'a str>,
    pub(super) status: Option<u16>,
    pub(super) grpc_status: Option<u16>,
    pub(super) trace: Option<Trace>,
}

impl<'a> Summary<'a> {
    pub(super) fn of(record: &'a Record<'a>) -> Self {
        let mut summary = Self {
            kind: record.kind(),
            time: record.time(),
            outcome: None,
            code: None,
            principal: None,
            issuer: None,
            peer: None,
            network: None,
            method: None,
            route: None,
            status: None,
            grpc_status: None,
            trace: None,
        };
        match record {
            Record::Request(request) => summary.request(request),
            Record::Refusals(refusals) => {
                summary.outcome = Some(Outcome::Denied);
                summary.code = Some(refusals.code);
                summary.network = refusals.network;
            }
            Record::Lifecycle(lifecycle) => {
                summary.code = Some(lifecycle.code);
                summary.network = lifecycle.network;
            }
            _ => {}
        }
        summary
    }

    fn request(&mut self, request: &'a RequestRecord<'a>) {
        let decisions = &request.decisions;
        let refusal = decisions.iter().find(|it| {
            matches!(it.outcome, Outcome::Denied | Outcome::CouldNotDecide)
                && it.enforcement == Enforcement::Enforce
        });
        let shadow = decisions
            .iter()
            .find(|it| it.outcome == Outcome::WouldHaveDenied);
        let telling = refusal.or(shadow).or(decisions.last());
        self.outcome = telling.map(|it| it.outcome);
        self.code = telling.and_then(|it| it.code);
        let sealed = request.sealed.map(|it| Cow::Owned(hex(&it.handle)));
        self.principal = request.subject.map(Cow::Borrowed).or(sealed);
        self.issuer = request.issuer;
        self.peer = request.peer;
        self.network = request.network;
        self.method = Some(request.method);
        self.route = request.template;
        self.status = request.status;
        self.grpc_status = request.grpc_status;
        self.trace = request.trace;
    }

    /// Whether it tells that something was refused, went wrong or was lost.
    #[cfg(any(feature = "otlp", feature = "syslog"))]
    pub(super) fn severity(&self) -> Severity {
        match (self.kind, self.outcome) {
            (Kind::Fault | Kind::Loss, _) => Severity::Error,
            (Kind::Recovered, _) => Severity::Warning,
            (_, Some(Outcome::Denied | Outcome::CouldNotDecide)) => Severity::Warning,
            _ => Severity::Information,
        }
    }
}

/// How much an entry asks for attention.
#[cfg(any(feature = "otlp", feature = "syslog"))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Severity {
    Error,
    Information,
    Warning,
}
