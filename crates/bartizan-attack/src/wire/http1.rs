//! HTTP/1.1, as far as answers have to be told apart.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Stream;
use crate::answer::{Answer, Exchange};

/// How long to wait for a first answer to bytes that may not be a whole request.
const FIRST: Duration = Duration::from_secs(2);
/// How long to wait for another answer behind the first.
const NEXT: Duration = Duration::from_millis(100);
/// Answers beyond this are not read.
const LARGEST: usize = 4 * 1024 * 1024;

/// Writes bytes and reads what comes back: with `raw` every answer until there is quiet, otherwise
/// one, for as long as it takes.
pub(super) async fn exchange(
    stream: &mut impl Stream,
    bytes: &[u8],
    raw: bool,
) -> io::Result<Exchange> {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut seen = Vec::new();
    let reading = async {
        let mut piece = vec![0; 16 * 1024];
        loop {
            let wait = match (raw, parse(&seen, false).is_empty()) {
                (true, true) => FIRST,
                (true, false) => NEXT,
                (false, _) => Duration::MAX,
            };
            let count = match timeout(wait, read.read(&mut piece)).await {
                Ok(Ok(0)) => return Ok(true),
                Ok(Ok(count)) => count,
                Ok(Err(error)) => return Err(error),
                Err(_) => return Ok(false),
            };
            seen.extend_from_slice(piece.get(..count).unwrap_or_default());
            if seen.len() > LARGEST || !raw && !parse(&seen, false).is_empty() {
                return Ok(false);
            }
        }
    };
    let writing = async {
        // Whoever refuses in the middle of a body is not listening any more.
        let _ = write.write_all(bytes).await;
        let _ = write.flush().await;
        std::future::pending::<()>().await;
    };
    let ended = select(reading, writing).await;
    let answers = parse(&seen, !matches!(ended, Ok(false)));
    match (answers.is_empty(), ended) {
        (false, _) => Ok(Exchange::Answered(answers)),
        (true, Err(error)) => Err(error),
        (true, Ok(true)) => Ok(Exchange::Closed("the connection was closed".to_owned())),
        (true, Ok(false)) => Ok(Exchange::Silent),
    }
}

/// Runs both until the first has ended.
async fn select<T>(first: impl Future<Output = T>, second: impl Future<Output = ()>) -> T {
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    std::future::poll_fn(|cx| {
        let _ = second.as_mut().poll(cx);
        first.as_mut().poll(cx)
    })
    .await
}

/// All whole answers, without those that only say that there will be one. `ended` says that no more
/// bytes are to come.
fn parse(mut bytes: &[u8], ended: bool) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some((answer, used)) = one(bytes, ended) {
        if !(100..200).contains(&answer.status) || answer.status == 101 {
            answers.push(answer);
        }
        bytes = bytes.get(used..).unwrap_or_default();
    }
    answers
}

/// The first answer, and how many bytes it takes.
fn one(bytes: &[u8], ended: bool) -> Option<(Answer, usize)> {
    let head_end = find(bytes, b"\r\n\r\n")? + 4;
    let (head, body) = bytes.split_at_checked(head_end)?;
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?;
    let mut answer = Answer::new(status.parse().ok()?);
    let (mut length, mut chunked) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        answer.note(name.as_bytes(), value.as_bytes());
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>().ok();
        }
        chunked |= name.eq_ignore_ascii_case("transfer-encoding");
    }
    let used = if matches!(answer.status, 100..200 | 204 | 304) {
        0
    } else if chunked {
        match chunks(body, &mut answer) {
            Some(used) => used,
            None if ended => body.len(),
            None => return None,
        }
    } else if let Some(length) = length {
        // An answer to HEAD has a length and no body: that is told by the end of the connection.
        match body.get(..length) {
            Some(body) => {
                answer.keep(body);
                length
            }
            None if ended => {
                answer.keep(body);
                body.len()
            }
            None => return None,
        }
    } else if ended {
        answer.keep(body);
        body.len()
    } else {
        return None;
    };
    Some((answer, head_end + used))
}

/// Reads chunks; `None` if they are not whole.
fn chunks(body: &[u8], answer: &mut Answer) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(body.get(at..)?, b"\r\n")?;
        let size = body.get(at..at + line)?;
        let size = std::str::from_utf8(size).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        at = at.checked_add(line)?.checked_add(2)?;
        if size == 0 {
            // Trailers, up to an empty line.
            loop {
                let line = find(body.get(at..)?, b"\r\n")?;
                let text = String::from_utf8_lossy(body.get(at..at + line)?).into_owned();
                at += line + 2;
                match text.split_once(':') {
                    Some((name, value)) => answer.note(name.as_bytes(), value.trim().as_bytes()),
                    None => return Some(at),
                }
            }
        }
        let end = at.checked_add(size)?;
        answer.keep(body.get(at..end)?);
        at = end.checked_add(2).filter(|at| *at <= body.len())?;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let check = |text: &str, ended, expected: &[u16]| {
            let found: Vec<u16> = parse(text.as_bytes(), ended)
                .iter()
                .map(|it| it.status)
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
            false,
            &[200],
        );
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na", false, &[]);
        check("HTTP/1.1 200 OK\r\n\r\nab", false, &[]);
        check("HTTP/1.1 200 OK\r\n\r\nab", true, &[200]);
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n",
            false,
            &[401],
        );
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
             HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n",
            false,
            &[200, 400],
        );
        check("HTTP/1.1 204 No\r\n\r\n", false, &[204]);
        check("garbage\r\n\r\n", true, &[]);
    }
}
