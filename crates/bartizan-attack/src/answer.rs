//! What a service says, and what that means.

use std::fmt;

/// How much of an answer is kept, so that it can be looked through.
pub(crate) const KEPT: usize = 64 * 1024;

/// One response, as far as it matters here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The status of HTTP.
    pub(crate) status: u16,
    /// That of gRPC, from the head or the trailers.
    pub(crate) grpc: Option<u16>,
    /// Whether it says when to try again.
    pub(crate) retry_after: Option<u64>,
    /// Head and body, the first [`KEPT`] bytes.
    pub(crate) text: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// Notes a field of the head or of the trailers.
    pub(crate) fn note(&mut self, name: &[u8], value: &[u8]) {
        let number = || std::str::from_utf8(value).ok()?.trim().parse().ok();
        if name.eq_ignore_ascii_case(b"grpc-status") {
            self.grpc = number().and_then(|it| u16::try_from(it).ok());
        } else if name.eq_ignore_ascii_case(b"retry-after") {
            self.retry_after = Some(number().unwrap_or(1));
        }
        self.keep(name);
        self.keep(b": ");
        self.keep(value);
        self.keep(b"\n");
    }

    /// Keeps a piece of the body.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.text.len());
        self.text.extend(bytes.iter().take(room));
    }

    /// Whether it says that it cannot tell at present.
    pub(crate) fn is_undecided(&self) -> bool {
        let unavailable = self.status == 503 || self.grpc == Some(14);
        unavailable && self.retry_after.is_some()
    }

    pub(crate) fn contains(&self, marker: &[u8]) -> bool {
        let mut windows = self.text.windows(marker.len().max(1));
        windows.any(|window| window == marker)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.grpc {
            Some(grpc) => write!(f, "{}, grpc-status {grpc}", self.status),
            None => write!(f, "{}", self.status),
        }
    }
}

/// What became of one shot.
#[derive(Clone, Debug)]
pub(crate) enum Exchange {
    /// Responses, mostly one.
    Answered(Vec<Answer>),
    /// The connection ended without a response: this is why.
    Closed(String),
    /// The service panicked, or failed as a service.
    Failed(String),
    /// Nothing came within the time that was given.
    Silent,
    /// It cannot be sent over what there is: this is missing.
    Unsendable(&'static str),
}

/// What an exchange amounts to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// The service did what was asked.
    Accepted,
    /// The service failed.
    Broke,
    /// Too many requests, so that nothing is known.
    Limited,
    /// The service refused, in words or by hanging up.
    Refused,
    /// The service says nothing.
    Silent,
}

/// What counts as accepted and as failed, for one service and one attack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// Statuses that mean success besides 2xx.
    pub(crate) accepted: Vec<u16>,
    /// Codes of gRPC that an attack may be answered with, though they are those of a failure.
    pub(crate) excused_grpc: Vec<u16>,
}

impl Reading {
    pub(crate) fn of(&self, exchange: &Exchange) -> Meaning {
        let Exchange::Answered(answers) = exchange else {
            return match exchange {
                Exchange::Failed(_) => Meaning::Broke,
                Exchange::Silent => Meaning::Silent,
                _ => Meaning::Refused,
            };
        };
        let meanings: Vec<Meaning> = answers.iter().map(|it| self.of_answer(it)).collect();
        let worst = [Meaning::Broke, Meaning::Accepted, Meaning::Limited];
        let mut worst = worst.into_iter();
        worst
            .find(|it| meanings.contains(it))
            .unwrap_or(Meaning::Refused)
    }

    pub(crate) fn of_answer(&self, answer: &Answer) -> Meaning {
        let expected = self.accepted.contains(&answer.status);
        match (answer.status, answer.grpc) {
            (429, _) => Meaning::Limited,
            (_, Some(8)) if answer.retry_after.is_some() => Meaning::Limited,
            (200, Some(code)) if self.excused_grpc.contains(&code) => Meaning::Refused,
            // Not now, and when: who cannot check a credential lets nobody in (RFC 9110 §15.6.4).
            _ if answer.is_undecided() => Meaning::Refused,
            // Unknown, internal, unavailable, data loss: what a server says of itself.
            (200, Some(2 | 13 | 14 | 15)) => Meaning::Broke,
            (200, Some(1..)) => Meaning::Refused,
            _ if expected => Meaning::Accepted,
            (101 | 200..=299, _) => Meaning::Accepted,
            // Not supported: a refusal by name (RFC 9110 §15.6.2 and §15.6.6).
            (501 | 505, _) => Meaning::Refused,
            (500.., _) => Meaning::Broke,
            _ => Meaning::Refused,
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(answers) => {
                let answers: Vec<String> = answers.iter().map(Answer::to_string).collect();
                f.write_str(&answers.join(" and "))
            }
            Self::Closed(why) => write!(f, "no answer: {why}"),
            Self::Failed(why) => write!(f, "the service failed: {why}"),
            Self::Silent => f.write_str("no answer in time"),
            Self::Unsendable(need) => write!(f, "not sent: needs {need}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_status_and_by_that_of_grpc() {
        let check = |status, grpc, retry_after, expected| {
            let answer = Answer {
                grpc,
                retry_after,
                ..Answer::new(status)
            };
            let reading = Reading {
                accepted: vec![404],
                excused_grpc: vec![13],
            };
            let meaning = reading.of(&Exchange::Answered(vec![answer]));
            assert_eq!(meaning, expected, "{status} {grpc:?}");
        };
        check(200, None, None, Meaning::Accepted);
        check(101, None, None, Meaning::Accepted);
        check(404, None, None, Meaning::Accepted);
        check(200, Some(0), None, Meaning::Accepted);
        check(302, None, None, Meaning::Refused);
        check(401, None, None, Meaning::Refused);
        check(200, Some(16), None, Meaning::Refused);
        check(200, Some(8), None, Meaning::Refused);
        check(200, Some(13), None, Meaning::Refused);
        check(501, None, None, Meaning::Refused);
        check(429, None, None, Meaning::Limited);
        check(200, Some(8), Some(1), Meaning::Limited);
        check(500, None, None, Meaning::Broke);
        check(503, None, None, Meaning::Broke);
        check(503, None, Some(30), Meaning::Refused);
        check(200, Some(14), None, Meaning::Broke);
        check(200, Some(14), Some(30), Meaning::Refused);
        check(200, Some(2), None, Meaning::Broke);
    }

    #[test]
    fn the_worst_of_several_answers_counts() {
        let reading = Reading::default();
        let of = |statuses: &[u16]| {
            let answers = statuses.iter().map(|it| Answer::new(*it)).collect();
            reading.of(&Exchange::Answered(answers))
        };
        assert_eq!(of(&[400, 200]), Meaning::Accepted);
        assert_eq!(of(&[200, 500]), Meaning::Broke);
        assert_eq!(of(&[400, 404]), Meaning::Refused);
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let mut answer = Answer::new(200);
        answer.note(b"X", b"needle");
        answer.keep(&vec![b'a'; 2 * KEPT]);
        assert!(answer.contains(b"needle"));
        assert_eq!(answer.text.len(), KEPT);
    }
}
