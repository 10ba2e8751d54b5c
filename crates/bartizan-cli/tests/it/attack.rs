//! `bartizan attack`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::support::{Folder, Said};

fn run(folder: &Folder, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .arg("attack")
        .args(arguments)
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A service with one good token that answers one request on each connection.
fn service(window: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap(), window));
        }
    });
    address
}

fn answer(stream: TcpStream, window: bool) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).split(b'\n');
    let (mut tokens, mut internal) = (Vec::new(), false);
    loop {
        let line = String::from_utf8(lines.next()?.ok()?).ok()?;
        let line = line.strip_suffix('\r')?;
        if line.is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        internal |= lower.starts_with("x-internal:");
        if lower.starts_with("authorization:") {
            tokens.push(line.to_owned());
        }
    }
    let known = matches!(tokens.as_slice(), [one] if one == "authorization: Bearer secret");
    let status = if known || window && internal {
        "200 OK"
    } else {
        "401 Unauthorized"
    };
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    (&stream).write_all(text.as_bytes()).ok()
}

#[test]
fn a_service_that_holds_ends_with_0_and_one_that_does_not_with_1() {
    let folder = Folder::new("attack");
    std::fs::write(folder.path("token"), "secret\n").unwrap();
    for (window, code) in [(false, 0), (true, 1)] {
        let url = format!("http://{}/orders", service(window));
        let only = ["--only", "headers"];
        // Heads that are none are beyond this service.
        let names = [
            "header.space-before-colon",
            "header.space-before-name",
            "header.folded-credential",
            "header.no-colon",
            "header.no-name",
            "header.name-with-space",
            "header.name-with-separators",
            "header.name-with-control-characters",
            "header.value-with-nul",
            "header.value-with-control-characters",
            "header.value-with-carriage-return",
            "header.many",
            "header.large",
            "header.large-name",
            "header.request-line-malformed",
            "header.version-malformed",
        ];
        let names = names.map(|name| format!("--allow={name}=a toy"));
        let mut arguments = vec![url.as_str(), "--token-file", "token"];
        arguments.extend(only);
        arguments.extend(names.iter().map(String::as_str));
        let said = run(&folder, &arguments);
        assert_eq!(said.code, Some(code), "{said:?}");
        assert_eq!(
            said.out.contains("GOT IN: header.identity-internal"),
            window,
            "{said:?}"
        );

        arguments.push("--json");
        let said = run(&folder, &arguments);
        let report: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(report["counts"]["findings"], u64::from(window));
    }
}

#[test]
fn a_service_whose_control_request_fails_ends_with_3() {
    let folder = Folder::new("attack-unknown");
    let url = format!("http://{}/", service(false));
    let said = run(&folder, &[&url, "--only", "bodies"]);
    assert_eq!(said.code, Some(3), "{said:?}");
}

#[test]
fn another_machine_is_attacked_only_if_it_is_named() {
    let folder = Folder::new("attack-elsewhere");
    let refused = run(&folder, &["http://192.0.2.1/"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("--i-may-attack"), "{refused:?}");
    let other = run(
        &folder,
        &["http://192.0.2.1/", "--i-may-attack", "192.0.2.2"],
    );
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.err.contains("192.0.2.2 was named"), "{other:?}");
}

#[test]
fn the_attacks_are_listed() {
    let folder = Folder::new("attack-list");
    let said = run(&folder, &["--list"]);
    assert_eq!(said.code, Some(0));
    assert!(said.out.lines().count() >= 300, "{}", said.out.len());
    assert!(said.out.contains("token.alg-none: "));
    let said = run(&folder, &["--list", "--json", "--only", "tokens"]);
    let listed: Value = serde_json::from_str(&said.out).unwrap();
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["class"] == "tokens")
    );
    let slip = run(
        &folder,
        &["http://127.0.0.1:9/", "--allow", "token.alg-non=x"],
    );
    assert!(
        slip.err.contains("there is no attack token.alg-non"),
        "{slip:?}"
    );
}
