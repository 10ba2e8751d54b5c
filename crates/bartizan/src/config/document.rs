//! A configuration that was read: from a text to what it says.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::{Clock, Observe};

use crate::config::effective::Effective;
use crate::config::node::Node;
use crate::config::problem::{ConfigError, Problem};
use crate::config::reader::{Environment, Reader, Shown};
use crate::config::root::Root;
use crate::config::setting::Setting as _;
use crate::config::surroundings::Surroundings;
use crate::config::toml_text;

/// The largest file, in bytes: ten thousand rules fit.
const LARGEST: u64 = 4 * 1024 * 1024;

/// A configuration file that was read and can be built.
///
/// See the [module](crate::config) for what stands in it. Cheap to clone, but for what it says.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) root: Root,
    pub(crate) shown: Vec<Shown>,
    /// Files that secrets were read from.
    pub(crate) secrets: Vec<PathBuf>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) with: Surroundings,
}

impl Config {
    /// Reads a file: YAML if its name ends in `.yaml` or `.yml` (feature `yaml`), else TOML. Paths
    /// in it are relative to its folder, and `${NAME}` is the process's environment variable.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong, each with its line.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let text = read_text(path).map_err(|error| error.in_file(&name))?;
        let config = Self::of_file(path, &text).map_err(|error| error.in_file(&name))?;
        Ok(Self {
            file: Some(path.to_owned()),
            ..config
        })
    }

    /// The text of a file at this path.
    pub(crate) fn of_file(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let extension = path.extension().and_then(|it| it.to_str());
        let node = match extension {
            Some("yaml" | "yml") => yaml(text)?,
            _ => toml_text::read(text)?,
        };
        Self::of_node(
            &node,
            folder,
            &|name| std::env::var(name).ok(),
            Surroundings::default(),
        )
    }

    /// Reads a text in TOML. Paths in it are relative to `folder`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong, each with its line.
    pub fn from_toml(text: &str, folder: impl AsRef<Path>) -> Result<Self, ConfigError> {
        if text.len() as u64 > LARGEST {
            return Err(ConfigError::whole(format!("more than {LARGEST} bytes")));
        }
        let environment: &Environment<'_> = &|name| std::env::var(name).ok();
        let node = toml_text::read(text)?;
        Self::of_node(&node, folder.as_ref(), environment, Surroundings::default())
    }

    /// The same in YAML.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong, each with its line.
    #[cfg(feature = "yaml")]
    pub fn from_yaml(text: &str, folder: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let environment: &Environment<'_> = &|name| std::env::var(name).ok();
        let node = yaml(text)?;
        Self::of_node(&node, folder.as_ref(), environment, Surroundings::default())
    }

    /// Reads a text without the process's environment, and without any file.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of_stranger(node: &Node) -> Result<Self, ConfigError> {
        let with = Surroundings {
            fileless: true,
            ..Surroundings::default()
        };
        Self::of_node(node, Path::new(""), &|_| None, with)
    }

    fn of_node(
        node: &Node,
        folder: &Path,
        environment: &Environment<'_>,
        with: Surroundings,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment, folder, Root::description);
        reader.set_fileless(with.fileless);
        let root = Root::read(node, &mut reader);
        let (mut problems, shown, secrets) = reader.finish();
        match root {
            Some(root) if problems.is_empty() => {
                problems = root.check(&with);
                if problems.is_empty() {
                    return Ok(Self {
                        root,
                        shown,
                        secrets,
                        file: None,
                        with,
                    });
                }
            }
            _ => {}
        }
        if problems.is_empty() {
            problems.push(Problem::new(Default::default(), "", "cannot be read"));
        }
        Err(ConfigError::new(problems))
    }

    /// Adds somebody who is told of every decision, and of what happens beside requests, such as a
    /// reload, or a change of the file that is refused.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use bartizan::config::Config;
    /// use bartizan::core::observe_fn;
    ///
    /// let config = Config::from_toml("", "")?;
    /// let config = config.add_observer(Arc::new(observe_fn(|event| eprintln!("{event:?}"))));
    /// # Ok::<(), bartizan::config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn add_observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.with.observers.push(observer);
        self
    }

    /// Replaces the clock of every layer.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.with.clock = clock;
        self
    }

    /// What it puts in force.
    pub fn effective(&self) -> Effective {
        Effective::new(&self.root, &self.shown)
    }

    /// Reads the files that it names, certificates, keys and rules, and nothing else: no connection
    /// is made, and the audit log is not opened. For checking a file before a service is given it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong, each with the line of its table; also outside
    /// a tokio runtime, which reads the listener's files.
    pub fn check_files(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        if let Some(listener) = &self.root.listener {
            problems.extend(listener.check_files(&self.with.dry()).err());
        }
        if let Some(tokens) = &self.root.tokens {
            problems.extend(tokens.check_files(&self.with));
        }
        if let Some(encryption) = &self.root.encryption {
            let with = &self.with.dry();
            let keyring = encryption.keyring(with);
            let layer = keyring.and_then(|keyring| encryption.layer(keyring, with));
            problems.extend(layer.err());
        }
        if let Some(keys) = &self.root.api_keys {
            problems.extend(keys.check_file().err());
        }
        if let Some(witness) = &self.root.witness {
            problems.extend(witness.check_files(&self.with).err());
        }
        if let Some(rules) = &self.root.rules {
            problems.extend(rules.check_files(&self.root.routes(), &self.with).err());
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(self.about_file(ConfigError::new(problems)))
    }

    /// Fetches the keys of the issuers, as a service does when it begins.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if they cannot be had, or outside a tokio runtime.
    pub async fn check_online(&self) -> Result<(), ConfigError> {
        let Some(tokens) = &self.root.tokens else {
            return Ok(());
        };
        let built = tokens.build(&self.with, tokens.remembered(None)).await;
        let about = |problem| self.about_file(ConfigError::one(problem));
        built.map(drop).map_err(about)
    }

    pub(crate) fn about_file(&self, error: ConfigError) -> ConfigError {
        error.of_file(self.file.as_deref())
    }
}

#[cfg(feature = "yaml")]
fn yaml(text: &str) -> Result<Node, ConfigError> {
    crate::config::yaml_text::read(text)
}

#[cfg(not(feature = "yaml"))]
fn yaml(_: &str) -> Result<Node, ConfigError> {
    let message = "this program was built without the feature `yaml`";
    Err(ConfigError::whole(message))
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let cannot = |error: std::io::Error| ConfigError::whole(format!("cannot be read: {error}"));
    let file = File::open(path).map_err(cannot)?;
    let mut text = String::new();
    let mut limited = file.take(LARGEST + 1);
    limited.read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > LARGEST {
        return Err(ConfigError::whole(format!("more than {LARGEST} bytes")));
    }
    Ok(text)
}
