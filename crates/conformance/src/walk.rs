//! Which files there are, and who reads them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::material::Material;
use crate::tally::Tally;
use crate::{
    bundles, client_ip, deliberate, envoy_jwt_verify, http_attacks, jose_cookbook, jwt_cases,
    possession, ratelimit_traces, spiffe_id, spiffe_svid_cases, structured_fields, transparency,
    wycheproof, x509_limbo,
};

/// What became of one file.
#[derive(Debug)]
pub(crate) struct FileResult {
    /// Relative to the folder, with slashes.
    pub(crate) path: String,
    pub(crate) outcome: Outcome,
}

/// Whether a file was read, and with what result.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The file should have been understood, and was not.
    Broken(anyhow::Error),
    /// Its cases were run.
    Read { tally: Tally, confirmed: bool },
    /// Nobody knows it, or the public API cannot express what it asks.
    Unread(Option<&'static str>),
}

type Read = fn(&Material, &mut Tally) -> Result<()>;

/// Runs every file below a folder, in the order of their names.
pub(crate) fn walk(root: &Path) -> Result<Vec<FileResult>> {
    let mut paths = Vec::new();
    collect(root, "", &mut paths)?;
    paths.sort();
    let mut used = BTreeSet::new();
    let mut results = Vec::new();
    for path in paths {
        let outcome = run(root, &path);
        if let Outcome::Read { tally, .. } = &outcome {
            used.extend(tally.used.iter().cloned());
        }
        results.push(FileResult { path, outcome });
    }
    results.retain(|result| {
        !(matches!(result.outcome, Outcome::Unread(_)) && used.contains(&result.path))
    });
    Ok(results)
}

fn run(root: &Path, path: &str) -> Outcome {
    let Some((read, confirmed)) = reader(path) else {
        return Outcome::Unread(inexpressible(path));
    };
    let mut tally = Tally::default();
    match read(&Material::new(root, path), &mut tally) {
        Ok(()) => {
            tally.apply(deliberate::of(path));
            Outcome::Read { tally, confirmed }
        }
        Err(error) => Outcome::Broken(error),
    }
}

/// Who reads a file, and whether a second implementation agrees with what it expects. Without
/// one, an expectation is one reader's view of a specification.
fn reader(path: &str) -> Option<(Read, bool)> {
    let (folder, name) = path.split_once('/')?;
    let confirmed: Read = match (folder, name) {
        ("client-ip", "realclientip.json") => client_ip::realclientip,
        ("client-ip", "xff.json") => return Some((client_ip::xff, false)),
        ("dpop", "rfc9449-examples.json") => possession::examples,
        ("envoy-jwt-verify", "jwks_parse.json") => envoy_jwt_verify::key_sets,
        ("envoy-jwt-verify", "jwt_parse.json") => envoy_jwt_verify::tokens,
        ("envoy-jwt-verify", "verify.json") => envoy_jwt_verify::signatures,
        ("http-attacks", "blns.base64.json") => http_attacks::strings,
        ("http-attacks", "crs-requests.jsonl") => http_attacks::requests,
        ("http-attacks", "json-test-suite.json") => http_attacks::documents,
        ("jose-cookbook", _) => return Some((jose_cookbook::reader(name)?, true)),
        ("jwt-cases", "cases.json") => jwt_cases::tokens,
        ("jwt-cases", "dpop.json") => possession::proofs,
        ("jwt-cases", "jwt-svid.json") => jwt_cases::svids,
        ("jwt-cases", "mtls-bound.json") => possession::certificates,
        ("jwt-cases", "jwks-documents.json") => return Some((jwt_cases::key_sets, false)),
        (
            "merkle-rfc6962",
            "consistency.json"
            | "inclusion.json"
            | "subtreeconsistency.json"
            | "subtreeinclusion.json",
        ) => transparency::proofs,
        ("merkle-rfc6962", "tree8.json") => transparency::tree,
        ("ratelimit-headers", "draft-examples.json") => structured_fields::draft,
        ("ratelimit-traces", "gcra.jsonl") => return Some((ratelimit_traces::gcra, false)),
        ("signed-note", "checkpoint.json") => transparency::checkpoints,
        ("signed-note", "note.json") => transparency::notes,
        ("spiffe-id", "spiffe-id.json") => spiffe_id::ids,
        ("spiffe-id", name) if name.starts_with("go-spiffe/bundle/spiffebundle/") => {
            bundles::document
        }
        ("spiffe-id", name) if name.starts_with("go-spiffe/bundle/x509bundle/") => bundles::pem,
        ("spiffe-id", "x509svid-parse.json") => spiffe_id::svid_files,
        ("spiffe-svid-cases", "cases.json") => spiffe_svid_cases::chains,
        ("structured-fields", "binary.json") => bundles::byte_sequences,
        (
            "structured-fields",
            "string.json" | "string-generated.json" | "serialisation-tests/string-generated.json",
        ) => structured_fields::strings,
        ("structured-fields", "number.json" | "number-generated.json") => {
            structured_fields::integers
        }
        ("wycheproof", "json_web_signature_test.json") => wycheproof::signatures,
        ("wycheproof", "ecdsa_secp384r1_sha384_test.json") => wycheproof::der_signatures,
        ("wycheproof", name) if signs_bytes(name) => wycheproof::raw_signatures,
        ("x509-limbo", "limbo.json") => x509_limbo::chains,
        _ => return None,
    };
    Some((confirmed, true))
}

