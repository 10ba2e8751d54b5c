//! `bartizan policy learn`: the least policy that allows what an audit log has seen.

mod seen;

use std::path::PathBuf;

use anyhow::{Context, bail};
use bartizan::audit::{LedgerReader, Record, RequestRecord, Stage};
use bartizan::authz::{Callers, PathPattern, Policy, Rule, Targets};
use bartizan::core::{Enforcement, Outcome, SpiffePattern};
use clap::Args;
use serde_json::json;

use self::seen::{Caller, Seen, Usage};
use crate::output::Output;

#[derive(Args, Debug)]
pub(super) struct Learn {
    /// The folder of the ledger
    #[arg(long, value_name = "FOLDER", env = "BARTIZAN_AUDIT")]
    ledger: PathBuf,
    /// The first entry to look at
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Count requests that were refused as well
    #[arg(long)]
    include_denied: bool,
    /// Allow to anybody what was seen of callers who proved nothing
    #[arg(long)]
    allow_anonymous: bool,
    /// Name the principals of a client if there are at most so many; otherwise the client alone
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    max_subjects: usize,
}

impl Learn {
    pub(super) fn run(&self) -> anyhow::Result<Output> {
        let cannot = || format!("cannot read {}", self.ledger.display());
        let mut reader = LedgerReader::open_at(&self.ledger, self.from).with_context(cannot)?;
        let mut seen = Seen::default();
        loop {
            let batch = reader.next_batch().with_context(cannot)?;
            if batch.is_empty() {
                break;
            }
            for entry in &batch {
                // Records of a kind that is not known yet are none of requests.
                if let Ok(Record::Request(record)) = entry.record() {
                    self.see(&record, &mut seen);
                }
            }
        }
        let text = self.propose(&seen, reader.origin())?;
        let policy = Policy::from_toml(&text).context("the proposal is no policy")?;
        let json = json!({
            "policy": text, "rules": policy.rules().count(), "requests": seen.requests,
            "refused": seen.refused, "anonymous": seen.anonymous(), "without_route": seen.without_route,
            "other_peers": seen.other_peers,
        });
        Ok(Output::line(text.trim_end(), json))
    }

    fn see(&self, record: &RequestRecord<'_>, seen: &mut Seen) {
        // How a request ended that was told of already.
        if record.stage == Stage::Completed {
            return;
        }
        let refused = record.decisions.iter().any(|decision| {
            matches!(decision.outcome, Outcome::Denied | Outcome::CouldNotDecide)
                && decision.enforcement == Enforcement::Enforce
        });
        if refused && !self.include_denied {
            seen.refused += 1;
            return;
        }
        // The method of a gRPC call is whatever the caller wrote, who must not write a wildcard.
        let is_route = |template: &&str| {
            let path = Usage::path(template);
            let wild = record.protocol.is_grpc() && path.contains(['{', '}', '*']);
            !wild && PathPattern::parse(&path).is_ok()
        };
        let Some(template) = record.template.filter(is_route) else {
            seen.without_route += 1;
            return;
        };
        let peer = match record.peer {
            None => None,
            Some(id) if SpiffePattern::parse(id).is_ok() && !id.contains('*') => {
                Some(id.to_owned())
            }
            Some(_) => {
                seen.other_peers += 1;
                return;
            }
        };
        let caller = Caller {
            peer,
            authenticated: record.scheme.is_some()
                || record.subject.is_some()
                || record.sealed.is_some(),
            issuer: record.issuer.map(str::to_owned),
            client: record.client.map(str::to_owned),
        };
        seen.requests += 1;
        let usage = seen.callers.entry(caller).or_default();
        // One more than are named is enough to know that there are too many.
        if let Some(subject) = record.subject
            && usage.subjects.len() <= self.max_subjects
        {
            usage.subjects.insert(subject.to_owned());
        }
        usage.add(template, record.method);
    }

    fn propose(&self, seen: &Seen, origin: &str) -> anyhow::Result<String> {
        let mut out = format!(
            "# The least that covers what the audit log {} has seen: {} requests.\n",
            plain(origin),
            seen.requests
        );
        for (count, what) in [
            (seen.refused, "that were refused (--include-denied)"),
            (
                seen.without_route,
                "without a route; those of the service are listed in `entrance.routes`",
            ),
            (seen.other_peers, "of peers without a SPIFFE ID"),
        ] {
            if count > 0 {
                out.push_str(&format!("# Left out: {count} {what}.\n"));
            }
        }
        out.push_str("# The log holds no scopes and roles: where a route needs them, add them.\n\nversion = 1\n");
        let mut rules = 0;
        for (caller, usage) in &seen.callers {
            if caller.is_anonymous() && !self.allow_anonymous {
                out.push_str("\n# NOT ALLOWED here, seen of callers who proved nothing (--allow-anonymous):\n");
                out.push_str(&comment(usage));
                continue;
            }
            out.push('\n');
            out.push_str(&comment(usage));
            rules += 1;
            out.push_str(&self.rule(rules, caller, usage)?.to_toml());
        }
        if rules == 0 {
            let hint = match seen.without_route {
                0 => String::new(),
                count => format!(
                    "; {count} more had no route: list those of the service in `entrance.routes`"
                ),
            };
            bail!(
                "nothing was seen that a policy could allow ({} requests){hint}",
                seen.requests
            );
        }
        Ok(out)
    }

    fn rule(&self, number: usize, caller: &Caller, usage: &Usage) -> anyhow::Result<Rule> {
        let is_named = !usage.subjects.is_empty() && usage.subjects.len() <= self.max_subjects;
        let mut callers = match (&caller.issuer, caller.authenticated) {
            (Some(issuer), _) if is_named => {
                let subjects = usage.subjects.iter();
                subjects.fold(Callers::anybody(), |all, it| all.subject(issuer, it))
            }
            (Some(issuer), _) => Callers::anybody().issuer(issuer),
            // Who it was is sealed.
            (None, true) => Callers::authenticated(),
            (None, false) if caller.is_anonymous() => Callers::anonymous(),
            (None, false) => Callers::anybody(),
        };
        if let Some(peer) = &caller.peer {
            callers = callers.or_peer(peer.parse().context("the peer")?);
        }
        if let Some(client) = &caller.client {
            callers = callers.client(client);
        }
        // A name is short, and the same on every terminal.
        let name: String = format!("learned {number}: {caller}")
            .chars()
            .take(100)
            .collect();
        let name = name.replace(|c: char| !c.is_ascii_graphic() && c != ' ', "?");
        let mut rule = Rule::allow(&name).from(callers);
        for (methods, templates) in usage.by_methods() {
            let targets = methods
                .iter()
                .fold(Targets::anything(), |all, it| all.or_method(it));
            rule = rule.to(templates.iter().fold(targets, |all, it| all.path(it)));
        }
        Ok(rule)
    }
}

/// What was seen how often.
fn comment(usage: &Usage) -> String {
    let mut out = String::new();
    for ((template, method), count) in usage.routes() {
        out.push_str(&format!(
            "# {count:>8} x {} {}\n",
            plain(method),
            plain(template)
        ));
    }
    out
}

/// A text that stays on its line.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}
