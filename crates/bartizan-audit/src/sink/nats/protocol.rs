//! What a server says, as the [client protocol] has it.
//!
//! [client protocol]: https://docs.nats.io/reference/reference-protocols/nats-protocol

use serde::Deserialize;

use crate::sink::error::{SinkError, SinkErrorKind};

/// The longest line of a server. `INFO` lists the servers of a cluster.
pub(super) const LONGEST_LINE: usize = 64 * 1024;

/// The longest message: an acknowledgement has some hundred bytes.
pub(super) const LONGEST_MESSAGE: usize = 64 * 1024;

/// One line of a server.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Line<'l> {
    Error(&'l str),
    Info(&'l str),
    /// A message follows, of so many bytes, of which the first are headers.
    Message {
        subject: &'l str,
        headers: usize,
        length: usize,
    },
    Okay,
    Ping,
    Pong,
}

impl<'l> Line<'l> {
    /// Reads a line without its end. `None` if it is none of a server.
    pub(crate) fn parse(line: &'l str) -> Option<Self> {
        let (operation, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        // The protocol does not care for case.
        Some(match operation.to_ascii_uppercase().as_str() {
            "+OK" => Self::Okay,
            "-ERR" => Self::Error(rest.trim().trim_matches('\'')),
            "HMSG" => Self::message(rest, true)?,
            "INFO" => Self::Info(rest),
            "MSG" => Self::message(rest, false)?,
            "PING" => Self::Ping,
            "PONG" => Self::Pong,
            _ => return None,
        })
    }

    /// `subject sid [reply-to] [header bytes] total bytes`
    fn message(rest: &'l str, has_headers: bool) -> Option<Self> {
        let fields: Vec<&str> = rest.split_ascii_whitespace().take(6).collect();
        let numbers = if has_headers { 2 } else { 1 };
        let (names, numbers) = fields.split_at_checked(fields.len().checked_sub(numbers)?)?;
        if !(2..=3).contains(&names.len()) {
            return None;
        }
        let length = numbers.last()?.parse().ok()?;
        let headers = match numbers {
            [headers, _] => headers.parse().ok()?,
            _ => 0,
        };
        let is_fit = headers <= length && length <= LONGEST_MESSAGE;
        is_fit.then_some(Self::Message {
            subject: names.first()?,
            headers,
            length,
        })
    }
}

/// What a server says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) headers: bool,
    pub(super) max_payload: usize,
    pub(super) tls_required: bool,
    pub(super) tls_available: bool,
}

/// What a stream says to a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Acknowledgement {
    stream: String,
    error: Option<Refusal>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: u16,
    err_code: u32,
    description: String,
}

/// Whether a stream has a message, by what came in answer to it.
pub(crate) fn acknowledged(message: &[u8], headers: usize) -> Result<(), SinkError> {
    let (headers, payload) = message.split_at_checked(headers).unwrap_or((message, &[]));
    // The server itself answers where nobody else does.
    if headers.starts_with(b"NATS/1.0 503") {
        let nobody = "no stream takes the subject, or it has no leader at present";
        return Err(SinkError::new(SinkErrorKind::Unavailable, nobody));
    }
    let unreadable = || SinkError::new(SinkErrorKind::Unavailable, "no acknowledgement came back");
    let answer: Acknowledgement = serde_json::from_slice(payload).map_err(|_| unreadable())?;
    match answer.error {
        None if answer.stream.is_empty() => Err(unreadable()),
        None => Ok(()),
        Some(refusal) => {
            let kind = match refusal.code {
                // Resources, a leader that changes.
                500.. => SinkErrorKind::Unavailable,
                _ => SinkErrorKind::Refused,
            };
            let text = format!("{}: {}", refusal.err_code, refusal.description);
            Err(SinkError::new(kind, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_servers_are_read() {
        fn check(line: &str, expected: Option<Line<'_>>) {
            assert_eq!(Line::parse(line), expected, "{line}");
        }
        let message = |headers, length| Line::Message {
            subject: "_INBOX.x.7",
            headers,
            length,
        };
        check("PING", Some(Line::Ping));
        check("pong", Some(Line::Pong));
        check("+OK", Some(Line::Okay));
        check("INFO {\"a\":1}", Some(Line::Info("{\"a\":1}")));
        let error = "Authorization Violation";
        check("-ERR 'Authorization Violation'", Some(Line::Error(error)));
        check("MSG _INBOX.x.7 1 30", Some(message(0, 30)));
        check("MSG _INBOX.x.7 1 reply 30", Some(message(0, 30)));
        check("HMSG _INBOX.x.7 1 16 16", Some(message(16, 16)));
        check("HMSG _INBOX.x.7 1 reply 16 20", Some(message(16, 20)));
        for line in [
            "",
            "HELLO",
            "MSG",
            "MSG a",
            "MSG a 1",
            "MSG a 1 -1",
            "MSG a 1 b c 3",
            "HMSG a 1 20 16",
            "MSG a 1 99999999999999999999",
            "MSG a 1 65537",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn what_a_stream_has_is_told_from_what_it_has_not() {
        use SinkErrorKind::{Refused, Unavailable};

        fn check(message: &str, headers: usize, expected: Result<(), SinkErrorKind>) {
            let found = acknowledged(message.as_bytes(), headers);
            assert_eq!(found.map_err(|error| error.kind()), expected, "{message}");
        }
        check(r#"{"stream":"AUDIT","seq":7}"#, 0, Ok(()));
        check(r#"{"stream":"AUDIT","seq":7,"duplicate":true}"#, 0, Ok(()));
        check("NATS/1.0 503\r\n\r\n", 16, Err(Unavailable));
        let wrong = r#"{"error":{"code":400,"err_code":10060,"description":"expected stream"}}"#;
        check(wrong, 0, Err(Refused));
        let full = r#"{"error":{"code":503,"err_code":10023,"description":"resources"}}"#;
        check(full, 0, Err(Unavailable));
        for nonsense in ["", "{}", "[]", "null", "{\"stream\":1}", "\u{1}"] {
            check(nonsense, 0, Err(Unavailable));
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_says_panics(line: String, message: Vec<u8>, headers: usize) {
            let _ = Line::parse(&line);
            let _ = acknowledged(&message, headers);
        }
    }
}
