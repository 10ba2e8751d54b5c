//! What a client sees of one request.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::Host;

/// gRPC leaves the padding of binary metadata to the sender.
const BINARY_METADATA: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client sees of one request, in the same shape for every host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// Where the request was sent.
    pub host: Host,
    /// The HTTP status; 200 for every gRPC answer.
    pub http_status: StatusCode,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// The trailers of the response, if its body had some.
    pub trailers: Option<HeaderMap>,
    /// The gRPC status, from the trailers, or from the headers of a trailers-only response.
    pub grpc_status: Option<i32>,
    /// The gRPC message, with its percent-encoding undone.
    pub grpc_message: Option<String>,
    /// The body; for gRPC the messages one after the other, without their frames.
    pub body: Bytes,
    /// What broke the body off, if something did.
    pub body_error: Option<String>,
    /// Whether the body was at its end before it was first read, as that of a trailers-only
    /// response must be, so that the host ends the stream with the headers. `None` behind a
    /// socket, where it cannot be seen.
    pub ended_with_headers: Option<bool>,
}

impl Answer {
    pub(super) async fn read<B>(host: Host, response: Response<B>, through_socket: bool) -> Self
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (parts, body) = response.into_parts();
        let ended_with_headers = (!through_socket).then(|| body.is_end_stream());
        let mut body = std::pin::pin!(body);
        let (mut bytes, mut trailers, mut body_error) = (Vec::new(), None, None);
        while let Some(frame) = body.frame().await {
            match frame.map_err(Into::into) {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => bytes.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
                Err(error) => {
                    body_error = Some(error.to_string());
                    break;
                }
            }
        }
        let mut bytes = Bytes::from(bytes);
        if host.is_grpc() {
            bytes = without_frames(bytes);
        }
        let metadata = trailers.as_ref().filter(|t| t.contains_key("grpc-status"));
        let metadata = metadata.unwrap_or(&parts.headers);
        let text = |name| metadata.get(name).and_then(|value| value.to_str().ok());
        Self {
            host,
            grpc_status: text("grpc-status").and_then(|status| status.parse().ok()),
            grpc_message: text("grpc-message").map(percent_decoded),
            http_status: parts.status,
            headers: parts.headers,
            trailers,
            body: bytes,
            body_error,
            ended_with_headers,
        }
    }

    /// Whether the request was answered by the echo: a 2xx for HTTP, status 0 for gRPC, and a
    /// whole body.
    pub fn is_success(&self) -> bool {
        let answered = match self.host.is_grpc() {
            true => self.http_status == StatusCode::OK && self.grpc_status == Some(0),
            false => self.http_status.is_success(),
        };
        answered && self.body_error.is_none()
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The stable code of a refusal: member `code` of the problem details, or of the
    /// `google.rpc.ErrorInfo` in the gRPC status details.
    pub fn code(&self) -> Option<String> {
        if !self.host.is_grpc() {
            return self.json().get("code")?.as_str().map(str::to_owned);
        }
        const NAME: &str = "grpc-status-details-bin";
        let in_trailers = self
            .trailers
            .as_ref()
            .and_then(|trailers| trailers.get(NAME));
        let value = in_trailers.or_else(|| self.headers.get(NAME))?;
        code_of_details(&BINARY_METADATA.decode(value.as_bytes()).ok()?)
    }

    /// The value of a header of the response, or of its trailers, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let in_trailers = self
            .trailers
            .as_ref()
            .and_then(|trailers| trailers.get(name));
        self.headers.get(name).or(in_trailers)?.to_str().ok()
    }
}

fn without_frames(mut framed: Bytes) -> Bytes {
    let mut messages = Vec::new();
    while framed.remaining() >= 5 {
        framed.advance(1);
        let length = usize::try_from(framed.get_u32()).unwrap_or(usize::MAX);
        messages.extend_from_slice(&framed.split_to(length.min(framed.len())));
    }
    Bytes::from(messages)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let byte = match (first, tail.split_at_checked(2)) {
            (b'%', Some((digits, after))) => std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = byte.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Walks `google.rpc.Status.details` (3) → `Any.value` (2) → `ErrorInfo.metadata` (3) → the entry
/// whose key (1) is `code`, and takes its value (2).
fn code_of_details(status: &[u8]) -> Option<String> {
    let infos = fields(status, 3)
        .filter(|any| fields(any, 1).any(|url| url == b"type.googleapis.com/google.rpc.ErrorInfo"));
    infos
        .flat_map(|any| fields(any, 2))
        .flat_map(|info| fields(info, 3))
        .filter(|entry| fields(entry, 1).any(|key| key == b"code"))
        .flat_map(|entry| fields(entry, 2))
        .find_map(|value| String::from_utf8(value.to_vec()).ok())
}

/// The length-delimited fields with this number, of a protobuf message. Ends at the first byte
/// that makes no sense.
fn fields(mut message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let tag = varint(&mut message)?;
            match tag & 7 {
                0 => {
                    varint(&mut message)?;
                }
                2 => {
                    let length = usize::try_from(varint(&mut message)?).ok()?;
                    let (value, rest) = message.split_at_checked(length)?;
                    message = rest;
                    if tag >> 3 == number {
                        return Some(value);
                    }
                }
                _ => return None,
            }
        }
    })
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_leaves_what_is_not_encoded() {
        let check = |text, expected: &str| assert_eq!(percent_decoded(text), expected, "{text}");
        check("plain words", "plain words");
        check("100%25", "100%");
        check("s%C3%BC%C3%9F", "süß");
        check("%", "%");
        check("%4", "%4");
        check("%zz", "%zz");
    }

    #[test]
    fn the_frames_of_messages_are_taken_off() {
        let framed = Bytes::from_static(b"\0\0\0\0\x02ab\0\0\0\0\x01c");
        assert_eq!(without_frames(framed), "abc");
        let cut_short = Bytes::from_static(b"\0\0\0\0\x09ab");
        assert_eq!(without_frames(cut_short), "ab");
    }

    #[test]
    fn status_details_that_make_no_sense_have_no_code() {
        let check = |details: &[u8]| assert_eq!(code_of_details(details), None, "{details:?}");
        check(b"");
        check(&[0x1a]);
        check(&[
            0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ]);
        check(&[0x1a, 0x03, 0x0a, 0x01]);
        check(&[0x1d, 1, 2, 3, 4]);
    }
}
