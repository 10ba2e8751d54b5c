//! Bodies whose length is not what it says: bytes on a socket.

use crate::given::{Given, Made};
use crate::table::table;

table! { Bodies;
    "body.length-not-a-number" "a length that is no number", "RFC 9112 §6.3" =>
        |given| lengths(given, &["x", "0x2", "2x", "", "1e0", "two"]);
    "body.length-signed" "a length with a sign", "RFC 9110 §8.6" =>
        |given| lengths(given, &["-1", "+2", "-0"]);
    "body.length-past-all-measure" "a length beyond every type", "CWE-190" =>
        |given| lengths(given, &["18446744073709551616", "99999999999999999999999999"]);
    "body.length-listed" "several lengths in one field", "RFC 9110 §8.6" =>
        |given| lengths(given, &["2, 3", "0, 2", "2,x"]);
    "body.length-twice" "two lengths that differ", "RFC 9112 §6.3" =>
        |given| framed(given, &[("content-length: 2\r\ncontent-length: 0\r\n", "ab"), ("content-length: 0\r\ncontent-length: 2\r\n", "ab")]);
    "body.length-with-white-space" "a length with white space in it", "RFC 9110 §8.6" =>
        |given| lengths(given, &["1 2", "1\t2", "0 2"]);
    "body.length-too-long" "a body that is shorter than it says, and then nothing", "CWE-400" =>
        |given| framed(given, &[("content-length: 1000\r\n", "{\"a\":")]);
    "body.chunk-size-malformed" "chunks whose size is no number", "RFC 9112 §7.1" =>
        |given| chunks(given, &["x\r\nab\r\n0\r\n\r\n", "0x2\r\nab\r\n0\r\n\r\n", "-2\r\nab\r\n0\r\n\r\n", "+2\r\nab\r\n0\r\n\r\n", "\r\n0\r\n\r\n", "2 2\r\nab\r\n0\r\n\r\n"]);
    "body.chunk-size-past-all-measure" "chunks beyond every type", "CWE-190" =>
        |given| chunks(given, &["ffffffffffffffff1\r\nab", "fffffffffffffffff\r\n", "00000000000000000000000000000000000000000000000002ffffffffffffffff\r\n"]);
    "body.chunk-longer-than-it-says" "chunks that are longer than they say", "RFC 9112 §7.1" =>
        |given| chunks(given, &["2\r\nabc\r\n0\r\n\r\n", "2\r\nab0\r\n\r\n", "1\r\nab\r\n0\r\n\r\n"]);
    "body.chunk-without-end" "chunks that do not end", "CWE-400" =>
        |given| chunks(given, &["2\r\nab\r\n", "2\r\nab", "ff\r\nab\r\n0\r\n\r\n"]);
    "body.chunk-extension-malformed" "extensions of chunks with line feeds, or of a hundred thousand bytes", "CVE-2025-22871" =>
        |given| { let long = format!("2;{}\r\nab\r\n0\r\n\r\n", "x".repeat(100_000)); chunks(given, &["2;\nx\r\nab\r\n0\r\n\r\n", "2;a\rb\r\nab\r\n0\r\n\r\n", long.as_str()]) };
    "body.chunk-end-malformed" "chunks that end in a line feed alone", "RFC 9112 §7.1" =>
        |given| chunks(given, &["2\nab\n0\n\n", "2\r\nab\n0\r\n\r\n"]);
    "body.trailers-malformed" "trailers that are no fields, or hundreds of thousands of bytes", "RFC 9112 §7.1.2" =>
        |given| { let long = format!("0\r\nx: {}\r\n\r\n", "y".repeat(300_000)); chunks(given, &["2\r\nab\r\n0\r\nno field\r\n\r\n", "2\r\nab\r\n0\r\nx : y\r\n\r\n", long.as_str()]) };
    "body.trailers-that-frame" [OneAnswer] "trailers that say how long the body is, or for whom", "RFC 9110 §6.5.1" =>
        |given| chunks(given, &["2\r\nab\r\n0\r\ncontent-length: 100\r\n\r\n", "2\r\nab\r\n0\r\ntransfer-encoding: chunked\r\nhost: x\r\n\r\n"]);
    "body.expectation-unknown" [Harmless] "an expectation that nobody can meet", "RFC 9110 §10.1.1" =>
        |given| framed(given, &[("expect: x\r\ncontent-length: 2\r\n", "ab"), ("expect: 100-continue, x\r\ncontent-length: 2\r\n", "ab")]);
    "body.expectation-and-nothing" [OneAnswer] "an announced body that does not come", "RFC 9110 §10.1.1" =>
        |given| framed(given, &[("expect: 100-continue\r\ncontent-length: 2\r\n", "")]);
}

/// The control request by `POST`, with these fields and these bytes behind its head.
fn framed(given: &Given<'_>, bodies: &[(&str, &str)]) -> Made {
    given.raws(|it| {
        let draft = it.method("POST").body("").without("content-length");
        let head = draft.field("transfer-encoding", "x").http1();
        let head = String::from_utf8_lossy(&head).into_owned();
        let all = bodies.iter().map(|(fields, body)| {
            let head = head.replacen("transfer-encoding: x\r\n", fields, 1);
            format!("{head}{body}").into_bytes()
        });
        all.collect::<Vec<_>>()
    })
}

fn lengths(given: &Given<'_>, lengths: &[&str]) -> Made {
    let fields: Vec<String> = lengths
        .iter()
        .map(|it| format!("content-length: {it}\r\n"))
        .collect();
    let all: Vec<(&str, &str)> = fields.iter().map(|it| (it.as_str(), "ab")).collect();
    framed(given, &all)
}

fn chunks(given: &Given<'_>, bodies: &[&str]) -> Made {
    let all: Vec<(&str, &str)> = bodies
        .iter()
        .map(|it| ("transfer-encoding: chunked\r\n", *it))
        .collect();
    framed(given, &all)
}
