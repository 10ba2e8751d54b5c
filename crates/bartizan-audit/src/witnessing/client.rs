//! Submits checkpoints to one witness.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};

use super::cosigned::{Cosignature, keep};
use super::error::{SubmitError, SubmitErrorKind as Kind};
use crate::checkpoint::{Checkpoint, decimal};
use crate::merkle::Hash;
use crate::note::Note;
use crate::prove::Prover;
use crate::tile::EpochChange;
use crate::witness::{AddCheckpoint, AddKey, CosignerKey};

type BoxError = Box<dyn Error + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<Bytes>, BoxError>> + Send>>;
type Sending = dyn Fn(Request<Bytes>) -> Answer + Send + Sync;

/// How often a witness may name another size than the one before, in one submission. Once is
/// usual; more often only if something else submits for the same log at the same time.
const MOST_CONFLICTS: u32 = 8;

/// The longest answer that is looked at, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A witness elsewhere: its key, where it is, and how it is reached.
///
/// Requests go through what the user gives: a closure over a hyper client, a tower service, or
/// with feature `witness` [over HTTPS](Self::https). Whoever answers, nothing counts but what the
/// key has signed.
#[derive(Clone)]
pub struct WitnessClient {
    key: CosignerKey,
    prefix: String,
    send: Arc<Sending>,
}

