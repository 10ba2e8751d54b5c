//! `bartizan policy import` and `export`: policies of other systems.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use bartizan::authz::{Exported, IstioExport, IstioImport, NetworkPolicyExport, Unmatched};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{load, read};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// AuthorizationPolicy documents of Istio
    ///
    /// What is printed decides as Istio does. Where no policy has the action ALLOW, Istio allows
    /// whatever is not denied: --unmatched says whether that is to be so.
    Istio(Box<FromIstio>),
}

#[derive(Args, Debug)]
pub(super) struct FromIstio {
    /// Files of one or more documents, of which all count together
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The namespace of the workload that the policy is for
    #[arg(long)]
    namespace: Option<String>,
    /// A label of the workload; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE", requires = "namespace")]
    labels: Vec<String>,
    /// The service that policies may name as their target
    #[arg(long, requires = "namespace")]
    service: Option<String>,
    /// Take every policy, whichever workload it is about
    #[arg(long, conflicts_with = "namespace")]
    all_workloads: bool,
    /// The namespace whose policies are about every other
    #[arg(long, default_value = "istio-system")]
    root_namespace: String,
    /// What becomes of requests that no policy speaks of, where none has the action ALLOW
    #[arg(long)]
    unmatched: Option<WhenUnmatched>,
    /// The mesh's trust domain, and its aliases; may be given again
    #[arg(long = "trust-domain", value_name = "DOMAIN")]
    trust_domains: Vec<String>,
    /// Deny other spellings of a path as well, which Istio does not
    #[arg(long)]
    every_spelling: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhenUnmatched {
    Allow,
    Deny,
}

impl Import {
    pub(super) fn run(&self) -> anyhow::Result<Output> {
        match self {
            Self::Istio(from) => from.run(),
        }
    }
}

impl FromIstio {
    fn run(&self) -> anyhow::Result<Output> {
        let mut import = IstioImport::new()
            .with_root_namespace(&self.root_namespace)
            .with_trust_domains(self.trust_domains.iter().map(String::as_str));
        if let Some(namespace) = &self.namespace {
            import = import.for_workload(namespace, pairs(&self.labels)?);
        }
        if let Some(service) = &self.service {
            import = import.for_service(service);
        }
        if self.all_workloads {
            import = import.for_any_workload();
        }
        import = match self.unmatched {
            Some(WhenUnmatched::Allow) => import.allow_unmatched(),
            Some(WhenUnmatched::Deny) => import.deny_unmatched(),
            None => import,
        };
        if self.every_spelling {
            import = import.in_every_spelling();
        }
        // All files are one text, because what they say counts together.
        let (mut text, mut begins) = (String::new(), Vec::new());
        for file in &self.files {
            begins.push((text.lines().count() + 1, file));
            text.push_str("---\n");
            text.push_str(&read(file)?);
            text.push('\n');
        }
        let place = |line: usize| {
            let (begin, file) = begins.iter().rev().find(|(begin, _)| *begin <= line)?;
            Some(format!("{}:{}: ", file.display(), line - begin))
        };
        let imported = import.read(&text).map_err(|error| {
            let place = place(error.line).unwrap_or_default();
            let path = if error.path.is_empty() { "" } else { ": " };
            anyhow!("{place}{}{path}{}", error.path, error.kind)
        })?;
        let unmatched = match imported.unmatched {
            Unmatched::Allowed => "allowed",
            Unmatched::Denied => "denied",
        };
        let notes = imported.notes.iter().map(|note| {
            let place = place(note.line).filter(|_| note.document > 0);
            format!("{}{}", place.unwrap_or_default(), note.text)
        });
        let notes: Vec<String> = notes.collect();
        warn(&notes);
        let mut out = format!("# Imported from Istio. What no rule speaks of is {unmatched}.\n");
        for note in &notes {
            out.push_str(&format!("# {}\n", note.replace(char::is_control, " ")));
        }
        out.push_str(&imported.policy.to_toml());
        let json = json!({"policy": out, "unmatched": unmatched, "notes": notes});
        Ok(Output::line(out.trim_end(), json))
    }
}

#[derive(Args, Debug)]
pub(super) struct Export {
    /// The policy
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// For what
    #[arg(long)]
    to: Target,
    /// The namespace of the service
    #[arg(long)]
    namespace: String,
    /// The name of what is written, or what its names begin with
    #[arg(long)]
    name: String,
    /// A label of the service's pods; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// A port that the service listens on, for networkpolicy; may be given again
    #[arg(long = "port", value_name = "PORT")]
    ports: Vec<u16>,
    /// The label whose value is the name of a pod's service account, for networkpolicy
    #[arg(long, value_name = "KEY")]
    account_label: Option<String>,
    /// Labels of the pods of one service account, for networkpolicy; may be given again
    #[arg(long = "account", value_name = "NAMESPACE/ACCOUNT:KEY=VALUE")]
    accounts: Vec<String>,
    /// The trust domain whose peers are pods of this cluster, for networkpolicy; may be given again
    #[arg(long = "trust-domain", value_name = "DOMAIN")]
    trust_domains: Vec<String>,
    /// Let everybody connect where a rule allows whatever peer, for networkpolicy
    #[arg(long)]
    allow_everywhere: bool,
    /// The claim that roles are in, for istio: `roles`, or the names that lead to it with dots
    /// between
    #[arg(long, value_name = "CLAIM")]
    roles_claim: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// AuthorizationPolicy documents
    Istio,
    /// A NetworkPolicy of Kubernetes
    #[value(name = "networkpolicy")]
    NetworkPolicy,
}

impl Export {
    pub(super) fn run(&self) -> anyhow::Result<Output> {
        let policy = load(&self.policy)?;
        let Exported { text, notes, .. } = match self.to {
            Target::Istio => {
                let mut export =
                    IstioExport::new(&self.namespace, &self.name).with_labels(pairs(&self.labels)?);
                if let Some(claim) = &self.roles_claim {
                    export = export.with_roles_claim(claim.split('.'));
                }
                export.write(&policy)?
            }
            Target::NetworkPolicy => self.network_policy()?.write(&policy)?,
        };
        warn(&notes);
        let json = json!({"text": text, "notes": notes});
        Ok(Output::line(text.trim_end(), json))
    }

