//! What is known of a service: a request that it accepts, and what else it is attacked with.

use std::fmt;
use std::sync::Arc;

use http::Extensions;
use serde_json::Value;

use crate::carrier::Prepare;
use crate::draft::Draft;
use crate::signer::Signer;

/// A request that the service accepts, the control request, and what helps to make others that it
/// should not: each thing that is given lets more attacks run.
///
/// | given | lets run |
/// |---|---|
/// | a control request | headers, bodies, protocol |
/// | [`with_bearer`](Self::with_bearer) | tokens that were tampered with, identities from headers, order |
/// | [`with_signer`](Self::with_signer) | tokens that are wrong in one thing |
/// | [`with_key_set`](Self::with_key_set) | public keys as secrets |
/// | [`with_json`](Self::with_json), [`with_body`](Self::with_body) | bodies |
/// | [`with_open_path`](Self::with_open_path) | ways from an open route into a closed one |
/// | [`with_forbidden`](Self::with_forbidden) | ways into what the credential does not allow |
/// | [`with_limit`](Self::with_limit) | ways around a limit |
///
/// Choose a control request that may be made some hundred times and changes nothing.
///
/// ```
/// use bartizan_attack::Target;
///
/// let target = Target::get("/orders/7")
///     .with_bearer("a token that the service accepts")
///     .with_open_path("/healthz")
///     .with_forbidden("GET", "/admin");
/// # let _ = target;
/// ```
#[derive(Clone)]
#[must_use = "a target is handed to a run"]
pub struct Target {
    pub(crate) draft: Draft,
    pub(crate) grpc: bool,
    pub(crate) credentials: Vec<String>,
    pub(crate) signer: Option<Signer>,
    pub(crate) key_set: Option<Value>,
    pub(crate) open_path: Option<String>,
    pub(crate) forbidden: Option<(String, String)>,
    pub(crate) limit: Option<u32>,
    pub(crate) dpop: Option<String>,
    pub(crate) accepted: Vec<u16>,
    pub(crate) allowed: Vec<(String, String)>,
    pub(crate) prepare: Option<Prepare>,
}

impl Target {
    /// A control request by `GET`; `path` may have a query.
    pub fn get(path: impl Into<String>) -> Self {
        Self::request("GET", path)
    }

    /// A control request by any method.
    pub fn request(method: impl Into<String>, path: impl Into<String>) -> Self {
        let draft = Draft {
            method: method.into(),
            target: path.into(),
            host: Some("localhost".to_owned()),
            ..Draft::default()
        };
        Self {
            draft,
            grpc: false,
            credentials: vec!["authorization".to_owned()],
            signer: None,
            key_set: None,
            open_path: None,
            forbidden: None,
            limit: None,
            dpop: None,
            accepted: Vec::new(),
            allowed: Vec::new(),
            prepare: None,
        }
    }

    /// A call of a gRPC method, `/package.Service/Method`, with one message, encoded. One that is
    /// answered with one message, not with a stream that does not end.
    pub fn grpc(path: impl Into<String>, message: &[u8]) -> Self {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut body = vec![0];
        body.extend(length.to_be_bytes());
        body.extend_from_slice(message);
        let mut target = Self::request("POST", path)
            .with_header("te", "trailers")
            .with_body("application/grpc", body);
        target.grpc = true;
        target
    }

    /// Adds a header to the control request.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.draft = self.draft.and_field(name, value);
        self
    }

    /// Adds a header that is a credential, such as an API key: without it the service has to refuse.
    pub fn with_credential(mut self, name: &str, value: &str) -> Self {
        self.credentials.push(name.to_ascii_lowercase());
        self.with_header(name, value)
    }

    /// The token that the service accepts.
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.draft = self.draft.field("authorization", format!("Bearer {token}"));
        self
    }

    /// What makes tokens that the service accepts. Each control request then has a new one.
    pub fn with_signer(mut self, signer: Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// The key set of the issuer, as it is published (RFC 7517 §5).
    pub fn with_key_set(mut self, key_set: Value) -> Self {
        self.key_set = Some(key_set);
        self
    }

    /// Gives the control request this body, and by `POST` if it is sent by `GET`.
    pub fn with_body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        if self.draft.method == "GET" {
            self.draft.method = "POST".to_owned();
        }
        self.draft = self.draft.field("content-type", content_type).body(body);
        self
    }

    /// Gives the control request this JSON body.
    pub fn with_json(self, body: &Value) -> Self {
        self.with_body("application/json", body.to_string())
    }

    /// A route that anybody may ask by `GET`, such as that of health.
    pub fn with_open_path(mut self, path: impl Into<String>) -> Self {
        self.open_path = Some(path.into());
        self
    }

    /// What the credential of the control request does not allow.
    pub fn with_forbidden(mut self, method: impl Into<String>, path: impl Into<String>) -> Self {
        self.forbidden = Some((method.into(), path.into()));
        self
    }

    /// After how many requests of one address, at most, the service says that there were too many.
    pub fn with_limit(mut self, requests: u32) -> Self {
        self.limit = Some(requests);
        self
    }

    /// The service takes proofs of possession (RFC 9449), for requests to this origin: scheme, host
    /// and port as its clients know them.
    pub fn with_dpop(mut self, origin: impl Into<String>) -> Self {
        self.dpop = Some(origin.into());
        self
    }

    /// Counts this status as success, besides 2xx: of the control request, and of any attack.
    pub fn expect_status(mut self, status: u16) -> Self {
        self.accepted.push(status);
        self
    }

    /// Leaves an attack out, by name, and says why: it is what the service is meant to accept. The
    /// report shows both.
    pub fn allow(mut self, attack: impl Into<String>, reason: impl Into<String>) -> Self {
        self.allowed.push((attack.into(), reason.into()));
        self
    }

    /// Does to each request's extensions what a server would: for a service in this process that
    /// expects an address or a peer there.
    pub fn prepare(mut self, prepare: impl Fn(&mut Extensions) + Send + Sync + 'static) -> Self {
        self.prepare = Some(Arc::new(prepare));
        self
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("method", &self.draft.method)
            .field("target", &self.draft.target)
            .field("grpc", &self.grpc)
            .finish_non_exhaustive()
    }
}
