//! A policy that is read from a file, again whenever it changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Observe, SystemClock};
use bartizan_source::{BoxError, FileSet, FileSource, FileSourceBuilder, Published, SourceError};

use crate::engine::{EngineError, PolicyEngine, Ruling};
use crate::error::PolicyError;
use crate::facts::Facts;
use crate::policy::Policy;

/// How long to wait between two readings: what was withdrawn shall not be allowed for long.
const INTERVAL: Duration = Duration::from_secs(10);

/// What is wrong with bytes that are none.
const NO_TEXT: &str = "not utf-8";

/// A policy file; see [`Policy::from_toml`] for what stands in it.
///
/// It is polled by content, so that a change by symlink swap, as Kubernetes makes it, is noticed.
/// A file that is no policy is reported, and the last good one stays in use.
///
/// ```no_run
/// use bartizan_authz::{AuthzLayer, PolicyFile};
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let file = PolicyFile::new("/etc/orders/policy.toml").load()?;
/// let layer = AuthzLayer::builder().with_policy(file.published()).build()?;
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the file is read by `load`"]
pub struct PolicyFile {
    path: PathBuf,
    interval: Duration,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observe>>,
}

impl PolicyFile {
    /// The file at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            interval: INTERVAL,
            clock: Arc::new(SystemClock),
            observer: None,
        }
    }

    /// Sets how long to wait between two readings. Ten seconds unless said.
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the clock that failures are dated by. The system's unless said.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets who is told of new versions and of failures.
    pub fn with_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Reads the file now, and keeps the policy up to date from then on.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is no policy ([`PolicyError`] is the source), or outside a tokio
    /// runtime.
    pub fn load(self) -> Result<FileSource<Policy>, SourceError> {
        self.load_one(Policy::from_toml)
    }

    /// The same with policies in Cedar.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load); [`CedarError`](crate::CedarError) is the source of what is no
    /// policy.
    #[cfg(feature = "cedar")]
    pub fn load_cedar(
        self,
        terms: crate::CedarBuilder,
    ) -> Result<FileSource<crate::CedarEngine>, SourceError> {
        self.load_one(move |text| terms.clone().build(text))
    }

    /// The same with policies in Cedar that stand in these files as well. If one of them changes
    /// all are read again, and are in force together or not at all.
    ///
    /// # Errors
    ///
    /// As [`load_cedar`](Self::load_cedar), naming the file.
    #[cfg(feature = "cedar")]
    pub fn load_cedar_with<P: Into<PathBuf>>(
        self,
        further: impl IntoIterator<Item = P>,
        terms: crate::CedarBuilder,
    ) -> Result<FileSource<crate::CedarEngine>, SourceError> {
        let further = further.into_iter().map(Into::into).collect();
        self.load_with(further, move |texts| {
            terms.clone().build_all(texts.iter().copied())
        })
    }

    fn load_one<E: PolicyEngine, X: std::error::Error + Send + Sync + 'static>(
        self,
        parse: impl Fn(&str) -> Result<E, X> + Send + Sync + 'static,
    ) -> Result<FileSource<E>, SourceError> {
        self.load_with(Vec::new(), move |texts| {
            parse(texts.first().map_or("", |(_, text)| text))
        })
    }

    fn load_with<E: PolicyEngine, X: std::error::Error + Send + Sync + 'static>(
        self,
        further: Vec<PathBuf>,
        parse: impl Fn(&[(&str, &str)]) -> Result<E, X> + Send + Sync + 'static,
    ) -> Result<FileSource<E>, SourceError> {
        let mut paths = vec![self.path];
        paths.extend(further);
        let mut source = FileSourceBuilder::new("authz.policy")
            .with_interval(self.interval)
            .with_clock(self.clock);
        for path in &paths {
            source = source.add_file(path);
        }
        let source = match self.observer {
            Some(observer) => source.with_observer(observer),
            None => source,
        };
        source.load(move |set: &FileSet| {
            let names: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let mut texts = Vec::with_capacity(paths.len());
            for (path, name) in paths.iter().zip(&names) {
                let text = std::str::from_utf8(set.get(path).unwrap_or_default());
                let no_text = |_| BoxError::from(PolicyError::Document(NO_TEXT.to_owned()));
                texts.push((name.as_str(), text.map_err(no_text)?));
            }
            parse(&texts).map_err(BoxError::from)
        })
    }
}

impl<E: PolicyEngine> PolicyEngine for Published<E> {
    fn decide(
        &self,
        facts: &Facts<'_>,
        shadow: &mut dyn FnMut(&Arc<str>),
    ) -> Result<Ruling, EngineError> {
        self.read(|version| match version {
            Some(version) => version.value().decide(facts, shadow),
            None => Ok(Ruling::NoPolicy),
        })
    }

    fn asks_claims(&self) -> bool {
        self.read(|version| version.is_some_and(|version| version.value().asks_claims()))
    }

    fn asks_nested_claims(&self) -> bool {
        self.read(|version| version.is_some_and(|version| version.value().asks_nested_claims()))
    }
}
