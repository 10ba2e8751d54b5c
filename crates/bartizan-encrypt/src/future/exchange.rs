//! What is known of one request, and what was done to it.

use std::pin::Pin;
use std::sync::Arc;

use bartizan_core::{
    Decision, Enforcement, Inspection, Outcome, Protocol, Rejection, SecurityContext,
};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, response};

use crate::body::bytes_of;
use crate::config::Settings;
use crate::context::Place;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::prepared::Prepared;
use crate::service::require_json;
use crate::transform::Report;

/// Keys that have to be fetched first. Boxed: it is the cold path.
pub(crate) type KeyWait = Pin<Box<dyn Future<Output = Result<Prepared, EncryptError>> + Send>>;

/// Checksums of a body, which is not the same any more.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// One request and its response. Its decision is recorded when it is dropped at the latest, so
/// that a client who goes away takes no decision along.
pub(crate) struct Exchange {
    settings: Arc<Settings>,
    context: SecurityContext,
    protocol: Protocol,
    pub(crate) place: Option<Place>,
    report: Report,
    settled: bool,
}

impl Exchange {
    pub(crate) fn new(
        settings: Arc<Settings>,
        context: SecurityContext,
        protocol: Protocol,
    ) -> Self {
        Self {
            settings,
            context,
            protocol,
            place: None,
            report: Report::default(),
            settled: false,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn max_body(&self) -> usize {
        self.settings.max_body
    }

    /// The keys, at once if they are at hand.
    pub(crate) fn keys(&self) -> Result<Prepared, KeyWait> {
        let place = self.place.as_ref();
        let scopes = place.map(|place| self.settings.scopes(place));
        let scopes = scopes.unwrap_or_default();
        if let Some(keys) = self.settings.keyring.prepared(&scopes) {
            return Ok(keys);
        }
        let keyring = self.settings.keyring.clone();
        Err(Box::pin(async move { keyring.prepare(&scopes).await }))
    }

    /// The request's body with its fields sealed; `None` if it stays as it is.
    pub(crate) fn seal(
        &mut self,
        keys: &Prepared,
        headers: &mut HeaderMap,
        body: &[u8],
    ) -> Result<Option<Bytes>, EncryptError> {
        let place = self.place.as_ref().ok_or(EncryptErrorKind::NoPlace)?;
        let fields = &self.settings.fields;
        let sealed = fields.seal(keys, place, body, &mut self.report)?;
        if self.is_shadow() {
            return Ok(None);
        }
        let sealed = bytes_of(sealed);
        correct(headers, sealed.len());
        Ok(Some(sealed))
    }

    /// The response's body with its fields as the caller may see them; `None` if it stays as it
    /// is.
    pub(crate) fn reveal(
        &mut self,
        keys: &Prepared,
        headers: &mut HeaderMap,
        body: &[u8],
    ) -> Result<Option<Bytes>, EncryptError> {
        let place = self.place.as_ref().ok_or(EncryptErrorKind::NoPlace)?;
        let now = self.settings.clock.wall();
        let fields = &self.settings.fields;
        let shown = fields.reveal(keys, place, &self.context, now, body, &mut self.report)?;
        if self.is_shadow() {
            return Ok(None);
        }
        let shown = bytes_of(shown);
        correct(headers, shown.len());
        headers.remove(ETAG);
        headers.remove(ACCEPT_RANGES);
        if self.report.reveals() {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Ok(Some(shown))
    }

    /// A part of a response cannot be looked at: the handler is not asked for one.
    pub(crate) fn prepare_head(&self, headers: &mut HeaderMap) {
        if !self.is_shadow() {
            headers.remove(RANGE);
            headers.remove(IF_RANGE);
        }
    }

    /// Whether there are fields to look for in a response.
    pub(crate) fn response_matters(
        &self,
        parts: &response::Parts,
        empty: bool,
    ) -> Result<bool, EncryptError> {
        if empty || self.settled {
            return Ok(false);
        }
        let json =
            require_json(&parts.headers).is_ok() && parts.status != StatusCode::PARTIAL_CONTENT;
        // What is no document and tells of a failure holds no fields; ciphertexts stay what they
        // are in any case.
        if !json && parts.status.is_success() {
            return Err(EncryptErrorKind::ResponseUnusable.into());
        }
        Ok(json)
    }

    /// Records a refusal. `None` in shadow mode, where nothing is refused.
    pub(crate) fn refuse(&mut self, error: EncryptError) -> Option<Rejection> {
        let rejection = error.into_rejection();
        let outcome = match (rejection.outcome(), self.is_shadow()) {
            (Outcome::Denied, true) => Outcome::WouldHaveDenied,
            (outcome, _) => outcome,
        };
        self.record(Decision::new("encrypt", outcome).with_code(error.code()));
        // A body that broke off cannot pass.
        let broken = error.kind() == EncryptErrorKind::BodyFailed;
        (!self.is_shadow() || broken).then_some(rejection)
    }

    fn is_shadow(&self) -> bool {
        self.settings.duty.enforcement() == Enforcement::Shadow
    }

    fn record(&mut self, mut decision: Decision) {
        if self.settled {
            return;
        }
        self.settled = true;
        if let Some(note) = self.settings.fields.note(&self.report) {
            decision = decision.with_detail(note);
        }
        // The head of the request is the handler's by now; the decision needs its protocol alone.
        let (mut parts, ()) = Request::new(()).into_parts();
        if self.protocol.is_grpc() {
            let grpc = HeaderValue::from_static("application/grpc");
            parts.headers.insert(CONTENT_TYPE, grpc);
            parts.method = Method::POST;
        }
        let inspection = Inspection::new(&mut parts, &self.context);
        self.settings.duty.record(&inspection, decision);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record(Decision::new("encrypt", Outcome::Allowed));
    }
}

/// Corrects what a message says of its body.
fn correct(headers: &mut HeaderMap, length: usize) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    for digest in &DIGESTS {
        headers.remove(digest);
    }
}
