//! Refusals as gRPC reads them: `grpc-status`, `grpc-message` and `google.rpc` details.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::HeaderMap;
use http::{HeaderName, HeaderValue};

use super::Rejection;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The domain of the `google.rpc.ErrorInfo` that every refusal carries.
const DOMAIN: &str = "bartizan";

/// Writes the refusal as gRPC trailers.
pub(super) fn write_trailers(rejection: &Rejection, trailers: &mut HeaderMap) {
    trailers.insert(
        GRPC_STATUS,
        HeaderValue::from(u16::from(rejection.kind().grpc_code())),
    );
    trailers.insert(GRPC_MESSAGE, percent_encode(rejection.detail()));
    let details = STANDARD_NO_PAD.encode(status_details(rejection));
    if let Ok(details) = HeaderValue::try_from(details) {
        trailers.insert(GRPC_DETAILS, details);
    }
}

/// Percent-encodes a status message as the gRPC protocol over HTTP/2 demands: everything but
/// the visible ASCII characters other than `%`, and space.
fn percent_encode(message: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                const DIGITS: [char; 16] = [
                    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
                ];
                let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
                encoded.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
    }
    HeaderValue::try_from(encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// `google.rpc.Status` with an `ErrorInfo`, and a `RetryInfo` where a time to retry is known.
///
/// Written by hand: three messages of a frozen schema do not earn every user a protobuf
/// library. A tonic client decodes them in the tests.
fn status_details(rejection: &Rejection) -> Vec<u8> {
    let code = rejection.code().as_str();
    let mut status = Vec::with_capacity(192);
    write_varint_field(&mut status, 1, u64::from(rejection.kind().grpc_code()));
    write_bytes_field(&mut status, 2, rejection.detail().as_bytes());

    // ErrorInfo: reason (1), domain (2), metadata (3). The reason has the form that the message's
    // definition demands, UPPER_SNAKE_CASE; the metadata has the code as it is written elsewhere.
    let mut info = Vec::with_capacity(96);
    let reason: String = code
        .chars()
        .map(|c| {
            if c == '.' {
                '_'
            } else {
                c.to_ascii_uppercase()
            }
        })
        .collect();
    write_bytes_field(&mut info, 1, reason.as_bytes());
    write_bytes_field(&mut info, 2, DOMAIN.as_bytes());
    let mut entry = Vec::with_capacity(40);
    write_bytes_field(&mut entry, 1, b"code");
    write_bytes_field(&mut entry, 2, code.as_bytes());
    write_bytes_field(&mut info, 3, &entry);
    write_any(
        &mut status,
        b"type.googleapis.com/google.rpc.ErrorInfo",
        &info,
    );

    if let Some(wait) = rejection.retry_after() {
        let mut retry = Vec::with_capacity(16);
        write_bytes_field(&mut retry, 1, &duration(wait));
        write_any(
            &mut status,
            b"type.googleapis.com/google.rpc.RetryInfo",
            &retry,
        );
    }
    status
}

/// `google.protobuf.Duration`.
fn duration(span: Duration) -> Vec<u8> {
    // The largest number of seconds that the message may hold: about 10,000 years.
    let seconds = span.as_secs().min(315_576_000_000);
    let mut message = Vec::with_capacity(12);
    write_varint_field(&mut message, 1, seconds);
    write_varint_field(&mut message, 2, u64::from(span.subsec_nanos()));
    message
}

/// `details` (field 3) of a status: one `google.protobuf.Any`.
fn write_any(status: &mut Vec<u8>, type_url: &[u8], value: &[u8]) {
    let mut any = Vec::with_capacity(type_url.len() + value.len() + 8);
    write_bytes_field(&mut any, 1, type_url);
    write_bytes_field(&mut any, 2, value);
    write_bytes_field(status, 3, &any);
}

fn write_varint_field(message: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        message.push(field << 3);
        write_varint(message, value);
    }
}

fn write_bytes_field(message: &mut Vec<u8>, field: u8, value: &[u8]) {
    message.push((field << 3) | 2);
    write_varint(message, value.len() as u64);
    message.extend_from_slice(value);
}

fn write_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encodes_what_the_protocol_demands() {
        for (message, expected) in [
            ("plain words", "plain words"),
            ("100%", "100%25"),
            ("a\r\nb", "a%0D%0Ab"),
            ("süß", "s%C3%BC%C3%9F"),
            ("", ""),
        ] {
            assert_eq!(percent_encode(message), expected);
        }
    }
}
