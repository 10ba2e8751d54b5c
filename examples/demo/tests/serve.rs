//! The commands that `demo --serve` prints work when they are pasted.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should panic"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The demo, stopped when the test ends.
struct Demo(Child);

impl Drop for Demo {
    // As by Ctrl-C: it ends what it has started, too.
    fn drop(&mut self) {
        let id = self.0.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        for _ in 0..200 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_printed_commands_give_what_their_headings_say() {
    if Command::new("curl").arg("--version").output().is_err() {
        let required = std::env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some();
        assert!(!required, "curl is not installed");
        println!("curl is not installed: nothing was tried");
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("a folder");
    let demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(["--serve", "--issuer-port", "0", "--folder"])
        .arg(&folder)
        .stdout(Stdio::piped())
        .spawn();
    let mut demo = Demo(demo.unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();

    // A heading, then a command of several lines, then an empty line.
    let (mut tried, mut heading, mut command) = (0, String::new(), String::new());
    for line in lines {
        let line = line.unwrap();
        match line.trim() {
            text if text.starts_with("# ") => heading = text.to_owned(),
            "" if command.starts_with("curl") => {
                let run = Command::new("sh").args(["-c", &command]).output().unwrap();
                let said = String::from_utf8_lossy(&run.stdout).into_owned()
                    + &String::from_utf8_lossy(&run.stderr);
                let expected = heading.rsplit_once(": ").unwrap().1;
                match expected {
                    "a TLS alert" => assert!(said.contains("alert"), "{heading}: {said}"),
                    status => assert_eq!(
                        run.stdout.trim_ascii_end().rsplit(|b| *b == b'\n').next(),
                        Some(status.as_bytes()),
                        "{heading}: {said}"
                    ),
                }
                tried += 1;
                command.clear();
            }
            "" => command.clear(),
            _ if heading.is_empty() => {}
            _ if heading.contains("your own copies") => break,
            text => {
                command.push_str(text);
                command.push('\n');
            }
        }
    }
    assert_eq!(tried, 7);
}