/// Why a file that looks as if it should be read is not.
fn inexpressible(path: &str) -> Option<&'static str> {
    if path.starts_with("spiffe-id/go-spiffe/bundle/jwtbundle/") {
        return Some("a set of keys without uses, and so no bundle of a trust domain");
    }
    if path.starts_with("structured-fields/") {
        return Some("nothing of the family reads or writes this kind of structured field");
    }
    if path == "ratelimit-traces/windows.json" {
        return Some("neither fixed windows nor logs of arrivals are offered");
    }
    if path.starts_with("c2sp-xaes/") || path.starts_with("aead-misc/") {
        return Some("values are sealed by AES-GCM with a key each, and by nothing else");
    }
    let name = path.strip_prefix("wycheproof/")?;
    if let Some(why) = is_below_the_interface(name) {
        return Some(why);
    }
    let is_ecdsa = name.starts_with("ecdsa_") && !signs_bytes(name);
    is_ecdsa.then_some("has signatures in DER, on a curve whose other file is read")
}

/// Files about what values are sealed with, or could be.
fn is_below_the_interface(name: &str) -> Option<&'static str> {
    let used = ["aes_gcm_test", "c2sp_chunked", "hkdf_sha512", "hmac_sha256"];
    if used.iter().any(|prefix| name.starts_with(prefix)) {
        return Some("is run by the tests of bartizan-encrypt, below its public interface");
    }
    let ciphers = ["aes_", "aead_", "chacha20", "xchacha20", "hkdf_", "hmac_"];
    let other = ciphers.iter().any(|prefix| name.starts_with(prefix));
    other.then_some("is an algorithm that nothing of the family uses")
}

/// Whether a file of Wycheproof has signatures as JOSE writes them.
fn signs_bytes(name: &str) -> bool {
    let prefixes = ["ed25519_", "rsa_pss_", "rsa_signature_"];
    let is_signature = prefixes.iter().any(|prefix| name.starts_with(prefix));
    is_signature || name.starts_with("ecdsa_") && name.contains("_p1363_")
}

fn collect(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), paths)?;
        } else if is_data(name) {
            paths.push(path);
        }
    }
    Ok(())
}

/// Texts for people, and licences, are no data.
fn is_data(name: &str) -> bool {
    let is_licence = ["LICENSE", "LICENCE", "NOTICE", "README", "COPYING"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    !is_licence && !name.ends_with(".md") && !name.ends_with("-schema.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: bool) {
        assert_eq!(is_data(name), expected, "{name}");
    }

    #[test]
    fn tells_data_from_texts_for_people() {
        check("cases.json", true);
        check("not-pem", true);
        check("rule.yml", true);
        check("SOURCE.md", false);
        check("LICENSE", false);
        check("LICENSE.0BSD", false);
        check("LICENSE-BSD-1-CLAUSE", false);
        check("limbo-schema.json", false);
    }

    #[test]
    fn a_file_of_a_known_name_elsewhere_is_unknown() {
        assert!(reader("cases.json").is_none());
        assert!(reader("elsewhere/cases.json").is_none());
        assert!(reader("jwt-cases/cases.json").is_some());
    }
}
