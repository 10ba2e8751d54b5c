//! `bartizan audit witness`: witnesses the ledgers of others, and has one witnessed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use bartizan::audit::{Witness, WitnessClient, WitnessKey, WitnessService};
use bartizan::core::{SpiffeId, TrustDomain};
use bartizan::mtls::{AllowedPeers, Material, MaterialFiles, MtlsConnector, MtlsListener, serve};
use bartizan::source::{FileSource, HttpsFetcher};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{cosigner, log_key, no_ledger};
use crate::output::Output;

#[derive(Args, Debug)]
pub(super) struct WitnessCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the key of a witness
    Key {
        /// What it is called, such as payments.example.com/witness
        #[arg(long)]
        name: String,
        /// The file for it, which must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Say the public half of a witness's key, which verifiers are given
    Public {
        /// The witness's key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Cosign what others submit over mutual TLS, until it is interrupted
    Serve(Serve),
    /// Print the largest checkpoint that the witness has cosigned of a log
    Show {
        #[command(flatten)]
        state: State,
        /// The log
        #[arg(long)]
        origin: String,
    },
    /// Submit the newest checkpoint of --ledger to a witness, and keep what it cosigned
    Submit(Submit),
}

/// What a witness keeps.
#[derive(Args, Debug)]
struct State {
    /// The folder in which it keeps what it knows; it belongs to one process at a time
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    /// Its key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A log, and who may speak of it: KEY=SPIFFE-ID[,SPIFFE-ID...], the key being the log's first
    /// (`log.vkey`) or a file with it
    #[arg(long, value_name = "KEY=IDS")]
    log: Vec<String>,
}

/// Who this side is, and whom it believes.
#[derive(Args, Debug)]
struct Identity {
    /// The certificate of this side, with its chain, as PEM
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its private key, as PEM
    #[arg(long, value_name = "FILE")]
    private_key: PathBuf,
    /// A trust domain that is believed, and its roots as PEM: DOMAIN=FILE
    #[arg(long, value_name = "DOMAIN=FILE", required = true)]
    bundle: Vec<String>,
}

#[derive(Args, Debug)]
struct Serve {
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    identity: Identity,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS")]
    listen: String,
}

#[derive(Args, Debug)]
struct Submit {
    #[command(flatten)]
    identity: Identity,
    /// Where the witness is, such as `https://payments.example.com/witness`
    #[arg(long)]
    url: String,
    /// Who has to be found there
    #[arg(long, value_name = "SPIFFE-ID")]
    server: SpiffeId,
    /// The witness's key: the key itself, or a file with it
    #[arg(long, value_name = "KEY")]
    witness: String,
}

impl WitnessCommand {
    pub(super) fn run(&self, ledger: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let output = match &self.command {
            Command::Key { name, out } => make_key(name, out)?,
            Command::Public { key } => public(&WitnessKey::load(key)?),
            Command::Serve(serve) => runtime.block_on(serve.run(json))?,
            Command::Show { state, origin } => runtime.block_on(show(state, origin))?,
            Command::Submit(submit) => match ledger {
                Some(ledger) => runtime.block_on(submit.run(ledger))?,
                None => return Ok(no_ledger()),
            },
        };
        output.print(json)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn make_key(name: &str, out: &Path) -> anyhow::Result<Output> {
    let key = WitnessKey::generate(name)?;
    let saved = key.save_new(out);
    saved.with_context(|| format!("cannot make {}", out.display()))?;
    Ok(public(&key))
}

fn public(key: &WitnessKey) -> Output {
    let public = key.public().to_string();
    Output::line(
        public.clone(),
        json!({"name": key.public().name(), "key": public}),
    )
}

impl State {
    fn open(&self) -> anyhow::Result<Witness> {
        let key = WitnessKey::load(&self.key);
        let key = key.with_context(|| format!("cannot read {}", self.key.display()))?;
        let mut builder = Witness::builder(&self.state, key);
        for log in &self.log {
            // Keys end with base64, which may hold the sign itself.
            let (key, ids) = log
                .rsplit_once("=spiffe://")
                .with_context(|| format!("{log}: not of the form KEY=SPIFFE-ID[,SPIFFE-ID...]"))?;
            let ids = format!("spiffe://{ids}");
            let ids: Result<Vec<SpiffeId>, _> = ids.split(',').map(SpiffeId::parse).collect();
            builder = builder.add_log(log_key(key)?, ids.context("who may speak of a log")?);
        }
        Ok(builder.open()?)
    }
}

async fn show(state: &State, origin: &str) -> anyhow::Result<Output> {
    let witness = state.open()?;
    let note = witness.checkpoint(origin).await;
    let note = note.ok_or_else(|| anyhow!("nothing of {origin} is cosigned, or it is no --log"))?;
    Ok(Output::line(
        note.trim_end(),
        json!({"origin": origin, "checkpoint": note}),
    ))
}

impl Identity {
    fn load(&self) -> anyhow::Result<FileSource<Material>> {
        let mut files = MaterialFiles::new(&self.certificate, &self.private_key);
        for bundle in &self.bundle {
            let (domain, file) = bundle.split_once('=').context("--bundle is DOMAIN=FILE")?;
            files = files.with_bundle(TrustDomain::parse(domain)?, file);
        }
        Ok(files.load()?)
    }
}

impl Serve {
    async fn run(&self, json: bool) -> anyhow::Result<Output> {
        let witness = self.state.open()?;
        let material = self.identity.load()?;
        let listener = MtlsListener::builder(material.published());
        let listener = listener.bind(&*self.listen).await?;
        let address = listener.local_addr();
        let about = json!({"listening": address.to_string(), "key": witness.key().to_string()});
        Output::line(
            format!("listening on {address} as {}", witness.key()),
            about,
        )
        .print(json)?;
        // What stops it may be an interrupt, or whoever manages services.
        let stop = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        serve(listener, WitnessService::new(witness))
            .with_shutdown(stop)
            .await?;
        Ok(Output::line("stopped", json!({"stopped": true})))
    }
}

impl Submit {
    async fn run(&self, ledger: &Path) -> anyhow::Result<Output> {
        let material = self.identity.load()?;
        let servers = AllowedPeers::id(self.server.clone());
        let connector = MtlsConnector::builder(material.published(), servers);
        let tls = Arc::new(connector.build_client_config()?);
        let fetcher = HttpsFetcher::builder().with_tls_config(tls).build()?;
        let client = WitnessClient::https(cosigner(&self.witness)?, &self.url, fetcher)?;
        let cosigned = client.submit(ledger).await?;
        Ok(Output::line(
            format!(
                "{} has cosigned the first {} entries, at {} seconds since 1970-01-01",
                cosigned.key.name(),
                cosigned.size,
                cosigned.time
            ),
            json!({
                "witness": cosigned.key.name(), "size": cosigned.size, "time": cosigned.time,
                "cosignature": cosigned.line,
            }),
        ))
    }
}
