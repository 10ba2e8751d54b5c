//! `bartizan attack`: the attacks of `bartizan-attack` on a service that runs.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use bartizan_attack::{Authority, Class, Remote, Report, Signer, Target, attacks, run_at};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

/// The answer to nothing: the service could not be reached, or did not accept the control request.
const UNJUDGED: u8 = 3;

/// Attack a service that runs, by its URL
///
/// More than 700 named attacks, each beside a control request that the service has to accept: GET
/// of the URL's path, with what is given below. What is missing for an attack is said, and does not
/// count. Only this machine is attacked, unless the host is named once more. Use a test instance,
/// with keys made for it. Exit codes: 0 nothing got in; 1 something did; 2 the command cannot be
/// understood; 3 nothing is known, since the control request was not accepted.
#[derive(Args, Debug)]
pub(crate) struct Attack {
    /// Where the service is: http://127.0.0.1:8080/orders/7
    #[arg(required_unless_present = "list")]
    url: Option<String>,
    /// Print the attacks that there are, and make none
    #[arg(long)]
    list: bool,
    /// Attack this host, though it is not this machine: you say that you may
    #[arg(long, value_name = "HOST")]
    i_may_attack: Option<String>,
    /// Attacks of this class alone; may be given several times
    #[arg(long, value_enum)]
    only: Vec<Kind>,
    /// Leave this attack out, and say why: NAME=REASON
    #[arg(long, value_name = "NAME=REASON")]
    allow: Vec<String>,
    #[command(flatten)]
    control: Control,
    #[command(flatten)]
    tokens: Tokens,
    #[command(flatten)]
    tls: Tls,
}

/// What the service accepts.
#[derive(Args, Debug)]
struct Control {
    /// The method of the control request; GET, or POST with a body
    #[arg(long)]
    method: Option<String>,
    /// A header of the control request: 'Name: value'
    #[arg(long)]
    header: Vec<String>,
    /// The file with the body of the control request
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// The type of that body
    #[arg(long, default_value = "application/json", requires = "body")]
    content_type: String,
    /// The URL is that of a gRPC method; the body is its message, encoded
    #[arg(long)]
    grpc: bool,
    /// A status that means success, besides 2xx
    #[arg(long)]
    expect: Vec<u16>,
    /// A route that anybody may ask
    #[arg(long, value_name = "PATH")]
    open_path: Option<String>,
    /// What the credential does not allow: 'METHOD PATH'
    #[arg(long, value_name = "REQUEST")]
    forbidden: Option<String>,
    /// After how many requests of one address there are too many
    #[arg(long, value_name = "REQUESTS")]
    limit: Option<u32>,
}

/// Whose request it is, and what makes others.
#[derive(Args, Debug)]
struct Tokens {
    /// The file with a bearer token that the service accepts
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The variable with a bearer token that the service accepts
    #[arg(long, value_name = "NAME", conflicts_with = "token_file")]
    token_env: Option<String>,
    /// The header of a credential, whose value stands in a file: 'NAME=FILE'
    #[arg(long, value_name = "NAME=FILE")]
    credential: Option<String>,
    /// The private key of a test's issuer, PEM of PKCS#8: makes tokens that are nearly right
    #[arg(long, value_name = "FILE", requires = "signing_claims")]
    signing_key: Option<PathBuf>,
    /// The header of the tokens that it makes, JSON
    #[arg(long, value_name = "JSON", default_value = r#"{"alg":"ES256"}"#)]
    signing_header: String,
    /// The file with the claims of a good token, JSON
    #[arg(long, value_name = "FILE", requires = "signing_key")]
    signing_claims: Option<PathBuf>,
    /// A claim that may have any value, so that limits by it do not end the attack
    #[arg(long, value_name = "NAME", requires = "signing_key")]
    vary_claim: Option<String>,
    /// The file with the issuer's key set
    #[arg(long, value_name = "FILE")]
    key_set: Option<PathBuf>,
    /// The service takes proofs of possession for this origin, such as `https://orders.example`
    #[arg(long, value_name = "ORIGIN", requires = "signing_key")]
    dpop: Option<String>,
}

/// How the service is reached.
#[derive(Args, Debug)]
struct Tls {
    /// The authorities that the service's certificate comes from, PEM
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// A client certificate that the service accepts, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM of PKCS#8
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// The authority of a test's client certificates, PEM: makes some that are nearly right
    #[arg(long, value_name = "FILE", requires = "authority_key")]
    authority: Option<PathBuf>,
    /// Its private key, PEM of PKCS#8
    #[arg(long, value_name = "FILE", requires = "authority")]
    authority_key: Option<PathBuf>,
    /// Call from one address, where otherwise many of this machine's are used
    #[arg(long)]
    one_address: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Bodies,
    Certificates,
    Headers,
    Order,
    Protocol,
    Tokens,
}

impl Kind {
    fn class(self) -> Class {
        match self {
            Self::Bodies => Class::Bodies,
            Self::Certificates => Class::Certificates,
            Self::Headers => Class::Headers,
            Self::Order => Class::Order,
            Self::Protocol => Class::Protocol,
            Self::Tokens => Class::Tokens,
        }
    }
}