impl WitnessClient {
    /// A witness with this key, whose calls are below this URL, such as
    /// `https://payments.example.com/witness`; `send` gives the answer to a request, whatever its
    /// status, and sees to limits of time and size.
    ///
    /// # Errors
    ///
    /// [`Refused`](Kind::Refused) if that is no URL.
    pub fn new<F, Fut, E>(key: CosignerKey, url: &str, send: F) -> Result<Self, SubmitError>
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Bytes>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        url.parse::<Uri>()
            .map_err(|error| SubmitError::caused(Kind::Refused, "the URL is none", error))?;
        Ok(Self {
            key,
            prefix: url.trim_end_matches('/').to_owned(),
            send: Arc::new(move |request| {
                let answer = send(request);
                Box::pin(async move { answer.await.map_err(Into::into) })
            }),
        })
    }

    /// A witness over HTTPS, one connection for each request: give the fetcher the configuration
    /// of the service's mutual TLS, and the witness knows who submits.
    ///
    /// # Errors
    ///
    /// [`Refused`](Kind::Refused) if the fetcher does not go to that URL.
    #[cfg(feature = "witness")]
    pub fn https(
        key: CosignerKey,
        url: &str,
        fetcher: bartizan_source::HttpsFetcher,
    ) -> Result<Self, SubmitError> {
        use bartizan_source::{FetchRequest, SecretBytes};
        fetcher
            .check_url(url)
            .map_err(|error| SubmitError::caused(Kind::Refused, "the URL is none", error))?;
        Self::new(key, url, move |request: Request<Bytes>| {
            let fetcher = fetcher.clone();
            async move {
                let url = request.uri().to_string();
                let body = SecretBytes::new(request.body().to_vec());
                let fetch = FetchRequest::post(&url, TEXT, body).allow_any_status();
                let fetched = fetcher.fetch(fetch).await?;
                let mut response = Response::new(fetched.body().clone());
                *response.status_mut() = fetched.status();
                *response.headers_mut() = fetched.headers().clone();
                Ok::<_, bartizan_source::FetchError>(response)
            }
        })
    }

    /// The key of the witness.
    #[must_use]
    pub fn key(&self) -> &CosignerKey {
        &self.key
    }

    /// Submits the latest checkpoint of the ledger in a folder, running or not, and keeps the
    /// cosigned checkpoint beside it, in `checkpoint.cosigned`.
    ///
    /// # Errors
    ///
    /// See [`SubmitError`].
    pub async fn submit(&self, folder: impl AsRef<Path>) -> Result<Cosignature, SubmitError> {
        let folder = folder.as_ref().to_owned();
        let read = folder.clone();
        let prover = blocking(move || Prover::load(read)).await?;
        let prover = Shared(Arc::new(Mutex::new(prover)));
        let latest = prover.latest().await?;
        let cosignature = self.submit_from(&prover, &latest, 0).await?;
        let kept = vec![cosignature.clone()];
        blocking(move || keep(&folder, &latest.note, &kept, 1)).await?;
        Ok(cosignature)
    }

    /// Submits a checkpoint; `known` is what the witness is believed to have cosigned.
    pub(super) async fn submit_from(
        &self,
        prover: &Shared,
        latest: &Latest,
        known: u64,
    ) -> Result<Cosignature, SubmitError> {
        let (mut old, mut conflicts) = (known.min(latest.size), 0);
        // The change of keys that the witness is being led across.
        let mut change: Option<EpochChange> = None;
        let mut epoch = None;
        loop {
            let (size, note) = match &change {
                Some(change) => (change.size, &change.note),
                None => (latest.size, &latest.note),
            };
            if old > size {
                return Err(SubmitError::new(
                    Kind::Refused,
                    format!(
                        "the witness is at {old} entries and believes the key of before {size}"
                    ),
                ));
            }
            let proof = prover.consistency(old, size).await?;
            let request = AddCheckpoint::new(old, proof, note).to_string();
            let answer = self.post("add-checkpoint", request).await?;
            match answer.status() {
                StatusCode::OK => {
                    let cosignature = self.read(note, size, answer.body())?;
                    let Some(change) = change.take() else {
                        return Ok(cosignature);
                    };
                    old = size;
                    self.lead(prover, &change).await?;
                }
                StatusCode::CONFLICT => {
                    let size = number(answer.body());
                    let size = size.ok_or_else(|| unexpected("names no size"))?;
                    conflicts += 1;
                    if size > latest.size {
                        return Err(SubmitError::new(
                            Kind::Cut,
                            format!(
                                "the witness has cosigned {size} entries, the ledger has {}",
                                latest.size
                            ),
                        ));
                    }
                    if size == old {
                        return Err(forked(old));
                    }
                    if conflicts > MOST_CONFLICTS {
                        return Err(unexpected("names another size each time"));
                    }
                    old = size;
                }
                StatusCode::UNPROCESSABLE_ENTITY => return Err(forked(old)),
                StatusCode::FORBIDDEN => {
                    let at = number(answer.body()).filter(|_| is_epoch(&answer));
                    let at = at.and_then(|at| u32::try_from(at).ok());
                    // Each answer leads further, or there is no end to it.
                    let at = at.filter(|at| epoch.is_none_or(|epoch| *at > epoch));
                    epoch = at;
                    let next = at.and_then(|at| at.checked_add(1));
                    change = match next {
                        Some(next) => prover.change(next).await?,
                        None => None,
                    };
                    if change.is_none() {
                        let text = "the witness does not believe the key of the log, or the peer";
                        return Err(SubmitError::new(Kind::Refused, text));
                    }
                }
                other => return Err(of_status(other)),
            }
        }
    }

    /// Leads the witness to the log's next key.
    async fn lead(&self, prover: &Shared, change: &EpochChange) -> Result<(), SubmitError> {
        let (origin, proof) = prover.inclusion(change.size).await?;
        let request = AddKey::new(change.size, proof, &origin, &change.entry);
        let answer = self.post("add-key", request.to_string()).await?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::UNPROCESSABLE_ENTITY => Err(forked(change.size)),
            other => Err(of_status(other)),
        }
    }

    async fn post(&self, call: &str, body: String) -> Result<Response<Bytes>, SubmitError> {
        let uri: Result<Uri, _> = format!("{}/{call}", self.prefix).parse();
        let uri =
            uri.map_err(|error| SubmitError::caused(Kind::Refused, "the URL is none", error))?;
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        request.headers_mut().insert(CONTENT_TYPE, TEXT);
        let answer = (self.send)(request).await.map_err(|error| {
            SubmitError::caused(Kind::Unreachable, "the witness cannot be reached", error)
        })?;
        if answer.body().len() > LONGEST_ANSWER {
            return Err(unexpected("is too long"));
        }
        Ok(answer)
    }

    /// Reads the signature lines, of which nothing counts but the one of this witness's key.
    fn read(&self, note: &str, size: u64, body: &[u8]) -> Result<Cosignature, SubmitError> {
        let body = std::str::from_utf8(body).map_err(|_| unexpected("is no text"))?;
        for line in body.lines() {
            let whole = format!("{note}{line}\n");
            let parsed = Note::parse(whole.as_bytes()).ok();
            if let Some(time) = parsed.and_then(|note| self.key.cosigned(&note)) {
                return Ok(Cosignature::new(self.key.clone(), size, time, line));
            }
        }
        Err(unexpected("holds no cosignature of its key"))
    }
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

