//! The key-encryption key of a keyset file: where it comes from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bartizan::encrypt::{KeyBytes, KeyFile, LocalKek};
use clap::Args;
use zeroize::Zeroizing;

use crate::terminal;

/// Where the key-encryption key comes from: exactly one of these.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct KekSource {
    /// A file with the key: 32 bytes, or their base64url
    #[arg(long, value_name = "FILE")]
    kek_file: Option<PathBuf>,
    /// The name of an environment variable with the key: the base64url of 32 bytes
    #[arg(long, value_name = "VARIABLE")]
    kek_env: Option<String>,
    /// Ask for a passphrase, without echo
    #[arg(long)]
    passphrase: bool,
    /// A file with the passphrase
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl KekSource {
    /// Opens a keyset file; `previous` keys unwrap what they wrapped before.
    pub(crate) fn open(
        &self,
        file: &Path,
        previous: &[LocalKek],
    ) -> anyhow::Result<(KeyFile, LocalKek)> {
        let about = || format!("cannot open {}", file.display());
        if let Some(kek) = self.key()? {
            let mut keks = vec![kek.clone()];
            keks.extend_from_slice(previous);
            let opened = KeyFile::open(file, &keks).with_context(about)?;
            return Ok((opened, kek));
        }
        if !previous.is_empty() {
            bail!("a keyset file under a passphrase cannot take the place of one under a key");
        }
        KeyFile::open_with_passphrase(file, &self.passphrase("Passphrase")?).with_context(about)
    }

    /// Makes a new keyset file, and with `new_kek` the key in its file as well.
    pub(crate) fn create(&self, file: &Path, new_kek: bool) -> anyhow::Result<LocalKek> {
        if new_kek {
            let Some(path) = &self.kek_file else {
                bail!("--new-kek needs --kek-file: there is no other place to put a key");
            };
            // Nothing is made if the other file is in the way.
            anyhow::ensure!(!file.exists(), "{} exists already", file.display());
            write_new(path, KeyBytes::generate()?.expose())
                .with_context(|| format!("cannot make {}", path.display()))?;
        }
        let about = || format!("cannot make {}", file.display());
        if let Some(kek) = self.key()? {
            KeyFile::create(file, kek.clone()).with_context(about)?;
            return Ok(kek);
        }
        let passphrase = self.passphrase("New passphrase")?;
        if self.passphrase && passphrase != self.passphrase("Once more")? {
            bail!("the two passphrases differ");
        }
        let (_, kek) = KeyFile::create_with_passphrase(file, &passphrase).with_context(about)?;
        Ok(kek)
    }

    /// The key, unless it comes of a passphrase.
    fn key(&self) -> anyhow::Result<Option<LocalKek>> {
        Ok(match (&self.kek_file, &self.kek_env) {
            (Some(path), _) => Some(LocalKek::from_file(path)?),
            (None, Some(variable)) => Some(LocalKek::from_env(variable)?),
            (None, None) => None,
        })
    }

    fn passphrase(&self, question: &str) -> anyhow::Result<Zeroizing<String>> {
        let Some(path) = &self.passphrase_file else {
            return terminal::passphrase(question);
        };
        let bytes = std::fs::read(path).map(Zeroizing::new);
        let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
        let text = std::str::from_utf8(bytes.trim_ascii_end());
        let text = text.with_context(|| format!("{} is not UTF-8", path.display()))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// Writes a file that was not there, for its owner alone, and makes it durable.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
