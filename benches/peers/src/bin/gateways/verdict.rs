//! Whether all enforce the same policy. Nothing is measured before they do.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bartizan_testkit::{SigningAlgorithm, SigningKey, forge};
use http::Method;

use crate::load::link::{Answer, Call, Link, good};
use crate::material::{Certificate, Material};
use crate::options::{Mode, Participant, Protocol};
use crate::policy::Limit;
use crate::running::Running;

/// What a request comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Accepted,
    /// There is no connection to send it on.
    NoConnection,
    /// Who it is was not proven, or may not do this. Which of the two a refusal is called differs
    /// between participants, and stands in the table.
    Refused,
    OverLimit,
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::NoConnection => "no connection",
            Self::Refused => "refused",
            Self::OverLimit => "over the limit",
        }
    }
}

/// What was seen of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    NoConnection,
    Answer(Answer),
}

impl Seen {
    /// Its verdict, if it is one of those that there are.
    fn verdict(self) -> Option<Verdict> {
        let Self::Answer(answer) = self else {
            return Some(Verdict::NoConnection);
        };
        match (answer.status, answer.grpc) {
            (200, None | Some(0)) => Some(Verdict::Accepted),
            (401 | 403, _) | (200, Some(16 | 7)) => Some(Verdict::Refused),
            (429, _) | (200, Some(8)) => Some(Verdict::OverLimit),
            _ => None,
        }
    }

    /// As it stands in the table.
    pub(crate) fn text(self) -> String {
        match self {
            Self::NoConnection => "handshake".to_owned(),
            Self::Answer(Answer {
                grpc: Some(code), ..
            }) => format!("grpc {code}"),
            Self::Answer(answer) => answer.status.to_string(),
        }
    }
}

/// One row: a request, and what it has to come to.
struct Case {
    name: &'static str,
    certificate: Certificate,
    change: fn(&Material, &str, Protocol) -> anyhow::Result<Call>,
    expected: Verdict,
}

/// What one row came to, for each participant that was asked.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) expected: Verdict,
    pub(crate) seen: Vec<(Participant, Seen)>,
}

const fn with_token(
    name: &'static str,
    expected: Verdict,
    change: fn(&Material, &str, Protocol) -> anyhow::Result<Call>,
) -> Case {
    Case {
        name,
        certificate: Certificate::Good,
        change,
        expected,
    }
}

const fn with_certificate(name: &'static str, certificate: Certificate, expected: Verdict) -> Case {
    Case {
        name,
        certificate,
        change: |material, subject, protocol| Ok(good(protocol, material.token(subject).sign()?)),
        expected,
    }
}

const CASES: [Case; 22] = [
    with_certificate("good", Certificate::Good, Verdict::Accepted),
    with_certificate("no certificate", Certificate::None, Verdict::NoConnection),
    with_certificate(
        "certificate of another authority",
        Certificate::Foreign,
        Verdict::NoConnection,
    ),
    with_certificate(
        "expired certificate",
        Certificate::Expired,
        Verdict::NoConnection,
    ),
    with_certificate("another workload", Certificate::Other, Verdict::Refused),
    with_certificate(
        "a workload whose name begins alike",
        Certificate::Longer,
        Verdict::Refused,
    ),
    with_token("no token", Verdict::Refused, |_, _, protocol| {
        let mut call = good(protocol, String::new());
        call.token = None;
        Ok(call)
    }),
    with_token("no JWT", Verdict::Refused, |_, _, protocol| {
        Ok(good(protocol, "opaque".to_owned()))
    }),
    with_token(
        "expired token",
        Verdict::Refused,
        |material, subject, protocol| {
            let token = material.token(subject);
            let token = token.expired_since(Duration::from_secs(3_600)).sign()?;
            Ok(good(protocol, token))
        },
    ),
    with_token(
        "expired within the leeway",
        Verdict::Accepted,
        |material, subject, protocol| {
            let token = material.token(subject);
            let token = token.expired_since(Duration::from_secs(10)).sign()?;
            Ok(good(protocol, token))
        },
    ),
    with_token(
        "wrong audience",
        Verdict::Refused,
        |material, subject, protocol| {
            let token = material.token(subject).audience("payments").sign()?;
            Ok(good(protocol, token))
        },
    ),
    with_token(
        "wrong issuer",
        Verdict::Refused,
        |material, subject, protocol| {
            let token = material.token(subject).issuer("https://other.example");
            Ok(good(protocol, token.sign()?))
        },
    ),
    with_token(
        "bad signature",
        Verdict::Refused,
        |material, subject, protocol| {
            let token = forge::flipped_signature(&material.token(subject).sign()?)?;
            Ok(good(protocol, token))
        },
    ),
    with_token(
        "changed subject",
        Verdict::Refused,
        |material, subject, protocol| {
            let token = material.token(subject).sign()?;
            Ok(good(
                protocol,
                forge::tampered_claim(&token, "sub", "admin")?,
            ))
        },
    ),
    with_token(
        "signed by another key",
        Verdict::Refused,
        |material, subject, protocol| {
            let thief = SigningKey::generate(SigningAlgorithm::Rs256, "key-1")?;
            let token = material.token(subject).sign_with_foreign_key(&thief)?;
            Ok(good(protocol, token))
        },
    ),
    with_token(
        "`alg: none`",
        Verdict::Refused,
        |material, subject, protocol| Ok(good(protocol, material.token(subject).unsigned("none"))),
    ),
    with_token(
        "HS256 with the public key",
        Verdict::Refused,
        |material, subject, protocol| {
            let token = material.token(subject).sign_hs256_with_public_key();
            Ok(good(protocol, token))
        },
    ),
    with_token(
        "without the scope",
        Verdict::Refused,
        |material, subject, protocol| {
            let token = material
                .token(subject)
                .scope("openid orders:write")
                .sign()?;
            Ok(good(protocol, token))
        },
    ),
    with_token(
        "a scope that begins alike",
        Verdict::Refused,
        |material, subject, protocol| {
            let token = material
                .token(subject)
                .scope("openid orders:reader")
                .sign()?;
            Ok(good(protocol, token))
        },
    ),
    with_token(
        "another method",
        Verdict::Refused,
        |material, subject, protocol| {
            let mut call = good(protocol, material.token(subject).sign()?);
            call.method = Method::DELETE;
            Ok(call)
        },
    ),
    with_token(
        "another path",
        Verdict::Refused,
        |material, subject, protocol| {
            let mut call = good(protocol, material.token(subject).sign()?);
            call.path = "/orders/7/lines";
            Ok(call)
        },
    ),
    with_token(
        "the scope alone",
        Verdict::Accepted,
        |material, subject, protocol| {
            let token = material.token(subject).scope("orders:read").sign()?;
            Ok(good(protocol, token))
        },
    ),
];

