//! The table.

use std::fmt::Write as _;

use crate::PAGE;
use crate::measure::Case;
use crate::options::{Mode, Options, Participant, Protocol};
use crate::policy::{self, Limit};
use crate::summary::{Figure, Summary, microseconds};
use crate::verdict::Row;

/// Where it was measured, and how.
pub(crate) struct Circumstances {
    pub(crate) date: String,
    pub(crate) command: String,
    pub(crate) machine: String,
    pub(crate) load: (String, String),
    pub(crate) versions: Vec<(Participant, String)>,
    pub(crate) skipped: Vec<String>,
    pub(crate) token_bytes: usize,
    /// What the two load generators measured of the same server, if there are two.
    pub(crate) cross_check: String,
}

/// The whole report, in Markdown.
pub(crate) fn markdown(
    options: &Options,
    circumstances: &Circumstances,
    rows: &[Row],
    cases: &[Case],
    summary: &Summary<'_>,
) -> String {
    let mut text = String::new();
    introduction(&mut text, options, circumstances, summary);
    goals(&mut text, options, summary);
    for mode in &options.modes {
        let title = match mode {
            Mode::Hot => "Hot tokens",
            Mode::Distinct => "A distinct token in each request",
        };
        let _ = writeln!(text, "\n## {title}");
        for protocol in &options.protocols {
            let of = |case: &&Case| case.mode == *mode && case.protocol == *protocol;
            let closed: Vec<_> = cases
                .iter()
                .filter(of)
                .filter(|it| it.rate.is_none())
                .collect();
            results(&mut text, protocol.name(), &closed, summary);
        }
    }
    for case in cases.iter().filter(|case| case.rate.is_some()) {
        let rate = case.rate.unwrap_or_default();
        let _ = writeln!(
            text,
            "\n## The same load for all: {rate} requests/s, hot tokens"
        );
        let _ = writeln!(
            text,
            "\nRequests have appointed times; one that was late because the answer before it was \
             counts from its own time on."
        );
        results(&mut text, case.protocol.name(), &[case], summary);
    }
    equal(&mut text, rows);
    text
}

