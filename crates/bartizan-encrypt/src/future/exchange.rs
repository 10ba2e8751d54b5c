//! What is known of one request, and what was done to it.

use std::pin::Pin;
use std::sync::Arc;

use bartizan_core::{
    Decision, Duty, Enforcement, Inspection, Protocol, Rejection, SecurityContext,
};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, response};

use crate::body::{Collected, bytes_of};
use crate::config::Settings;
use crate::context::Place;
use crate::error::{EncryptError, EncryptErrorKind};
use crate::prepared::Prepared;
use crate::service::require_json;
use crate::transform::{Report, Viewer, conclude};

/// Keys that have to be fetched first. Boxed: it is the cold path.
pub(crate) type KeyWait = Pin<Box<dyn Future<Output = Result<Prepared, EncryptError>> + Send>>;

/// What keys are wanted for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Sealing a request's fields.
    Seal,
    /// Showing those of a response.
    Reveal,
}

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
    head: bool,
    pub(crate) place: Option<Place>,
    report: Report,
    settled: bool,
}

impl Exchange {
    pub(crate) fn new(
        settings: Arc<Settings>,
        context: SecurityContext,
        protocol: Protocol,
        method: &Method,
    ) -> Self {
        Self {
            settings,
            context,
            protocol,
            head: *method == Method::HEAD,
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

    /// The keys for this work, at once if they are at hand.
    pub(crate) fn keys(&self, work: Work) -> Result<Prepared, KeyWait> {
        let place = self.place.as_ref();
        let scopes = place.map(|place| self.settings.fields.scopes(place));
        let scopes = scopes.unwrap_or_default();
        if let Some(keys) = self.settings.keyring.prepared(&scopes) {
            return Ok(keys);
        }
        let (keyring, seals) = (self.settings.keyring.clone(), self.seals(work));
        Err(Box::pin(async move {
            match seals {
                true => keyring.prepare(&scopes).await,
                false => keyring.prepare_shown(&scopes).await,
            }
        }))
    }

    /// Whether fields may be sealed: what was stored as plaintext is sealed on the way out, for
    /// those who see ciphertexts.
    fn seals(&self, work: Work) -> bool {
        let viewer = Viewer {
            context: &self.context,
            now: self.settings.clock.wall(),
            shadow: self.is_shadow(),
        };
        matches!(work, Work::Seal) || viewer.accepts(self.settings.fields.plaintext)
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
        let viewer = Viewer {
            context: &self.context,
            now: self.settings.clock.wall(),
            shadow: self.is_shadow(),
        };
        let fields = &self.settings.fields;
        let shown = fields.reveal(keys, place, &viewer, body, &mut self.report)?;
        if self.is_shadow() {
            return Ok(None);
        }
        let shown = bytes_of(shown);
        correct(headers, shown.len());
        headers.remove(ETAG);
        headers.remove(ACCEPT_RANGES);
        if self.report.is_personal() {
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

    /// Corrects what a response without a body says of the one that it stands for: what answers
    /// `HEAD` or says "not modified" is about ciphertext, and about no length that anybody will
    /// see.
    pub(crate) fn correct_empty(&self, parts: &mut response::Parts) {
        let stands = self.head || parts.status == StatusCode::NOT_MODIFIED;
        if !stands || self.is_shadow() {
            return;
        }
        for name in [ETAG, ACCEPT_RANGES, CONTENT_LENGTH].iter().chain(&DIGESTS) {
            parts.headers.remove(name);
        }
    }

    /// Records a refusal. `None` in shadow mode, where nothing is refused.
    pub(crate) fn refuse(&mut self, error: EncryptError) -> Option<Rejection> {
        self.settle(Some(error));
        // A body that broke off cannot pass.
        let broken = error.kind() == EncryptErrorKind::BodyFailed;
        (!self.is_shadow() || broken).then(|| error.into())
    }

    fn is_shadow(&self) -> bool {
        self.settings.duty.enforcement() == Enforcement::Shadow
    }

    fn settle(&mut self, refused: Option<EncryptError>) {
        if self.settled {
            return;
        }
        self.settled = true;
        let Settings { fields, duty, .. } = &*self.settings;
        let decision = conclude(fields, &self.report, refused, duty.enforcement());
        record(duty, &self.context, self.protocol, decision);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.settle(None);
    }
}

/// Records a decision whose request is somebody else's by now: it takes the protocol alone.
pub(crate) fn record(
    duty: &Duty,
    context: &SecurityContext,
    protocol: Protocol,
    decision: Decision,
) {
    let (mut parts, ()) = Request::new(()).into_parts();
    if protocol.is_grpc() {
        let grpc = HeaderValue::from_static("application/grpc");
        parts.headers.insert(CONTENT_TYPE, grpc);
        parts.method = Method::POST;
    }
    duty.record(&Inspection::new(&mut parts, context), decision);
}

/// The trailers of a message, without checksums of what its body was.
pub(crate) fn trailers_of(collected: &mut Collected) -> Option<HeaderMap> {
    let mut trailers = collected.trailers.take()?;
    for digest in &DIGESTS {
        trailers.remove(digest);
    }
    Some(trailers)
}

/// Corrects what a message says of its body.
fn correct(headers: &mut HeaderMap, length: usize) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    for digest in &DIGESTS {
        headers.remove(digest);
    }
}
