//! Messages of gRPC that are not what their five bytes say.

use crate::given::{Given, Made};
use crate::table::table;

table! { Bodies;
    "body.grpc-length-too-long" [Harmless] "a message that is shorter than it says", "gRPC over HTTP/2" =>
        |given| messages(given, |it| vec![frame(0, 1_000_000, it), frame(0, u32::MAX, it)]);
    "body.grpc-length-too-short" [Harmless] "a message that is longer than it says", "gRPC over HTTP/2" =>
        |given| messages(given, |it| vec![frame(0, 0, it), [frame(0, length(it), it), b"x".to_vec()].concat()]);
    "body.grpc-flag-of-compression" [Harmless] "a message that says it is compressed, in no coding that was named", "gRPC Compression" =>
        |given| messages(given, |it| vec![frame(1, length(it), it)]);
    "body.grpc-flag-unknown" [Harmless] "flags that nobody knows", "gRPC over HTTP/2" =>
        |given| messages(given, |it| vec![frame(2, length(it), it), frame(0x80, length(it), it), frame(0xff, length(it), it)]);
    "body.grpc-coding-unknown" [Harmless] "codings of messages that nobody has", "gRPC Compression" =>
        |given| fields(given, "grpc-encoding", &["x", "", "gzip, gzip", "identity;q=1", "zstd"]);
    "body.grpc-message-absent" [Harmless] "a call without a message", "gRPC over HTTP/2" =>
        |given| messages(given, |_| vec![Vec::new(), vec![0], vec![0, 0, 0]]);
    "body.grpc-message-twice" [Harmless] "two messages where there is one", "gRPC over HTTP/2" =>
        |given| messages(given, |it| vec![[frame(0, length(it), it), frame(0, length(it), it)].concat()]);
    "body.grpc-message-garbage" [Harmless] "bytes that are no message", "Protocol Buffers Encoding" =>
        |given| messages(given, |_| [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x00", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b\x0b\x0b"].map(|it| frame(0, length(it), it)).to_vec());
    "body.grpc-message-deep" [Harmless] "messages in messages, ten thousand deep", "CWE-674" =>
        |given| messages(given, |_| {
            let groups = [vec![0x0b; 10_000], vec![0x0c; 10_000]].concat();
            let mut nested = Vec::new();
            while nested.len() < 60 { nested = [vec![0x0a, u8::try_from(nested.len()).unwrap_or_default()], nested].concat(); }
            vec![frame(0, length(&groups), &groups), frame(0, length(&nested), &nested)]
        });
    "body.grpc-message-of-many-fields" [Harmless] "a message of tens of thousands of unknown fields", "CWE-770" =>
        |given| messages(given, |it| { let many = [it.to_vec(), [0xf8, 0x07, 1].repeat(15_000)].concat(); vec![frame(0, length(&many), &many)] });
    "body.grpc-message-text-malformed" [Harmless] "text in a message that is no text", "Protocol Buffers Encoding" =>
        |given| messages(given, |_| [&b"\x0a\x02\xff\xfe"[..], b"\x0a\x01\x00", b"\x12\x02\xc0\xaf"].map(|it| frame(0, length(it), it)).to_vec());
    "body.grpc-deadline-malformed" [Harmless] "deadlines that are none, of nothing, and of ages", "gRPC over HTTP/2" =>
        |given| fields(given, "grpc-timeout", &["", "x", "-1S", "1", "S", "1x", "99999999999S", "0n"]);
    "body.grpc-metadata-malformed" [Harmless] "metadata of bytes that is not in base64", "gRPC over HTTP/2" =>
        |given| fields(given, "x-a-bin", &["!", "====", "a", "%00"]);
    "body.grpc-metadata-reserved" [Harmless] "metadata by names that are reserved", "gRPC over HTTP/2" =>
        |given| given.grpcs(|it| ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-previous-rpc-attempts", "grpc-accept-encoding"].map(|name| it.clone().field(name, "0")));
    "body.grpc-status-of-the-client" "a call without a credential that brings its own status along", "CWE-290" =>
        |given| { given.grpcs(|it| [it])?; given.bares(|it| [it.clone().field("grpc-status", "0"), it.trailer("grpc-status", "0")]) };
    "body.grpc-without-credential" "a broken message without a credential", "CWE-306" =>
        |given| { given.grpcs(|it| [it])?; given.bares(|it| [it.clone().body(vec![1, 0xff, 0xff, 0xff, 0xff]), it.body(Vec::new())]) };
}

fn length(message: &[u8]) -> u32 {
    u32::try_from(message.len()).unwrap_or(u32::MAX)
}

fn frame(flag: u8, length: u32, message: &[u8]) -> Vec<u8> {
    [&[flag], length.to_be_bytes().as_slice(), message].concat()
}

/// Calls with other bodies, made from the message. `INTERNAL` is what gRPC says to most of them.
fn messages(given: &Given<'_>, make: impl FnOnce(&[u8]) -> Vec<Vec<u8>>) -> Made {
    let volley = given.grpcs(|it| {
        let bodies = make(it.body.get(5..).unwrap_or_default()).into_iter();
        bodies.map(|body| it.clone().body(body)).collect::<Vec<_>>()
    });
    Ok(volley?.excusing_internal())
}

fn fields(given: &Given<'_>, name: &str, values: &[&str]) -> Made {
    let volley = given.grpcs(|it| {
        let drafts = values.iter().map(|value| it.clone().field(name, value));
        drafts.collect::<Vec<_>>()
    });
    Ok(volley?.excusing_internal())
}
