//! Strings that were made to break things.

use std::path::PathBuf;

use base64::Engine as _;
use serde_json::Value;

fn vectors() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = std::env::var_os("BARTIZAN_VECTORS").map_or_else(|| beside.into(), PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// A handful of our own, and those that were published, where they are at hand: naughty strings,
/// and what attackers send to web servers.
pub(crate) fn strings() -> Vec<String> {
    let own = [
        "\r\nX: y",
        "\n<13>1 2026-01-01T00:00:00Z evil app - - - forged",
        "12 <13>1 - - - - - forged",
        "\0",
        "a\0b\\u0000",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "\u{202e}\u{2028}\u{feff}\u{85}",
        "] [x@1 y=\"z\"]\"\\",
        "|=\\\"'; drop table bartizan_audit; --",
        "\u{10ffff}é漢字😀",
        "{\"a\":[1,{}]}",
        "$1 %s %n ${jndi:ldap://x}",
    ];
    let mut strings: Vec<String> = own.map(str::to_owned).to_vec();
    let Some(folder) = vectors().map(|it| it.join("http-attacks")) else {
        return strings;
    };
    if let Ok(text) = std::fs::read_to_string(folder.join("blns.base64.json")) {
        let list: Vec<String> = serde_json::from_str(&text).unwrap();
        let engine = base64::engine::general_purpose::STANDARD;
        strings.extend(
            list.iter().map(|encoded| {
                String::from_utf8_lossy(&engine.decode(encoded).unwrap()).into_owned()
            }),
        );
    }
    if let Ok(text) = std::fs::read_to_string(folder.join("crs-requests.jsonl")) {
        let requests: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(requests.len() > 1000, "{}", requests.len());
        strings.extend(requests.iter().flat_map(|request| {
            let texts = ["uri", "data"].map(|name| request[name].as_str().map(str::to_owned));
            texts.into_iter().flatten()
        }));
    }
    strings
}
