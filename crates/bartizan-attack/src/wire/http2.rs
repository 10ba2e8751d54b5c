//! HTTP/2 (RFC 9113), one stream to a connection, right or wrong as it is told.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{Stream, hpack};
use crate::answer::{Answer, Exchange};
use crate::draft::Field;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How long to wait for anything behind frames that may not be a whole request.
const QUIET: Duration = Duration::from_secs(1);
/// The longest piece of data in one frame that every peer takes (RFC 9113 §4.2).
const PIECE: usize = 16_384;
/// How much may be sent before the other side says more (RFC 9113 §6.9.2). What goes beyond is not
/// sent: whoever wants to refuse has enough.
const WINDOW: usize = 65_535;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default();
    let [_, high, middle, low] = length.to_be_bytes();
    let mut bytes = vec![high, middle, low, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The head of a request on stream 1, with or without an end behind it.
pub(crate) fn headers_frame(fields: &[Field], ends: bool) -> Vec<u8> {
    let block = hpack::encode(fields);
    let mut pieces = block.chunks(PIECE).peekable();
    let mut bytes = Vec::new();
    let (mut kind, end) = (HEADERS, if ends { END_STREAM } else { 0 });
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        let flags = if kind == HEADERS { last | end } else { last };
        bytes.extend(frame(kind, flags, 1, piece));
        kind = CONTINUATION;
    }
    bytes
}

/// Sends one request, and reads its answer.
pub(super) async fn exchange(
    stream: &mut impl Stream,
    fields: &[Field],
    body: &[u8],
    trailers: &[Field],
) -> io::Result<Exchange> {
    let mut bytes = headers_frame(fields, body.is_empty() && trailers.is_empty());
    let body = body.get(..WINDOW).unwrap_or(body);
    let mut pieces = body.chunks(PIECE).peekable();
    while let Some(piece) = pieces.next() {
        let ends = pieces.peek().is_none() && trailers.is_empty();
        bytes.extend(frame(DATA, u8::from(ends), 1, piece));
    }
    if !trailers.is_empty() {
        bytes.extend(headers_frame(trailers, true));
    }
    answer(stream, &bytes, None).await
}

/// Sends frames as they stand, and reads what is answered on stream 1.
pub(super) async fn exchange_frames(
    stream: &mut impl Stream,
    frames: &[u8],
) -> io::Result<Exchange> {
    answer(stream, frames, Some(QUIET)).await
}

async fn answer(
    stream: &mut impl Stream,
    frames: &[u8],
    quiet: Option<Duration>,
) -> io::Result<Exchange> {
    // No dynamic table, no push, and room for any answer.
    let settings = [
        0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4, 0x3f, 0xff, 0xff, 0xff,
    ];
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &settings));
    bytes.extend_from_slice(frames);
    // A server that hangs up while we write may have said why.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.flush().await;

    let mut reader = Reader::default();
    loop {
        let read = next(stream);
        let read = match quiet {
            Some(quiet) => timeout(quiet, read).await,
            None => Ok(read.await),
        };
        let (kind, flags, id, payload) = match read {
            Ok(Ok(frame)) => frame,
            Ok(Err(error)) => return Ok(reader.ended(&error.to_string())),
            Err(_) => return Ok(reader.quiet()),
        };
        match kind {
            SETTINGS if flags & 1 == 0 => {
                let _ = stream.write_all(&frame(SETTINGS, 1, 0, &[])).await;
                let _ = stream.flush().await;
            }
            PING if flags & 1 == 0 => {
                let _ = stream.write_all(&frame(PING, 1, 0, &payload)).await;
                let _ = stream.flush().await;
            }
            // Without an error, answers to what was asked before are still to come.
            GOAWAY if payload.get(4..8) != Some(&[0; 4]) => {
                return Ok(reader.ended(&format!("GOAWAY {payload:?}")));
            }
            RST_STREAM if id == 1 => {
                return Ok(reader.ended(&format!("RST_STREAM {payload:?}")));
            }
            DATA | HEADERS | CONTINUATION if id == 1 && reader.take(kind, flags, &payload) => {
                return Ok(reader.ended("the stream ended without an answer"));
            }
            _ => {}
        }
    }
}

async fn next(stream: &mut impl Stream) -> io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [high, middle, low, kind, flags, id @ ..] = head;
    let length = u32::from_be_bytes([0, high, middle, low]);
    let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
    stream.read_exact(&mut payload).await?;
    Ok((kind, flags, u32::from_be_bytes(id), payload))
}

/// What has come on the stream so far.
#[derive(Default)]
struct Reader {
    block: Vec<u8>,
    answer: Option<Answer>,
    ends: bool,
}

impl Reader {
    /// Takes a frame; `true` if it was the last.
    fn take(&mut self, kind: u8, flags: u8, payload: &[u8]) -> bool {
        self.ends |= kind != CONTINUATION && flags & END_STREAM != 0;
        if kind == DATA {
            if let Some(answer) = &mut self.answer {
                answer.keep(payload);
            }
            return self.ends;
        }
        self.block.extend_from_slice(payload);
        if flags & END_HEADERS == 0 {
            return false;
        }
        for (name, value) in hpack::decode(&std::mem::take(&mut self.block)) {
            if name == b":status" {
                let status = std::str::from_utf8(&value).ok();
                let status = status.and_then(|it| it.parse().ok()).unwrap_or_default();
                self.answer = Some(Answer::new(status));
            } else if let Some(answer) = &mut self.answer {
                answer.note(&name, &value);
            }
        }
        // What only says that there will be an answer is none.
        if self.answer.as_ref().is_some_and(|it| it.status < 200) {
            self.answer = None;
        }
        self.ends
    }

    fn ended(self, why: &str) -> Exchange {
        match self.answer {
            Some(answer) => Exchange::Answered(vec![answer]),
            None => Exchange::Closed(why.to_owned()),
        }
    }

    fn quiet(self) -> Exchange {
        match self.answer {
            Some(answer) => Exchange::Answered(vec![answer]),
            None => Exchange::Silent,
        }
    }
}