/// Puts every case to every participant.
///
/// # Errors
///
/// If one of them comes to another verdict than is expected of all.
pub(crate) fn check(
    folder: &Path,
    material: &Material,
    participants: &[Participant],
    protocols: &[Protocol],
) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut rows: Vec<Row> = Vec::new();
    for participant in participants {
        let running = Running::start(*participant, folder, Limit::CHECKED, Mode::Hot)?;
        let mut at = 0;
        for protocol in protocols {
            let asked = runtime.block_on(ask(&running, material, *protocol));
            for (name, expected, seen) in
                asked.with_context(|| format!("{} {}", participant.name(), protocol.name()))?
            {
                if at == rows.len() {
                    rows.push(Row {
                        name,
                        protocol: *protocol,
                        expected,
                        seen: Vec::new(),
                    });
                }
                if let Some(row) = rows.get_mut(at) {
                    row.seen.push((*participant, seen));
                }
                at += 1;
            }
        }
        // How many were answered is not counted here; the log is held against it under load.
        drop(running);
    }
    let unequal: Vec<String> = rows.iter().filter_map(Row::unequal).collect();
    if !unequal.is_empty() {
        bail!("the policies are not the same:\n{}", unequal.join("\n"));
    }
    Ok(rows)
}

impl Row {
    fn unequal(&self) -> Option<String> {
        let expected = Some(self.expected);
        let wrong = self
            .seen
            .iter()
            .filter(|(_, seen)| seen.verdict() != expected);
        let wrong: Vec<_> = wrong
            .map(|(participant, seen)| format!("{} {}", participant.name(), seen.text()))
            .collect();
        (!wrong.is_empty()).then(|| {
            let (protocol, name) = (self.protocol.name(), self.name);
            let expected = self.expected.name();
            format!(
                "{protocol}, {name}: expected {expected}, got {}",
                wrong.join(", ")
            )
        })
    }
}

async fn ask(
    running: &Running,
    material: &Material,
    protocol: Protocol,
) -> anyhow::Result<Vec<(&'static str, Verdict, Seen)>> {
    let mut rows = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        // A subject of its own, so that no case uses up the limit of another.
        let subject = format!("{protocol}-{number}");
        let call = (case.change)(material, &subject, protocol)?;
        let seen = once(running, material, case.certificate, protocol, &call).await?;
        rows.push((case.name, case.expected, seen));
    }

    let limit = Limit::CHECKED.requests;
    let call = good(
        protocol,
        material.token(&format!("{protocol}-busy")).sign()?,
    );
    for _ in 0..limit {
        let seen = once(running, material, Certificate::Good, protocol, &call).await?;
        if seen.verdict() != Some(Verdict::Accepted) {
            bail!("got {} within the limit", seen.text());
        }
    }
    let seen = once(running, material, Certificate::Good, protocol, &call).await?;
    rows.push(("one more than the limit", Verdict::OverLimit, seen));
    let call = good(
        protocol,
        material.token(&format!("{protocol}-quiet")).sign()?,
    );
    let seen = once(running, material, Certificate::Good, protocol, &call).await?;
    rows.push(("another subject then", Verdict::Accepted, seen));
    Ok(rows)
}

/// One request on a connection of its own.
async fn once(
    running: &Running,
    material: &Material,
    certificate: Certificate,
    protocol: Protocol,
    call: &Call,
) -> anyhow::Result<Seen> {
    let tls = material.client(certificate, protocol)?;
    let exchange = async {
        // TLS 1.3: a client learns by its first request that its certificate was refused.
        let mut link = Link::open(running.address, Some(tls), protocol).await?;
        link.send(call).await
    };
    let limit = Duration::from_secs(5);
    let answer = tokio::time::timeout(limit, exchange).await;
    let answer = answer.with_context(|| format!("no answer within {limit:?}"))?;
    Ok(answer.map_or(Seen::NoConnection, Seen::Answer))
}
