//! Field encryption: text of attackers as values and as documents. The vectors of its algorithms
//! are run by the crate's own tests, below its public interface.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use bartizan_core::SecurityContext;
use bartizan_encrypt::{
    EncryptBody, EncryptConfig, EncryptLayer, Encrypted, Field, FieldRule, Grant, KeyBytes,
    KeyChange, KeyRecord, KeyScope, KeyStore, Keyring, LocalKek, Place, Prepared, Shown,
    StoreAnswer,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::runtime::Runtime;
use tower_layer::Layer;
use tower_service::Service;

use crate::tally::{Observed, reason};

struct Note;

impl Field for Note {
    const COLLECTION: &'static str = "patient";
    const PATH: &'static str = "/note";
}

/// Keys in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<KeyRecord>>);

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<KeyRecord>) -> T) -> T {
        work(
            &mut self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }
}

impl KeyStore for Memory {
    fn read<'s>(&'s self, scope: Option<&'s KeyScope>) -> StoreAnswer<'s, Vec<KeyRecord>> {
        let wanted = |record: &&KeyRecord| scope.is_none_or(|scope| record.scope == *scope);
        let records = self.with(|records| records.iter().filter(wanted).cloned().collect());
        Box::pin(std::future::ready(Ok(records)))
    }

    fn apply(&self, changes: Vec<KeyChange>) -> StoreAnswer<'_, bool> {
        let added = changes.into_iter().map(|change| change.after);
        self.with(|records| records.extend(added));
        Box::pin(std::future::ready(Ok(true)))
    }
}

/// Keys and a layer, set up once.
pub(crate) struct Sealing {
    runtime: Runtime,
    keys: Prepared,
    place: Place,
    layer: EncryptLayer,
}

impl Sealing {
    pub(crate) fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let kek = LocalKek::new(&KeyBytes::generate()?);
        let keyring = Keyring::builder("conformance", Memory::default(), kek).build()?;
        let keys = runtime.block_on(keyring.prepare(&[KeyScope::tenant("acme")]))?;
        let place = Place::new("acme")?.with_record("17")?;
        let (here, plain) = (place.clone(), Grant::predicate(|_| true));
        let locate = move |_: &http::request::Parts, _: &SecurityContext| Some(here.clone());
        let config = EncryptConfig::builder(keyring, "patient", locate)
            .add_field(FieldRule::new("/note").show(plain, Shown::Plain))
            .build()?;
        Ok(Self {
            runtime,
            keys,
            place,
            layer: EncryptLayer::new(config),
        })
    }

    /// A value that is sealed, and opens as it was.
    pub(crate) fn value(&self, value: &str) -> Observed {
        let value = value.to_owned();
        let sealed: Encrypted<String, Note> =
            self.keys.seal(&self.place, &value).map_err(reason)?;
        let stored = sealed.to_string();
        let stored: Encrypted<String, Note> = stored.parse().map_err(reason)?;
        let opened = self.keys.open(&self.place, &stored).map_err(reason)?;
        if *opened.expose() != value {
            return Err("it opens as another".to_owned());
        }
        Ok(String::new())
    }

    /// A document beside a guarded value, through the layer to a handler that stores it, and back:
    /// the handler never sees the value, and the client gets its own bytes again.
    pub(crate) fn document(&self, document: &[u8]) -> Observed {
        let sent = [br#"{"note":"078-05-1120","more":"#, document, b"}"].concat();
        let seen = Arc::new(Mutex::new(Bytes::new()));
        let mut service = self.layer.layer(Echo(Arc::clone(&seen)));
        let request = Request::put("/17")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(sent.clone())))
            .map_err(reason)?;
        let answered = self.runtime.block_on(async {
            let response = service.call(request).await?;
            let (parts, body) = response.into_parts();
            Ok::<_, Infallible>((parts.status, body.collect().await?.to_bytes()))
        });
        let (status, body) = answered.map_err(reason)?;
        let seen = seen.lock().map_err(|_| "a panic".to_owned())?;
        if String::from_utf8_lossy(&seen).contains("078-05-1120") {
            // Whatever the document is, this must not be.
            return Ok("the handler saw the value".to_owned());
        }
        match status.is_success() {
            true if body == sent => Ok(String::new()),
            true => Ok("other bytes came back".to_owned()),
            false => Err(status.to_string()),
        }
    }
}

/// A handler that answers with what it got.
#[derive(Clone)]
struct Echo(Arc<Mutex<Bytes>>);

impl Service<Request<EncryptBody<Full<Bytes>>>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<EncryptBody<Full<Bytes>>>) -> Self::Future {
        let seen = Arc::clone(&self.0);
        Box::pin(async move {
            let body = request.into_body().collect().await?.to_bytes();
            if let Ok(mut seen) = seen.lock() {
                *seen = body.clone();
            }
            let mut response = Response::new(Full::new(body));
            let json = http::HeaderValue::from_static("application/json");
            response.headers_mut().insert("content-type", json);
            Ok(response)
        })
    }
}