    fn network_policy(&self) -> anyhow::Result<NetworkPolicyExport> {
        if self.ports.is_empty() {
            bail!("say which ports the service listens on: --port");
        }
        let ports = self.ports.iter().copied();
        let mut export = NetworkPolicyExport::new(&self.namespace, &self.name, ports)
            .with_labels(pairs(&self.labels)?)
            .with_trust_domains(self.trust_domains.iter().map(String::as_str));
        if let Some(label) = &self.account_label {
            export = export.with_account_label(label);
        }
        for text in &self.accounts {
            let parts = text.split_once(':').and_then(|(account, labels)| {
                let (namespace, account) = account.split_once('/')?;
                Some((namespace, account, labels))
            });
            let (namespace, account, labels) =
                parts.with_context(|| format!("{text:?} is not NAMESPACE/ACCOUNT:KEY=VALUE"))?;
            let labels: Vec<_> = labels.split(',').map(str::to_owned).collect();
            export = export.with_account(namespace, account, pairs(&labels)?);
        }
        if self.allow_everywhere {
            export = export.allow_everywhere();
        }
        Ok(export)
    }
}

/// What whoever runs the command should know, also where the result goes to a file.
fn warn(notes: &[String]) {
    for note in notes {
        // With standard error closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "note: {note}");
    }
}

fn pairs(texts: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let pairs = texts.iter().map(|text| {
        let (key, value) = text
            .split_once('=')
            .with_context(|| format!("{text:?} is not KEY=VALUE"))?;
        Ok((key.to_owned(), value.to_owned()))
    });
    pairs.collect()
}
