//! Seeds of `bartizan-encrypt`: bodies, ciphertexts, files, and what key services answer.

use bartizan_encrypt::{Ciphertext, KeyBytes, KeyFile, LocalKek};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{Error, Seeds};

pub(super) fn add(seeds: &mut Seeds) -> Result<(), Error> {
    let sealed = [&[1][..], &[7; 100]].concat();
    let text = Ciphertext::from_bytes(sealed.clone()).map(|it| it.to_string());
    let text = text.map_err(|error| error.to_string())?;
    seeds.add("ciphertext", "bytes", &sealed[17..]);
    seeds.add("ciphertext", "text", text.as_str());

    let token = "tok_AAAAAAAAAAAAAAAAAAAAAA";
    seeds.add("token_file", "empty", "bartizan-tokens-1\n");
    seeds.add("token_file", "token", token);
    let row = format!("bartizan-tokens-1\n+ {token} {text}\n");
    seeds.add("token_file", "removed", format!("{row}- {token}\n"));
    seeds.add("token_file", "torn", format!("{row}+ tok_B"));
    seeds.add("token_file", "row", row);

    let file = std::env::temp_dir().join(format!("seeds-{}.json", std::process::id()));
    let kek = KeyBytes::from_slice(&[2; 32]).ok_or("32 bytes")?;
    KeyFile::create(&file, LocalKek::new(&kek))?;
    seeds.add("key_file", "file", std::fs::read(&file)?);
    std::fs::remove_file(&file)?;
    seeds.add("key_file", "patch", &b"\x20\"version\":9"[..]);

    seeds.add_all(
        "json_path",
        &[
            ("several", "/a\n/b/*\n/c/d\n/~0~1"),
            ("twice", "/a\n/a"),
            ("deep", "/a/b/c/*/d/*/e"),
        ],
    );
    seeds.add_all(
        "json_rewrite",
        &[
            (
                "all",
                r#"{"a":"x","b":[1,null,{"c":2}],"c":{"d":[]},"e":[{"f":1e3}],"~/":"\u0041"}"#,
            ),
            ("shape", r#"{"a":1,"c":7,"e":{}}"#),
            ("twice", r#"{"a":1,"\u0061":2}"#),
            ("large", r#"{"n":1e400,"a":-0.0}"#),
        ],
    );
    // Fields 1 to 6 of the message of the target.
    let card = b"\x1a\x0b\x0a\x0012\x11\x01\0\0\0\0\0\0\0";
    seeds.add(
        "message_rewrite",
        "fields",
        &b"\x08\x05\x12\x03ssn\x22\x05\x0a\x03123\x2a\x01z"[..],
    );
    seeds.add("message_rewrite", "card", &card[..]);
    seeds.add(
        "message_rewrite",
        "group",
        &b"\x0b\x08\x01\x0c\x12\x01x"[..],
    );

    let key = STANDARD.encode([7; 32]);
    let with = |status: u16, body: String| [&status.to_le_bytes()[..], body.as_bytes()].concat();
    seeds.add("kms_answers", "made", with(200, format!(
        r#"{{"KeyId":"arn:aws:kms:eu-central-1:1:key/x","Plaintext":"{key}","CiphertextBlob":"AAEC"}}"#
    )));
    let metadata =
        r#"{"KeyMetadata":{"Arn":"arn:x","KeyState":"Enabled","KeySpec":"SYMMETRIC_DEFAULT"}}"#;
    seeds.add("kms_answers", "described", with(200, metadata.to_owned()));
    let refused = r#"{"__type":"com.amazonaws.kms#DisabledException","message":"no\nmore"}"#;
    seeds.add("kms_answers", "refused", with(400, refused.to_owned()));
    let xml = "<E><Code>SignatureDoesNotMatch</Code><Message>x</Message></E>";
    seeds.add("kms_answers", "xml", with(403, xml.to_owned()));
    let lent = "<C><AccessKeyId>A</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                <SessionToken>t</SessionToken><Expiration>2027-01-15T08:00:00Z</Expiration></C>";
    seeds.add("kms_answers", "lent", with(200, lent.to_owned()));

    seeds.add(
        "vault_answers",
        "made",
        with(
            200,
            format!(r#"{{"data":{{"plaintext":"{key}","ciphertext":"vault:v1:AAEC"}}}}"#),
        ),
    );
    let login = |seconds: u64| {
        format!(r#"{{"auth":{{"client_token":"s","lease_duration":{seconds},"renewable":true}}}}"#)
    };
    seeds.add("vault_answers", "login", with(200, login(2_764_800)));
    seeds.add("vault_answers", "for_ever", with(200, login(u64::MAX)));
    seeds.add(
        "vault_answers",
        "refused",
        with(403, r#"{"errors":["permission denied"]}"#.to_owned()),
    );
    Ok(())
}
