use std::io;

use bartizan_audit::{AuditConfig, AuditLayer, Format, LineSink, Renderer, StoredEntry, Tail};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Folder, ORIGIN, end, get, ok};

async fn ledger_of(count: usize) -> Folder {
    let folder = Folder::new();
    let ledger = folder.ledger();
    let layer = AuditLayer::new(AuditConfig::builder(ledger.clone()).build().unwrap());
    let service = layer.layer(service_fn(|_: Request<Full<Bytes>>| async { ok("") }));
    for _ in 0..count {
        service.clone().oneshot(get("/orders/1")).await.unwrap();
    }
    end(&ledger, &folder).await;
    folder
}

#[tokio::test]
async fn a_sink_that_fails_and_comes_back_misses_nothing() {
    let folder = ledger_of(20).await;
    let cursor = folder.path().join("sink.cursor");
    let mut got: Vec<u64> = Vec::new();
    for attempt in 0..4 {
        // Each time as a new process would.
        let mut tail = Tail::open(folder.path(), &cursor).unwrap();
        let failed = tail.step(&mut |_: &[StoredEntry]| Err(io::Error::other("planned")));
        assert_eq!(failed.is_err(), attempt == 0, "{failed:?}");
        let again = tail.step(&mut |entries: &[StoredEntry]| {
            got.extend(entries.iter().map(|entry| entry.index));
            Ok(())
        });
        assert_eq!(again.unwrap() > 0, attempt == 0);
    }
    let entries = folder.entries().len() as u64;
    assert_eq!(got, (0..entries).collect::<Vec<_>>());
}

#[tokio::test]
async fn lines_are_appended_to_a_file_once_each() {
    let folder = ledger_of(5).await;
    let (cursor, file) = (
        folder.path().join("lines.cursor"),
        folder.path().join("lines"),
    );
    for _ in 0..2 {
        let mut tail = Tail::open(folder.path(), &cursor).unwrap();
        let renderer = Renderer::new(Format::Json, tail.origin());
        let mut sink = LineSink::append(renderer, &file).unwrap();
        while tail.step(&mut sink).unwrap() > 0 {}
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect();
    let requests = ["request"; 5];
    assert_eq!(kinds, [&["start"], requests.as_slice(), &["stop"]].concat());
    assert!(
        lines
            .iter()
            .zip(0..)
            .all(|(line, index)| line["index"] == index)
    );
    assert!(lines.iter().all(|line| line["log"] == ORIGIN));
}

/// A disk that fills up in the middle of a line, and has room again afterwards.
#[derive(Default)]
struct Filling {
    written: Vec<u8>,
    room: usize,
}

impl io::Write for &mut Filling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            self.room = usize::MAX;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= taken;
        self.written.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn whole_lines(text: &[u8]) -> Vec<u64> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .map(|line| line["index"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_line_that_was_cut_takes_no_other_with_it() {
    let folder = ledger_of(3).await;
    let json = |tail: &Tail| Renderer::new(Format::Json, tail.origin());
    let mut full = Filling {
        room: 100,
        ..Filling::default()
    };
    let mut tail = Tail::open(folder.path(), folder.path().join("out.cursor")).unwrap();
    let mut sink = LineSink::new(json(&tail), &mut full);
    assert!(tail.step(&mut sink).is_err());
    while tail.step(&mut sink).unwrap() > 0 {}
    let lines = whole_lines(&full.written);
    assert!(lines.ends_with(&[0, 1, 2, 3, 4]), "{lines:?}");

    // The same of a process that was killed in the middle.
    let file = folder.path().join("lines");
    std::fs::write(&file, r#"{"index":"#).unwrap();
    let mut tail = Tail::open(folder.path(), folder.path().join("lines.cursor")).unwrap();
    let mut sink = LineSink::append(json(&tail), &file).unwrap();
    while tail.step(&mut sink).unwrap() > 0 {}
    let lines = whole_lines(&std::fs::read(&file).unwrap());
    assert_eq!(lines, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_cursor_behind_the_end_tells_that_the_ledger_was_cut() {
    let folder = ledger_of(3).await;
    let cursor = folder.path().join("sink.cursor");
    for (text, expected) in [
        (format!("{ORIGIN}\n99\n"), "cut"),
        ("another.example/log\n1\n".to_owned(), "another log"),
        ("nonsense".to_owned(), "cannot be read"),
    ] {
        std::fs::write(&cursor, text).unwrap();
        let refused = Tail::open(folder.path(), &cursor).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}