fn introduction(
    text: &mut String,
    options: &Options,
    circumstances: &Circumstances,
    summary: &Summary<'_>,
) {
    let Circumstances {
        date,
        command,
        machine,
        load: (before, after),
        versions,
        skipped,
        token_bytes,
        cross_check,
    } = circumstances;
    let _ = writeln!(
        text,
        "# Gateways side by side\n\n\
         Written by `benches/peers` on {date}; do not edit.\n\n\
         ```sh\n{command}\n```\n\n\
         {machine}. Load average {before} before and {after} after.\n"
    );
    for (participant, version) in versions {
        let _ = writeln!(text, "* {}: {version}", participant.name());
    }
    for reason in skipped {
        let _ = writeln!(text, "* Skipped: {reason}");
    }
    let (rounds, seconds) = (options.rounds, options.seconds);
    let (hot, subjects) = (options.hot, Limit::MEASURED.requests);
    let missing = match summary.logged(Participant::Haproxy) {
        (_, 0) => String::new(),
        (answered, missing) => format!(
            ", but for {missing} of {answered} that HAProxy lost: of two threads that log at once, \
             one gives its line up ([by design](https://github.com/haproxy/haproxy/issues/1861))"
        ),
    };
    let _ = writeln!(
        text,
        "\n![Requests per second, and processor time that is added]({PAGE}.svg)\n\n\
         The same service (axum and tonic on hyper) stands bare, behind the `bartizan-mtls` listener \
         alone, inside the whole stack (`MtlsListener`, `AuditLayer` with its ledger, `MtlsLayer`, \
         `JwtLayer`, `RateLimitLayer` by subject, `AuthzLayer`), and bare behind each proxy. The \
         policy is the same: a client certificate of one authority, a token by RS256 with issuer, \
         audience and expiry, a limit for each subject ({subjects} a second here, so that it is \
         counted and not reached), and one SPIFFE ID and scope for one route. It is checked first \
         ([below](#the-same-policy)), and nothing is measured unless all agree.\n\n\
         * **Two cores** are shared by the load generator, the participant and the service behind \
         it. Requests per second say what such a machine does altogether; processor time per \
         request says what a participant costs.\n\
         * TLS 1.3 with `TLS_AES_128_GCM_SHA256`, X25519 and P-256 certificates everywhere; \
         connections are kept; each connection has one request under way. Two worker threads for \
         each server.\n\
         * Proxies reach the service over plaintext on loopback, HTTP/1.1 (gRPC: HTTP/2) on \
         connections that are kept. That spares them the second TLS that a mesh would do.\n\
         * Each writes one record a request with the same facts to a file, and afterwards as many \
         records as answers are counted there{missing}. HAProxy writes lines of JSON itself, without a \
         syslog server; Envoy buffers its lines; Bartizan's ledger is also synced, hashed and \
         signed.\n\
         * Hot: {hot} tokens in turn. Bartizan remembers tokens by default, Envoy by \
         `jwt_cache_config`; HAProxy cannot, and verifies each. Distinct: tokens that were signed \
         in advance, each of which is sent once. Tokens have {token_bytes} bytes.\n\
         * Each measurement begins with new processes, warmed up, and lasts {seconds} s; all are \
         taken in turns, {rounds} rounds. Figures are medians of the rounds, with the least and \
         the most in brackets where they matter, and comparisons are made within each round.\n\
         * Processor time is that of the kernel's scheduler for all threads of the processes, \
         *added* is beyond the bare service in plaintext in the same round. Memory is resident, \
         after the load.\n\
         * The load generator is part of the bench, since no tool at hand sends another header with \
         each request: HTTP/1.1 by hand, HTTP/2 by hyper, both on rustls, the same for all. \
         {cross_check}"
    );
}

/// One goal, and what there is to hold against it.
struct Goal {
    what: &'static str,
    least: f64,
    figure: Option<Figure>,
}

fn goals(text: &mut String, options: &Options, summary: &Summary<'_>) {
    let connections = options.connections.iter().max().copied().unwrap_or(1);
    let case = |mode| Case {
        mode,
        protocol: Protocol::Http1,
        connections,
        rate: None,
    };
    let (ours, haproxy, envoy) = (
        Participant::Bartizan,
        Participant::Haproxy,
        Participant::Envoy,
    );
    let faster = |mode, other| {
        summary.between(case(mode), (ours, other), |mine, theirs| {
            mine.per_second / theirs.per_second
        })
    };
    let cheaper = |other| summary.times_added(case(Mode::Hot), ours, other);
    let goals = [
        Goal {
            what: "hot tokens, requests/s, in relation to Envoy with its cache",
            least: 5.0,
            figure: faster(Mode::Hot, envoy),
        },
        Goal {
            what: "hot tokens, requests/s, in relation to HAProxy, which has no cache",
            least: 3.0,
            figure: faster(Mode::Hot, haproxy),
        },
        Goal {
            what: "distinct tokens, requests/s, in relation to Envoy",
            least: 2.5,
            figure: faster(Mode::Distinct, envoy),
        },
        Goal {
            what: "distinct tokens, requests/s, in relation to HAProxy",
            least: 1.2,
            figure: faster(Mode::Distinct, haproxy),
        },
        Goal {
            what: "hot tokens, added processor time: Envoy's in relation to ours",
            least: 20.0,
            figure: cheaper(envoy),
        },
        Goal {
            what: "hot tokens, added processor time: HAProxy's in relation to ours",
            least: 10.0,
            figure: cheaper(haproxy),
        },
    ];
    let _ = writeln!(
        text,
        "\n## Goals\n\nHTTP/1.1, {connections} connections.\n\n\
         | | measured | goal |\n|---|---:|---:|"
    );
    for Goal {
        what,
        least,
        figure,
    } in goals
    {
        let Some(it) = figure else {
            continue;
        };
        let missed = if it.median < least {
            ", **missed**"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "| {what} | {:.1} ({:.1} to {:.1}) | {least}{missed} |",
            it.median, it.least, it.most
        );
    }
}

