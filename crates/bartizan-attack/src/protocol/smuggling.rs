//! Requests in requests. What is hidden has no credential: if it is read as a request, it has to be
//! refused as one, so that at most the outer one is done.

use crate::given::{Given, Made};
use crate::table::table;

table! { Protocol;
    "protocol.smuggled-length-then-chunks" [OneAnswer] "a length and chunks, which end before it", "RFC 9112 §6.1, CL.TE" =>
        |given| hidden(given, |it| vec![framed(&["content-length: {}", "transfer-encoding: chunked"], &format!("0\r\n\r\n{it}"))]);
    "protocol.smuggled-chunks-then-length" [OneAnswer] "chunks and a length, which ends before them", "RFC 9112 §6.1, TE.CL" =>
        |given| hidden(given, |it| vec![framed(&["transfer-encoding: chunked", "content-length: 4"], &format!("{:x}\r\n{it}\r\n0\r\n\r\n", it.len()))]);
    "protocol.smuggled-length-of-zero" [OneAnswer] "a request behind a body of which the length is zero", "CL.0" =>
        |given| hidden(given, |it| vec![framed(&["content-length: 0"], it)]);
    "protocol.smuggled-lengths-that-differ" [OneAnswer] "two lengths, and a request between them", "RFC 9112 §6.3" =>
        |given| hidden(given, |it| vec![
            framed(&["content-length: 0", "content-length: {}"], it), framed(&["content-length: {}", "content-length: 0"], it),
        ]);
    "protocol.smuggled-unknown-coding" [OneAnswer] "chunks by names that are nearly right", "RFC 9112 §6.1, TE.TE" =>
        |given| codings(given, &["xchunked", "chunked-", "chunke", "\"chunked\"", "chunked;a=b", "x, chunked"]);
    "protocol.smuggled-coding-that-is-not-last" [OneAnswer] "chunks that are encoded again", "RFC 9112 §6.3" =>
        |given| codings(given, &["chunked, identity", "chunked, gzip", "chunked, chunked"]);
    "protocol.smuggled-coding-of-identity" [OneAnswer] "a coding that is none", "RFC 9112 §7" =>
        |given| codings(given, &["identity", "", ",", "null"]);
    "protocol.smuggled-coding-in-other-case" [OneAnswer] "chunks by their name in other case", "RFC 9112 §7" =>
        |given| codings(given, &["CHUNKED", "Chunked", "chUnKed"]);
    "protocol.smuggled-coding-with-white-space" [OneAnswer] "chunks by their name with white space of all kinds", "RFC 9112 §5.1, TE.TE" =>
        |given| codings(given, &["\tchunked", "chunked\t", "chunked ", "\u{b}chunked", "chunked\u{b}", "chunked\0"]);
    "protocol.smuggled-coding-before-colon" [OneAnswer] "white space between the name of the coding's field and its colon", "RFC 9112 §5.1, TE.TE" =>
        |given| fields(given, &["transfer-encoding : chunked", "transfer-encoding\t: chunked", " transfer-encoding: chunked", "transfer_encoding: chunked"]);
    "protocol.smuggled-coding-folded" [OneAnswer] "a coding in the next line", "RFC 9112 §5.2, TE.TE" =>
        |given| fields(given, &["transfer-encoding:\r\n chunked", "x: y\r\n transfer-encoding: chunked", "transfer-encoding:\n chunked"]);
    "protocol.smuggled-coding-twice" [OneAnswer] "two fields of coding", "RFC 9112 §6.1, TE.TE" =>
        |given| fields(given, &["transfer-encoding: chunked\r\ntransfer-encoding: x", "transfer-encoding: x\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ntransfer-encoding: identity"]);
    "protocol.smuggled-coding-behind-return" [OneAnswer] "a coding behind a carriage return alone", "RFC 9112 §2.2, TE.TE" =>
        |given| fields(given, &["x: y\rtransfer-encoding: chunked", "\rtransfer-encoding: chunked", "transfer-encoding:\rchunked"]);
    "protocol.smuggled-in-old-version" [OneAnswer] "chunks in a version of HTTP that has none", "RFC 9112 §6.1" =>
        |given| hidden(given, |it| vec![framed(&["transfer-encoding: chunked"], &format!("0\r\n\r\n{it}")).replacen("HTTP/1.1", "HTTP/1.0", 1)]);
    "protocol.smuggled-in-chunk-size" [OneAnswer] "a request behind a chunk whose size is read in two ways", "RFC 9112 §7.1" =>
        |given| hidden(given, |it| ["0x0", "0 ", "00000000000000000", "-0", "0;a\nb", "0\n", "g"].map(|size| {
            framed(&["transfer-encoding: chunked"], &format!("{size}\r\n\r\n{it}"))
        }).to_vec());
    "protocol.smuggled-in-chunk-extension" [OneAnswer] "a request in the extension of a chunk", "CVE-2025-22871" =>
        |given| hidden(given, |it| vec![framed(&["transfer-encoding: chunked"], &format!("2;\nxx\r\n0\r\n\r\n{it}"))]);
    "protocol.smuggled-behind-chunk" [OneAnswer] "a request behind a chunk that is longer than it says", "RFC 9112 §7.1" =>
        |given| hidden(given, |it| vec![framed(&["transfer-encoding: chunked"], &format!("2\r\nabXX0\r\n\r\n{it}"))]);
    "protocol.smuggled-in-trailers" [OneAnswer] "a request behind trailers", "RFC 9112 §7.1.2" =>
        |given| hidden(given, |it| vec![framed(&["transfer-encoding: chunked"], &format!("0\r\nx: y\r\ncontent-length: {}\r\n\r\n{it}", it.len()))]);
    "protocol.smuggled-in-body-of-get" [OneAnswer] "a request as the body of one that has none", "RFC 9110 §9.3.1" =>
        |given| hidden(given, |it| ["GET", "HEAD", "DELETE"].map(|method| framed(&["content-length: {}"], it).replacen("POST", method, 1)).to_vec());
    "protocol.smuggled-in-body" [OneAnswer] "a request as the body of one that has some", "RFC 9112 §6" =>
        |given| hidden(given, |it| vec![framed(&["content-length: {}"], it)]);
    "protocol.smuggled-behind-refusal" [OneAnswer] "a request behind one that is refused before its body", "RFC 9112 §9.3" =>
        |given| {
            let bare = String::from_utf8_lossy(&given.bare()?.method("POST").body("a".repeat(1000)).http1()).into_owned();
            hidden(given, |it| vec![format!("{bare}{it}")])
        };
    "protocol.smuggled-behind-expectation" [OneAnswer] "a request behind an announced body that does not come", "RFC 9110 §10.1.1" =>
        |given| hidden(given, |it| vec![framed(&["expect: 100-continue", "content-length: 0"], it), framed(&["expect: 100-continue, x", "content-length: 0"], it)]);
    "protocol.smuggled-behind-upgrade" [OneAnswer] "a request behind an upgrade that is not one", "RFC 9110 §7.8" =>
        |given| hidden(given, |it| vec![framed(&["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 777", "content-length: 0"], it)]);
    "protocol.pipelined-without-credential" [OneAnswer] "a request without a credential behind a good one", "RFC 9112 §9.3.2" =>
        |given| hidden(given, |it| vec![it.to_owned()]);
    "protocol.request-in-field" [OneAnswer] "a request in the value of a field", "CWE-113" =>
        |given| hidden(given, |it| vec![framed(&["x-a: %0d%0a%0d%0aGET / HTTP/1.1", "content-length: 0"], ""), framed(&["x-a: y", "content-length: 0"], it)]);
    "protocol.request-of-old-kind" [OneAnswer] "a request of the first kind of HTTP, which had no head", "RFC 9112 §C.1" =>
        |given| { let target = given.control().target; hidden(given, |_| vec![format!("GET {target}\r\n\r\n")]) };
}

