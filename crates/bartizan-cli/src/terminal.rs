//! Asking a person for a secret.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context;
use zeroize::Zeroizing;

/// Longer lines are no passphrases.
const LONGEST: usize = 4096;

/// Asks for a passphrase on the terminal, without echo; reads a line of standard input where there
/// is no terminal.
pub(crate) fn passphrase(question: &str) -> anyhow::Result<Zeroizing<String>> {
    let input = io::stdin();
    let silence = if input.is_terminal() {
        let mut err = io::stderr();
        write!(err, "{question}: ").and_then(|()| err.flush())?;
        Some(Silence::begin()?)
    } else {
        None
    };
    let line = read_line(&mut input.lock());
    if silence.is_some() {
        drop(silence);
        // The line end that was typed was not shown either.
        let _ = writeln!(io::stderr());
    }
    line.context("cannot read the passphrase")
}

/// Reads into a buffer that does not grow, so that no copy is left behind.
fn read_line(input: &mut impl BufRead) -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut limited = io::Read::take(input, LONGEST as u64);
    limited.read_until(b'\n', &mut bytes)?;
    let line = bytes.trim_ascii_end();
    anyhow::ensure!(!line.is_empty(), "it is empty");
    let text = std::str::from_utf8(line).context("it is not UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The terminal shows nothing of what is typed until this is dropped.
struct Silence {
    #[cfg(unix)]
    before: rustix::termios::Termios,
}

impl Silence {
    #[cfg(unix)]
    fn begin() -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self { before })
    }

    #[cfg(not(unix))]
    fn begin() -> io::Result<Self> {
        // What cannot be hidden is not asked for.
        Err(io::Error::other(
            "no silent terminal here; use --passphrase-file",
        ))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            use rustix::termios::{OptionalActions, tcsetattr};
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_without_its_end_and_never_endlessly() {
        let read = |text: &str| {
            read_line(&mut text.as_bytes())
                .ok()
                .map(|line| line.to_string())
        };
        assert_eq!(
            read("correct horse\nmore").as_deref(),
            Some("correct horse")
        );
        assert_eq!(read("correct horse\r\n").as_deref(), Some("correct horse"));
        assert_eq!(read("\n"), None);
        assert_eq!(read(""), None);
        assert_eq!(
            read(&"x".repeat(5000)).map(|line| line.len()),
            Some(LONGEST)
        );
    }
}
