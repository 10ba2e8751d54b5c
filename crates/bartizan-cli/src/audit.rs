//! `bartizan audit`: reads and verifies the ledger of a service, running or not, and does by hand
//! what has to be done to one that is not.

mod erase;
mod lines;
mod prove;
mod repair;
mod verify;
mod witness;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bartizan::audit::{Checkpoint, CosignerKey, Format, Hash, Note, VerifierKey};
use clap::{Args, Subcommand};

use self::erase::Erase;
use self::lines::{lines, tail};
use self::prove::{consistency, prove};
use self::repair::Prune;
use self::verify::Verify;
use self::witness::WitnessCommand;

/// The exit code for a command that cannot be understood.
pub(crate) const USAGE: u8 = 3;

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Audit {
    /// The folder of the ledger
    #[arg(long, value_name = "FOLDER", env = "BARTIZAN_AUDIT")]
    ledger: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes of verify and recover: 0 intact, nothing to repair, or done; \
1 tampered, or failed; 2 incomplete or unsealed, or something to repair; 3 not understood.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Hash every byte anew, and say what does not fit
    Verify(Verify),
    /// Prove that an entry is in the log, in the form of C2SP tlog-proof
    Prove {
        /// The entry
        index: u64,
        /// The checkpoint that the proof leads to, by default the ledger's own
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Prove that the first entries were not changed since
    Consistency {
        /// How many entries there were
        old: u64,
        /// How many there are
        new: u64,
    },
    /// Print entries as they are written, from where the cursor stands
    Tail {
        /// The form: json, ocsf, ecs or cef
        #[arg(long, default_value = "json")]
        format: Format,
        /// Where the place is kept
        #[arg(long, value_name = "FILE")]
        cursor: PathBuf,
        /// Wait for more
        #[arg(long)]
        follow: bool,
    },
    /// Print all entries
    Export {
        /// The form: json, ocsf, ecs or cef
        #[arg(long, default_value = "json")]
        format: Format,
        /// The first entry
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Print the newest checkpoint, to be kept where nobody of this host can change it
    Checkpoint {
        /// The one that witnesses cosigned last
        #[arg(long)]
        cosigned: bool,
    },
    /// Say what a crash left at the end of the ledger, and with --yes repair it
    ///
    /// A service that opens its ledger repairs it by itself. Whole records are kept; a torn end is
    /// moved to a file beside the segment; a record says how much it was. What no crash leaves
    /// behind is not repaired.
    Recover {
        /// Repair it; without this nothing is changed
        #[arg(long)]
        yes: bool,
    },
    /// Remove the bodies of old entries; every proof stays as it was
    ///
    /// The service has to be stopped; one that runs prunes by its own configuration.
    Prune(Prune),
    /// Destroy the key of a person, so that nothing the log holds about them can be read again
    ///
    /// Proofs stay valid: they are over what is sealed. The service has to be stopped; one that
    /// runs does it by `Privacy::forget`.
    Erase(Erase),
    /// Witness the ledgers of others, and have this one witnessed
    Witness(WitnessCommand),
    /// Print the entries whose line holds a text
    Grep {
        /// The text
        text: String,
        /// The form: json, ocsf, ecs or cef
        #[arg(long, default_value = "json")]
        format: Format,
    },
}

impl Audit {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<ExitCode> {
        if let Command::Witness(witness) = &self.command {
            return witness.run(self.ledger.as_deref(), json);
        }
        let Some(ledger) = self.ledger.as_deref() else {
            return Ok(no_ledger());
        };
        let output = match &self.command {
            Command::Verify(how) => return verify::verify(ledger, how, json),
            Command::Checkpoint { cosigned } => prove::shown(ledger, *cosigned)?,
            Command::Recover { yes } => return repair::recover(ledger, *yes, json),
            Command::Prune(prune) => prune.run(ledger)?,
            Command::Erase(erase) => erase.run(ledger)?,
            Command::Witness(_) => return Ok(ExitCode::SUCCESS),
            Command::Prove { index, checkpoint } => prove(ledger, *index, checkpoint.as_deref())?,
            Command::Consistency { old, new } => consistency(ledger, *old, *new)?,
            Command::Tail {
                format,
                cursor,
                follow,
            } => return done(tail(ledger, *format, cursor, *follow)),
            Command::Export { format, from } => {
                return done(lines(ledger, *format, *from, |_| true));
            }
            Command::Grep { text, format } => {
                return done(lines(ledger, *format, 0, |line| line.contains(text)));
            }
        };
        output.print(json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Says that there is no ledger to work on.
fn no_ledger() -> ExitCode {
    let text = "bartizan: say which ledger: --ledger FOLDER, or BARTIZAN_AUDIT";
    // With standard error closed there is nobody to tell.
    let _ = io::Write::write_all(&mut io::stderr(), format!("{text}\n").as_bytes());
    ExitCode::from(USAGE)
}

/// Whoever reads may have read enough.
fn done(result: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let is_enough = |error: &anyhow::Error| {
        let io = error.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    match result {
        Err(error) if !is_enough(&error) => Err(error),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of a file.
fn read(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path);
    text.with_context(|| format!("cannot read {}", path.display()))
}

/// A key in its text form, or a file that holds one.
fn key_text(key: &str) -> String {
    let text = std::fs::read_to_string(key);
    let text = text.unwrap_or_else(|_| key.to_owned());
    text.trim_end().to_owned()
}

fn log_key(key: &str) -> anyhow::Result<VerifierKey> {
    VerifierKey::parse(&key_text(key)).context("the key of the log")
}

fn cosigner(key: &str) -> anyhow::Result<CosignerKey> {
    CosignerKey::parse(&key_text(key)).context("the key of the witness")
}

/// A checkpoint in a file, and the note that it is.
fn checkpoint(path: &Path) -> anyhow::Result<(Checkpoint, String)> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let note = Note::parse(text.as_bytes()).context("the checkpoint")?;
    let checkpoint = Checkpoint::parse(note.text()).context("the checkpoint")?;
    Ok((checkpoint, text))
}
