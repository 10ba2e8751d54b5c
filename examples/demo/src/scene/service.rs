//! Starting services, and writing what they read.

use std::ffi::OsString;
use std::path::Path;

use bartizan_encrypt::KeyBytes;
use bartizan_source::{FileMode, write_atomically};
use tokio::sync::oneshot;

/// Writes a new key that wraps data keys; what was kept under an old one is of no use then.
pub(super) fn new_wrapping_key(folder: &Path) -> anyhow::Result<()> {
    let _ = std::fs::remove_file(folder.join("customers-keys.json"));
    write_secret(&folder.join("customers.kek"))
}

/// Writes 32 random bytes that their owner alone can read.
pub(super) fn write_secret(path: &Path) -> anyhow::Result<()> {
    let secret = KeyBytes::generate()?;
    write_atomically(path, secret.expose(), FileMode::PRIVATE)?;
    Ok(())
}

/// The configuration that these flags give, with defaults for the rest.
pub(super) fn parse<C: clap::Parser>(flags: &[(&str, OsString)]) -> C {
    let flags = flags.iter();
    let words = flags.flat_map(|(flag, value)| [OsString::from(flag), value.clone()]);
    C::parse_from(std::iter::once("demo".into()).chain(words))
}

/// Runs a service in the background, and gives its address, or addresses, once it listens.
pub(super) async fn start<A, R>(
    run: impl FnOnce(Box<dyn FnOnce(A) + Send>) -> R,
) -> anyhow::Result<A>
where
    A: Send + 'static,
    R: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let (sender, address) = oneshot::channel();
    let mut service = tokio::spawn(run(Box::new(move |address| {
        let _ = sender.send(address);
    })));
    tokio::select! {
        biased;
        Ok(address) = address => Ok(address),
        ended = &mut service => {
            ended??;
            anyhow::bail!("the service ended")
        }
    }
}