fn number(body: &[u8]) -> Option<u64> {
    decimal(std::str::from_utf8(body).ok()?.strip_suffix('\n')?)
}

fn is_epoch(answer: &Response<Bytes>) -> bool {
    let content = answer.headers().get(CONTENT_TYPE);
    content.is_some_and(|content| content.as_bytes() == b"text/x.bartizan.epoch")
}

fn forked(at: u64) -> SubmitError {
    let text = format!("the witness has cosigned another tree of {at} entries than the ledger has");
    SubmitError::new(Kind::Forked, text)
}

fn unexpected(what: &str) -> SubmitError {
    SubmitError::new(Kind::Answer, format!("the answer of the witness {what}"))
}

fn of_status(status: StatusCode) -> SubmitError {
    let kind = match status.as_u16() {
        404 => Kind::Unknown,
        401 | 403 => Kind::Refused,
        408 | 429 | 500..=599 => Kind::Unreachable,
        _ => Kind::Answer,
    };
    SubmitError::new(kind, format!("the witness answers with status {status}"))
}

impl fmt::Debug for WitnessClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessClient")
            .field("key", &self.key)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The latest checkpoint of a ledger.
#[derive(Clone, Debug)]
pub(super) struct Latest {
    pub(super) size: u64,
    pub(super) note: String,
}

/// A prover that is asked where nobody may block.
#[derive(Clone, Debug)]
pub(super) struct Shared(pub(super) Arc<Mutex<Prover>>);

impl Shared {
    /// Reads what was written since, and gives the latest checkpoint.
    pub(super) async fn latest(&self) -> Result<Latest, SubmitError> {
        let note = self
            .with(|prover| {
                prover.advance()?;
                Ok(prover.checkpoint())
            })
            .await?;
        let note =
            note.ok_or_else(|| SubmitError::new(Kind::Ledger, "the ledger has no checkpoint"))?;
        let size = Note::parse(note.as_bytes()).ok();
        let size = size.and_then(|note| Checkpoint::parse(note.text()).ok());
        let size = size.map(|checkpoint| checkpoint.size);
        let size = size.ok_or_else(|| SubmitError::new(Kind::Ledger, "the checkpoint is none"))?;
        Ok(Latest { size, note })
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, SubmitError> {
        if old == 0 || old == new {
            return Ok(Vec::new());
        }
        self.with(move |prover| prover.consistency(old, new)).await
    }

    /// The name of the log, and the proof that the last of so many entries is in their tree.
    async fn inclusion(&self, size: u64) -> Result<(String, Vec<Hash>), SubmitError> {
        self.with(move |prover| {
            let proof = prover.inclusion(size.saturating_sub(1), size)?;
            Ok((prover.origin().to_owned(), proof))
        })
        .await
    }

    async fn change(&self, epoch: u32) -> Result<Option<EpochChange>, SubmitError> {
        self.with(move |prover| prover.change(epoch)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Prover) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, SubmitError> {
        let prover = Arc::clone(&self.0);
        blocking(move || ask(&mut prover.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SubmitError> {
    let failed =
        |error: BoxError| SubmitError::caused(Kind::Ledger, "the ledger cannot be read", error);
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(error.into()))?
        .map_err(|error| failed(error.into()))
}
