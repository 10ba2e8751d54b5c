//! Frames of HTTP/2 that break its rules, before a request: the connection ends, or goes on unharmed.

use crate::draft::Field;
use crate::given::{Given, Made};
use crate::table::table;
use crate::wire::{encode, frame, headers_frame};

table! { Protocol;
    "protocol.frame-data-before-head" "data on a stream that nobody opened", "RFC 9113 §5.1" =>
        |given| before(given, || frame(0, 0, 3, b"a"));
    "protocol.frame-on-even-stream" "a request on a stream of the server", "RFC 9113 §5.1.1" =>
        |given| given.frames(|fields, _| [frame(1, 5, 2, &encode(&fields))]);
    "protocol.frame-on-stream-zero" "a request on no stream", "RFC 9113 §6.2" =>
        |given| given.frames(|fields, _| [frame(1, 5, 0, &encode(&fields))]);
    "protocol.frame-head-cut-off" "a head whose last piece does not come", "CVE-2024-27316" =>
        |given| given.frames(|fields, _| [frame(1, 1, 1, &encode(&fields))]);
    "protocol.frame-head-interrupted" "another frame in the middle of a head", "RFC 9113 §6.10" =>
        |given| given.frames(|fields, _| [[frame(1, 1, 1, &encode(&fields)), frame(6, 0, 0, &[0; 8]), frame(9, 4, 1, b"")].concat()]);
    "protocol.frame-continuation-alone" "the rest of a head that did not begin", "RFC 9113 §6.10" =>
        |given| before(given, || frame(9, 4, 1, b""));
    "protocol.frame-continuation-flood" "thousands of pieces of a head", "CVE-2024-27316" =>
        |given| given.frames(|fields, _| {
            let piece = encode(&[(b"x-a".to_vec(), vec![b'b'; 1000])]);
            [[frame(1, 1, 1, &encode(&fields)), frame(9, 0, 1, &piece).repeat(5000)].concat()]
        });
    "protocol.frame-reset-flood" [Harmless] "thousands of requests that are taken back at once", "CVE-2023-44487" =>
        |given| given.frames(|fields, body| {
            let head = encode(&fields);
            let reset = (1..2000_u32).flat_map(|number| {
                let stream = 2 * number + 1;
                [frame(1, 5, stream, &head), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
            });
            [[whole(&fields, &body), reset.collect()].concat()]
        });
    "protocol.frame-settings-flood" [Harmless] "thousands of settings", "CVE-2019-9515" =>
        |given| before(given, || frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(3000));
    "protocol.frame-ping-flood" [Harmless] "thousands of pings", "CVE-2019-9512" =>
        |given| before(given, || frame(6, 0, 0, &[0; 8]).repeat(3000));
    "protocol.frame-empty-data-flood" [Harmless] "thousands of empty pieces of a body", "CVE-2019-9518" =>
        |given| given.frames(|fields, body| [[headers_frame(&fields, false), frame(0, 0, 1, b"").repeat(5000), frame(0, 1, 1, &body)].concat()]);
    "protocol.frame-priority-flood" [Harmless] "thousands of priorities", "CVE-2019-9513" =>
        |given| before(given, || frame(2, 0, 1, &[0, 0, 0, 0, 1]).repeat(3000));
    "protocol.frame-priority-on-itself" [Harmless] "a stream that depends on itself", "RFC 9113 §5.3.1" =>
        |given| before(given, || frame(2, 0, 1, &[0, 0, 0, 1, 1]));
    "protocol.frame-window-of-nothing" "a window that grows by nothing", "RFC 9113 §6.9" =>
        |given| before(given, || frame(8, 0, 0, &[0; 4]));
    "protocol.frame-window-past-all-measure" "windows that grow beyond what they may", "RFC 9113 §6.9.1" =>
        |given| before(given, || frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2));
    "protocol.frame-too-large" "a frame that is larger than was agreed on", "RFC 9113 §4.2" =>
        |given| before(given, || frame(0, 0, 1, &[0; 100_000]));
    "protocol.frame-length-malformed" "pings, windows and settings of another length", "RFC 9113 §6.7" =>
        |given| given.frames(|fields, body| [frame(6, 0, 0, b"a"), frame(8, 0, 0, b"a"), frame(4, 0, 0, b"a"), frame(3, 0, 1, b"a")].map(|it| [it, whole(&fields, &body)].concat()));
    "protocol.frame-settings-malformed" "settings whose values they may not have", "RFC 9113 §6.5.2" =>
        |given| given.frames(|fields, body| [[0, 2, 0, 0, 0, 2], [0, 4, 0xff, 0xff, 0xff, 0xff], [0, 5, 0, 0, 0, 1]]
            .map(|setting| [frame(4, 0, 0, &setting), whole(&fields, &body)].concat()));
    "protocol.frame-settings-on-stream" "settings of one stream", "RFC 9113 §6.5" =>
        |given| before(given, || frame(4, 0, 1, b""));
    "protocol.frame-settings-agreed-with-more" "an agreement to settings that says more", "RFC 9113 §6.5" =>
        |given| before(given, || frame(4, 1, 0, &[0, 3, 0, 0, 0, 100]));
    "protocol.frame-promise-of-a-client" "a promise, which only servers make", "RFC 9113 §8.4" =>
        |given| given.frames(|fields, body| [[frame(5, 4, 1, &[&[0, 0, 0, 2], encode(&fields).as_slice()].concat()), whole(&fields, &body)].concat()]);
    "protocol.frame-padding-too-long" "padding that is longer than its frame", "RFC 9113 §6.1" =>
        |given| given.frames(|fields, _| {
            let mut block = encode(&fields);
            block.truncate(100);
            block.insert(0, 0xff);
            [frame(1, 0x0d, 1, &block)]
        });
    "protocol.frame-of-unknown-type" [Harmless] "frames that nobody knows", "RFC 9113 §5.5" =>
        |given| before(given, || [frame(0x42, 0xff, 1, b"abc"), frame(0xff, 0, 0, b"")].concat());
    "protocol.frame-goodbye-first" [Harmless] "a goodbye before a request", "RFC 9113 §6.8" =>
        |given| before(given, || frame(7, 0, 0, &[0; 8]));
    "protocol.frame-table-reference" "a field of a table that is empty", "RFC 7541 §2.3.3" =>
        |given| given.frames(|fields, _| [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xbe], &[0x80]].map(|bad| frame(1, 5, 1, &[encode(&fields).as_slice(), bad].concat())));
    "protocol.frame-table-size" "a table that is larger than was agreed on", "RFC 7541 §4.2" =>
        |given| given.frames(|fields, _| [frame(1, 5, 1, &[&[0x3f, 0xff, 0xff, 0xff, 0x07], encode(&fields).as_slice()].concat())]);
    "protocol.frame-head-malformed" "a head that is not in its coding", "RFC 7541 §5.2" =>
        |given| given.frames(|fields, _| [&[0x10, 0x7f, 0xff][..], &[0x10, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'a'], &[0x10, 0x05, b'a']]
            .map(|bad| frame(1, 5, 1, &[encode(&fields).as_slice(), bad].concat())));
    "protocol.frame-pseudo-in-trailers" [Harmless] "a path behind the body", "RFC 9113 §8.1" =>
        |given| given.frames(|fields, body| {
            let trailers = encode(&[(b":path".to_vec(), b"/".to_vec())]);
            [[headers_frame(&fields, false), frame(0, 0, 1, &body), frame(1, 5, 1, &trailers)].concat()]
        });
    "protocol.preface-of-old-version" "a preface of HTTP/1.1 in the middle of HTTP/2", "RFC 9113 §3.4" =>
        |given| before(given, || b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec());
}

/// A whole request on stream 1.
fn whole(fields: &[Field], body: &[u8]) -> Vec<u8> {
    match body.is_empty() {
        true => headers_frame(fields, true),
        false => [headers_frame(fields, false), frame(0, 1, 1, body)].concat(),
    }
}

/// The control request behind these frames.
fn before(given: &Given<'_>, make: impl FnOnce() -> Vec<u8>) -> Made {
    given.frames(|fields, body| [[make(), whole(&fields, &body)].concat()])
}