impl Attack {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<ExitCode> {
        let Some(url) = self.url.as_deref().filter(|_| !self.list) else {
            return print(&self.listed(json)).map(|()| ExitCode::SUCCESS);
        };
        let target = self.target(url)?;
        let run = run_at(self.remote(url)?).with_target(target);
        let run = self
            .only
            .iter()
            .fold(run, |run, kind| run.only(kind.class()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let report = runtime.block_on(async move { run.await });
        let text = match json {
            true => format!("{:#}\n", serde_json::to_value(&report)?),
            false => report.to_string(),
        };
        print(&text)?;
        Ok(code(&report))
    }

    fn listed(&self, json: bool) -> String {
        let chosen = attacks().filter(|it| {
            let mut only = self.only.iter();
            self.only.is_empty() || only.any(|kind| kind.class() == it.class())
        });
        if json {
            let all = chosen.map(|it| {
                json!({
                    "name": it.name(),
                    "class": it.class(),
                    "description": it.description(),
                    "reference": it.reference(),
                    "promise": it.promise(),
                })
            });
            return format!("{:#}\n", Value::Array(all.collect()));
        }
        let mut text = String::new();
        for attack in chosen {
            let reference = attack.reference().map(|it| format!(" ({it})"));
            let (name, reference) = (attack.name(), reference.unwrap_or_default());
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}: {}{reference}", attack.description());
        }
        text
    }

    fn remote(&self, url: &str) -> anyhow::Result<Remote> {
        let mut remote = match &self.i_may_attack {
            Some(host) => Remote::elsewhere(url, host)?,
            None => Remote::new(url).map_err(|error| {
                anyhow!(error).context(
                    "only this machine is attacked, unless --i-may-attack HOST says otherwise",
                )
            })?,
        };
        let tls = &self.tls;
        if let Some(roots) = &tls.roots {
            remote = remote.with_roots(&read(roots)?)?;
        }
        if let (Some(chain), Some(key)) = (&tls.certificate, &tls.key) {
            remote = remote.with_certificate(&read(chain)?, &read(key)?)?;
        }
        if let (Some(certificate), Some(key)) = (&tls.authority, &tls.authority_key) {
            remote = remote.with_authority(Authority::from_pem(&read(certificate)?, &read(key)?)?);
        }
        Ok(match tls.one_address {
            true => remote.from_one_address(),
            false => remote,
        })
    }

    fn target(&self, url: &str) -> anyhow::Result<Target> {
        let control = &self.control;
        let path = path(url);
        let body = control.body.as_ref().map(|file| bytes(file)).transpose()?;
        let mut target = match (control.grpc, &body, &control.method) {
            (true, body, _) => Target::grpc(path, body.as_deref().unwrap_or_default()),
            (false, Some(body), method) => {
                let method = method.as_deref().unwrap_or("POST");
                Target::request(method, path).with_body(&control.content_type, body.clone())
            }
            (false, None, method) => Target::request(method.as_deref().unwrap_or("GET"), path),
        };
        for header in &control.header {
            let (name, value) = header
                .split_once(':')
                .context("a header is 'Name: value'")?;
            target = target.with_header(name.trim(), value.trim());
        }
        for status in &control.expect {
            target = target.expect_status(*status);
        }
        if let Some(path) = &control.open_path {
            target = target.with_open_path(path);
        }
        if let Some(request) = &control.forbidden {
            let both = request.split_once(' ');
            let (method, path) = both.context("what is forbidden is 'METHOD PATH'")?;
            target = target.with_forbidden(method, path.trim());
        }
        if let Some(limit) = control.limit {
            target = target.with_limit(limit);
        }
        for allowed in &self.allow {
            let (name, reason) = allowed
                .split_once('=')
                .context("--allow takes NAME=REASON")?;
            if attacks().all(|it| it.name() != name) {
                bail!("there is no attack {name}: --list prints them");
            }
            target = target.allow(name, reason);
        }
        self.tokens.give(target)
    }
}

impl Tokens {
    fn give(&self, mut target: Target) -> anyhow::Result<Target> {
        let token = match (&self.token_file, &self.token_env) {
            (Some(file), _) => Some(read(file)?),
            (None, Some(name)) => {
                let value = std::env::var(name);
                Some(value.with_context(|| format!("there is no variable {name}"))?)
            }
            (None, None) => None,
        };
        if let Some(token) = token {
            target = target.with_bearer(token.trim());
        }
        if let Some(credential) = &self.credential {
            let both = credential.split_once('=');
            let (name, file) = both.context("--credential takes NAME=FILE")?;
            target = target.with_credential(name, read(Path::new(file))?.trim());
        }
        if let (Some(key), Some(claims)) = (&self.signing_key, &self.signing_claims) {
            let header = serde_json::from_str(&self.signing_header);
            let header = header.context("--signing-header is not JSON")?;
            let claims = serde_json::from_str(&read(claims)?);
            let claims = claims.context("--signing-claims is not JSON")?;
            let signer = Signer::from_pem(header, claims, &read(key)?)?;
            target = target.with_signer(match &self.vary_claim {
                Some(name) => signer.vary_claim(name),
                None => signer,
            });
        }
        if let Some(file) = &self.key_set {
            let key_set = serde_json::from_str(&read(file)?).context("--key-set is not JSON")?;
            target = target.with_key_set(key_set);
        }
        Ok(match &self.dpop {
            Some(origin) => target.with_dpop(origin),
            None => target,
        })
    }
}

/// What is behind the host of a URL.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn code(report: &Report) -> ExitCode {
    let counts = report.counts(None);
    match (counts.findings, counts.unjudged, counts.held) {
        (1.., _, _) => ExitCode::FAILURE,
        (0, 0, 1..) => ExitCode::SUCCESS,
        _ => ExitCode::from(UNJUDGED),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