fn results(text: &mut String, title: &str, cases: &[&Case], summary: &Summary<'_>) {
    let Some(last) = cases.last() else {
        return;
    };
    let mut head = format!("\n| {title} |");
    let mut line = "|---|".to_owned();
    for case in cases {
        let plural = if case.connections == 1 { "" } else { "s" };
        let _ = write!(
            head,
            " {} connection{plural}: requests/s | p50 µs | p99 µs | CPU µs | added |",
            case.connections
        );
        line.push_str("---:|---:|---:|---:|---:|");
    }
    let _ = writeln!(text, "{head} memory MB |\n{line}---:|");
    for participant in Participant::ALL {
        if !cases.iter().any(|case| summary.has(**case, participant)) {
            continue;
        }
        let mut row = format!("| {} |", participant.name());
        for case in cases {
            let of = |figure: &dyn Fn(&crate::measure::Sample) -> f64| {
                summary.of(**case, participant, figure)
            };
            let whole = |figure: Option<Figure>| {
                figure.map_or(String::new(), |it| format!("{:.0}", it.median))
            };
            let per_second = of(&|it| it.per_second).map_or(String::new(), |it| {
                format!("{:.0} ({:.0} to {:.0})", it.median, it.least, it.most)
            });
            let fine = |figure: Option<Figure>| {
                figure.map_or(String::new(), |it| format!("{:.1}", it.median))
            };
            let _ = write!(
                row,
                " {per_second} | {} | {} | {} | {} |",
                whole(of(&|it| microseconds(it.p50))),
                whole(of(&|it| microseconds(it.p99))),
                fine(of(&|it| microseconds(it.whole))),
                match participant {
                    Participant::Bare => String::new(),
                    _ => fine(summary.added(**case, participant)),
                },
            );
        }
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let own = summary.of(**last, participant, |it| megabytes(it.resident.0));
        let behind = summary.of(**last, participant, |it| megabytes(it.resident.1));
        let memory = match (own, behind) {
            (Some(own), Some(behind)) if participant.is_proxy() => {
                format!("{:.0} and {:.0} behind", own.median, behind.median)
            }
            (Some(own), _) => format!("{:.0}", own.median),
            _ => String::new(),
        };
        let _ = writeln!(text, "{row} {memory} |");
    }
}

fn equal(text: &mut String, rows: &[Row]) {
    let limit = Limit::CHECKED;
    let _ = writeln!(
        text,
        "\n## The same policy\n\n\
         Each request was put to each participant, on a new connection, with a limit of {} requests \
         in {} s. All came to the same verdict; how a refusal is called differs, and stands here. \
         `grpc` is the status in trailers; a gRPC client takes HTTP's 401, 403 and 429 for \
         `UNAUTHENTICATED`, `PERMISSION_DENIED` and `UNAVAILABLE`. A token is taken for {} s after \
         its expiry.",
        limit.requests,
        limit.seconds,
        policy::LEEWAY,
    );
    let Some(first) = rows.first() else {
        return;
    };
    let names: Vec<_> = first.seen.iter().map(|(it, _)| it.name()).collect();
    let _ = writeln!(
        text,
        "\n| protocol | request | verdict of all | {} |\n|---|---|---|{}",
        names.join(" | "),
        "---|".repeat(names.len()),
    );
    for row in rows {
        let seen: Vec<_> = row.seen.iter().map(|(_, seen)| seen.text()).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            row.protocol.name(),
            row.name,
            row.expected.name(),
            seen.join(" | "),
        );
    }
}
