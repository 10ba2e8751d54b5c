//! A file of records: one JSON document to a line.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bartizan::encrypt::{DocumentFields, FieldRule, KeyScope, Keyring, Place};
use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::keys::{Keys, keyring};
use crate::output::Output;

/// The longest line, in bytes.
const LONGEST: usize = 16 * 1024 * 1024;

#[derive(Args, Debug)]
#[group(id = "of_records")]
pub(super) struct Records {
    /// A file of records, one JSON document to a line; replaced as a whole when all are done
    #[arg(long, value_name = "FILE", required = false)]
    records: PathBuf,
    /// The application that sealed them, as its keyring is named
    #[arg(long, required = false)]
    application: String,
    /// The collection of the records, as the service names it
    #[arg(long, required = false)]
    collection: String,
    /// The tenant they belong to
    #[arg(long, required = false)]
    tenant: String,
    /// The path of a sealed field, such as /cards/*/number; may be repeated
    #[arg(long = "field", value_name = "PATH", required = false)]
    fields: Vec<String>,
    /// Where in a record its id is, as a JSON Pointer, if fields are bound to it
    #[arg(long, value_name = "POINTER")]
    record_at: Option<String>,
    /// Where in a record the person is, if fields are bound to one
    #[arg(long, value_name = "POINTER")]
    subject_at: Option<String>,
    /// The version of the schema, if fields are bound to one
    #[arg(long)]
    schema_version: Option<u32>,
    /// Seal what is not sealed yet, which is counted and left otherwise
    #[arg(long)]
    seal_plaintext: bool,
}

#[derive(Default)]
struct Sum {
    records: usize,
    resealed: usize,
    current: usize,
    plaintext: usize,
    lost: usize,
}

impl Records {
    pub(super) async fn run(&self, keys: &Keys) -> anyhow::Result<Output> {
        for (given, name) in [
            (&self.application, "--application"),
            (&self.collection, "--collection"),
            (&self.tenant, "--tenant"),
        ] {
            anyhow::ensure!(!given.is_empty(), "{name} is needed with --records");
        }
        let rules = self.fields.iter().map(|path| FieldRule::new(path));
        let mut fields = DocumentFields::new(&self.collection, rules)?;
        if self.seal_plaintext {
            fields = fields.allow_plaintext();
        }
        let (file, kek) = keys.kek.open(&keys.file, &[])?;
        let keyring = keyring(&self.application, file, kek, &[])?;
        let sum = self.rewrite(&keyring, &fields).await?;
        Ok(Output::line(
            format!(
                "{} records: {} fields sealed anew, {} were current, {} are not sealed, {} lost",
                sum.records, sum.resealed, sum.current, sum.plaintext, sum.lost
            ),
            json!({
                "records": sum.records,
                "resealed": sum.resealed,
                "current": sum.current,
                "plaintext": sum.plaintext,
                "lost": sum.lost,
            }),
        ))
    }

    /// Writes beside the file, and puts it in its place when every record is done: cut short, it
    /// leaves the file as it was.
    async fn rewrite(&self, keyring: &Keyring, fields: &DocumentFields) -> anyhow::Result<Sum> {
        let about = || format!("cannot read {}", self.records.display());
        let input = File::open(&self.records).with_context(about)?;
        let permissions = input.metadata().with_context(about)?.permissions();
        let beside = Beside::new(&self.records)?;
        let mut out = BufWriter::new(&beside.file);
        let mut input = BufReader::new(input);
        let (mut sum, mut line) = (Sum::default(), Zeroizing::new(Vec::new()));
        for number in 1.. {
            line.clear();
            let read = input.by_ref().take(LONGEST as u64 + 1);
            let length = { read }.read_until(b'\n', &mut line).with_context(about)?;
            if length == 0 {
                break;
            }
            if length > LONGEST {
                bail!("line {number} is longer than {LONGEST} bytes");
            }
            let done = self.record(keyring, fields, &line, &mut sum).await;
            match done.with_context(|| format!("line {number}"))? {
                Some(record) => out.write_all(&record)?,
                None => out.write_all(&line)?,
            }
        }
        out.flush()?;
        drop(out);
        if sum.resealed > 0 {
            beside.file.set_permissions(permissions)?;
            beside.replace(&self.records)?;
        }
        Ok(sum)
    }

    /// The record anew; `None` if it stays as it is.
    async fn record(
        &self,
        keyring: &Keyring,
        fields: &DocumentFields,
        line: &[u8],
        sum: &mut Sum,
    ) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
        let text = std::str::from_utf8(line).context("not UTF-8")?;
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        // The parser's own error might quote the record.
        let parsed = serde_json::from_str::<Value>(text).ok();
        let parsed = parsed.context("not a JSON document")?;
        let mut place = Place::new(&self.tenant)?;
        let mut scope = KeyScope::tenant(&self.tenant);
        if let Some(pointer) = &self.record_at {
            place = place.with_record(&named(&parsed, pointer)?)?;
        }
        if let Some(pointer) = &self.subject_at {
            let subject = named(&parsed, pointer)?;
            place = place.with_subject(&subject)?;
            scope = KeyScope::subject(&self.tenant, &subject);
        }
        if let Some(version) = self.schema_version {
            place = place.with_schema_version(version);
        }
        let keys = keyring.prepare(&[scope]).await?;
        let done = fields.reseal(&keys, &place, text)?;
        sum.records += 1;
        sum.resealed += done.resealed;
        sum.current += done.current;
        sum.plaintext += done.plaintext;
        sum.lost += done.lost;
        Ok(done.document.map(Zeroizing::new))
    }
}

/// What a pointer leads to, as the service writes it when it names the place.
fn named(record: &Value, pointer: &str) -> anyhow::Result<String> {
    match record.pointer(pointer) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => bail!("no text and no number at {pointer}"),
    }
}

/// A file beside another, which it takes the place of; removed again otherwise.
struct Beside {
    path: PathBuf,
    file: File,
}

impl Beside {
    fn new(of: &Path) -> anyhow::Result<Self> {
        let mut name = of.file_name().context("no file")?.to_owned();
        name.push(".resealing");
        let path = of.with_file_name(name);
        // What a run that was cut short left behind.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = options.open(&path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Durable before it gets its name, and after.
    fn replace(&self, of: &Path) -> anyhow::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, of)?;
        #[cfg(unix)]
        {
            let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After it took the other's place there is none of this name.
        let _ = fs::remove_file(&self.path);
    }
}