/// What stands for the head of the control request in [`framed`].
const HEAD: &str = "\u{1}head\u{1}";

/// The control request by `POST` with these fields, and this body; `{}` is its length.
fn framed(fields: &[&str], body: &str) -> String {
    let length = body.len().to_string();
    let fields: String = fields
        .iter()
        .map(|it| it.replace("{}", &length) + "\r\n")
        .collect();
    format!("POST {HEAD}{fields}\r\n{body}")
}

/// Bytes with a request without a credential in them.
fn hidden(given: &Given<'_>, make: impl FnOnce(&str) -> Vec<String>) -> Made {
    let bare = given.bare()?;
    given.is_plain()?;
    given.raws(|it| {
        let draft = it
            .clone()
            .body("")
            .without("content-type")
            .method("HEADONLY");
        let head = String::from_utf8_lossy(&draft.http1()).into_owned();
        let head = head
            .trim_start_matches("HEADONLY ")
            .trim_end_matches("\r\n");
        let inner = String::from_utf8_lossy(&bare.http1()).into_owned();
        let all = make(&inner).into_iter();
        let good = String::from_utf8_lossy(&it.http1()).into_owned();
        all.map(|text| match text == inner {
            // A good request goes before it.
            true => format!("{good}{inner}").into_bytes(),
            false => text.replacen(HEAD, &format!("{head}\r\n"), 1).into_bytes(),
        })
        .collect::<Vec<_>>()
    })
}

/// A length beside this coding, with a request behind an empty last chunk.
fn codings(given: &Given<'_>, codings: &[&str]) -> Made {
    let all: Vec<String> = codings
        .iter()
        .map(|it| format!("transfer-encoding: {it}"))
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    fields(given, &all)
}

fn fields(given: &Given<'_>, fields: &[&str]) -> Made {
    hidden(given, |it| {
        let all = fields
            .iter()
            .map(|field| framed(&["content-length: {}", field], &format!("0\r\n\r\n{it}")));
        all.collect()
    })
}
