//! File sources on a real file system.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bartizan_core::Clock;
use bartizan_source::{FileSet, FileSource, FileSourceBuilder, Refresh, SourceErrorKind, Version};

use crate::support::{Folder, Notebook, TokioClock, pass};

/// A pair as a TLS identity is one: both files carry the same number, or do not belong together.
fn parse_pair(certificate: &Path, key: &Path, files: &FileSet) -> Result<u32, String> {
    let number = |path: &Path, label: &str| {
        let content = files.get(path).ok_or("not in the set")?;
        let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
        let number = text
            .strip_prefix(label)
            .ok_or_else(|| format!("not a {label}file"))?;
        number.parse::<u32>().map_err(|error| error.to_string())
    };
    let (certificate, key) = (number(certificate, "cert ")?, number(key, "key ")?);
    if certificate == key {
        Ok(key)
    } else {
        Err(format!("cert {certificate}, but key {key}"))
    }
}

struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    notebook: Arc<Notebook>,
}

impl Pair {
    fn in_folder(folder: &Folder) -> Self {
        Self {
            certificate: folder.path("cert.pem"),
            key: folder.path("key.pem"),
            notebook: Arc::default(),
        }
    }

    fn write(&self, certificate: u32, key: u32) {
        std::fs::write(&self.certificate, format!("cert {certificate}")).expect("writable");
        std::fs::write(&self.key, format!("key {key}")).expect("writable");
    }

    fn builder(&self) -> FileSourceBuilder {
        FileSourceBuilder::new("test.pair")
            .add_file(&self.certificate)
            .add_file(&self.key)
            .with_observer(Arc::clone(&self.notebook) as _)
    }

    fn parser(&self) -> impl Fn(&FileSet) -> Result<u32, String> + Send + Sync + use<> {
        let (certificate, key) = (self.certificate.clone(), self.key.clone());
        move |files| parse_pair(&certificate, &key, files)
    }

    fn load(&self) -> FileSource<u32> {
        self.builder().load(self.parser()).expect("a good pair")
    }
}

/// Value and generation.
fn present(source: &FileSource<u32>) -> Option<(u32, u64)> {
    let published = source.published();
    published.read(|version| version.map(|v: &Version<u32>| (*v.value(), v.generation())))
}

#[tokio::test]
async fn refuses_to_start_on_bad_material() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    let kind = |pair: &Pair| pair.builder().load(pair.parser()).expect_err("bad").kind();
    assert_eq!(kind(&pair), SourceErrorKind::Unreadable);
    pair.write(1, 2);
    assert_eq!(kind(&pair), SourceErrorKind::Invalid);
    pair.write(2, 2);
    assert_eq!(present(&pair.load()), Some((2, 1)));
}

#[tokio::test]
async fn refuses_settings_that_cannot_work() {
    let check = |builder: FileSourceBuilder, expected: &str| {
        let result = builder.load(|_: &FileSet| Ok::<_, String>(()));
        let error = result.expect_err("refused");
        assert_eq!(error.kind(), SourceErrorKind::Config);
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some(expected));
    };
    check(FileSourceBuilder::new("test"), "no file named");
    check(
        FileSourceBuilder::new("test")
            .add_file("x")
            .with_interval(Duration::ZERO),
        "interval cannot be 0ns",
    );
    check(
        FileSourceBuilder::new("test")
            .add_file("x")
            .with_file_limit(0),
        "file_limit cannot be zero",
    );
}

#[test]
fn refuses_to_start_outside_a_runtime() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    let error = pair.builder().load(pair.parser()).expect_err("no runtime");
    assert_eq!(error.kind(), SourceErrorKind::NoRuntime);
}

#[tokio::test]
async fn what_is_read_is_in_no_log() {
    let folder = Folder::new();
    let path = folder.write("key", "hunter2");
    let notebook = Arc::new(Notebook::default());
    let builder = FileSourceBuilder::new("test.key")
        .add_file(&path)
        .with_observer(Arc::clone(&notebook) as _);
    let mut printed = format!("{builder:?}");
    let file = path.clone();
    let parse = move |files: &FileSet| {
        let content = files.get(&file).ok_or("not in the set")?;
        let text = std::str::from_utf8(content).map_err(|_| "not text")?;
        match text {
            "hunter2" => Ok(text.to_owned()),
            _ => Err("not the password"),
        }
    };
    let source = builder.load(parse).expect("good");
    let published = source.published();
    let version = published.load().expect("loaded");
    assert_eq!(version.value(), "hunter2");
    printed += &format!("{source:?} {version:?} {:?}", published.subscribe());
    folder.write("key", "swordfish");
    let error = source.refresh_now().await.expect_err("refused");
    printed += &format!("{error:?} {error} {published:?} {:?}", notebook.last());
    assert!(printed.contains("content refused: not the password"));
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(!printed.contains("swordfish"), "{printed}");
    let failure = source.status();
    let failure = failure.last_failure().expect("failed").at();
    assert!(failure >= version.published_at());
}

#[tokio::test]
async fn keeps_the_last_good_pair_while_one_half_is_new_and_recovers() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    let source = pair.load();
    let mut changes = source.published().subscribe();

    pair.write(2, 1);
    let error = source.refresh_now().await.expect_err("halves differ");
    assert_eq!(error.kind(), SourceErrorKind::Invalid);
    assert_eq!(present(&source), Some((1, 1)));
    let (code, subject, detail) = pair.notebook.last();
    assert_eq!((&*code, &*subject), ("source.failed", "test.pair"));
    assert_eq!(detail, "content refused: cert 2, but key 1");
    let status = source.status();
    assert!(status.is_failing());
    assert_eq!(
        status.last_failure().map(|failure| failure.message()),
        Some("content refused: cert 2, but key 1")
    );

    pair.write(2, 2);
    assert_eq!(
        source.refresh_now().await.expect("a good pair"),
        Refresh::Published(2)
    );
    assert_eq!(changes.next().await, Some(2));
    assert_eq!(present(&source), Some((2, 2)));
    assert!(!source.status().is_failing());
    assert_eq!(
        pair.notebook.codes(),
        ["source.refreshed", "source.failed", "source.refreshed"]
    );
}

#[tokio::test]
async fn a_failure_that_is_undone_is_told_as_recovery_without_a_new_generation() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    let source = pair.load();
    pair.write(1, 7);
    source.refresh_now().await.expect_err("halves differ");
    pair.write(1, 1);
    assert_eq!(
        source.refresh_now().await.expect("as before"),
        Refresh::Unchanged
    );
    assert!(!source.status().is_failing());
    assert_eq!(present(&source), Some((1, 1)));
    assert_eq!(
        pair.notebook.codes(),
        ["source.refreshed", "source.failed", "source.recovered"]
    );
}

/// What the kubelet does: `cert.pem -> ..data/cert.pem`, `..data -> ..<time stamp>`; a new folder
/// is filled, a new link is made, and renamed over `..data`.
#[cfg(unix)]
#[tokio::test]
async fn follows_a_kubernetes_data_swap() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    let swap = |number: u32| {
        let stamp = format!("..2026_{number}");
        folder.write(&format!("{stamp}/cert.pem"), format!("cert {number}"));
        folder.write(&format!("{stamp}/key.pem"), format!("key {number}"));
        symlink(&stamp, folder.path("..data_tmp")).expect("linkable");
        std::fs::rename(folder.path("..data_tmp"), folder.path("..data")).expect("renamable");
    };
    swap(1);
    symlink("..data/cert.pem", &pair.certificate).expect("linkable");
    symlink("..data/key.pem", &pair.key).expect("linkable");
    let source = pair.load();
    assert_eq!(present(&source), Some((1, 1)));

    // More than once: a watch on the file itself would see the first swap and none after it.
    for number in 2..6 {
        swap(number);
        std::fs::remove_dir_all(folder.path(&format!("..2026_{}", number - 1))).expect("ours");
        let refreshed = source.refresh_now().await.expect("a good pair");
        assert_eq!(refreshed, Refresh::Published(number.into()));
        assert_eq!(present(&source), Some((number, number.into())));
    }
}

#[tokio::test]
async fn follows_an_atomic_rename() {
    let folder = Folder::new();
    let path = folder.write("bundle", "one");
    let source = FileSourceBuilder::new("test")
        .add_file(&path)
        .load(move |files| String::from_utf8(files.get(&path).unwrap_or_default().to_vec()))
        .expect("readable");
    let replacement = folder.write("other", "two");
    std::fs::rename(replacement, folder.path("bundle")).expect("renamable");
    assert_eq!(
        source.refresh_now().await.expect("readable"),
        Refresh::Published(2)
    );
    assert_eq!(
        source
            .published()
            .load()
            .map(|v| v.value().clone())
            .as_deref(),
        Some("two")
    );
}

/// A writer that swaps a folder of many files while the source reads it again and again: most
/// readings fall into a swap, and no version may ever mix two folders.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_publishes_a_mixture_under_a_busy_writer() {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::AtomicBool;

    const FILES: usize = 40;
    // So many that the folder seen before never comes round again within two readings.
    const FOLDERS: usize = 100;
    let folder = Folder::new();
    for version in 0..FOLDERS {
        for file in 0..FILES {
            folder.write(&format!("..{version}/{file}"), version.to_string());
        }
    }
    symlink("..0", folder.path("..data")).expect("linkable");
    let mixed = Arc::new(AtomicU32::new(0));
    let mixtures = Arc::clone(&mixed);
    let mut builder = FileSourceBuilder::new("test");
    for file in 0..FILES {
        builder = builder.add_file(folder.path(&format!("..data/{file}")));
    }
    let source = builder
        .load(move |files| {
            let mut contents = files.iter().map(|(_, content)| content);
            let first = contents.next();
            if contents.any(|content| Some(content) != first) {
                mixtures.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, String>(())
        })
        .expect("readable");

    let done = AtomicBool::new(false);
    let (temporary, data) = (folder.path("..tmp"), folder.path("..data"));
    let unsettled = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut version = 0;
            while !done.load(Ordering::SeqCst) {
                version = (version + 1) % FOLDERS;
                symlink(format!("..{version}"), &temporary).expect("linkable");
                std::fs::rename(&temporary, &data).expect("renamable");
            }
        });
        let handle = tokio::runtime::Handle::current();
        let refresh = || tokio::task::block_in_place(|| handle.block_on(source.refresh_now()));
        let unsettled = (0..200)
            .filter_map(|_| refresh().err())
            .filter(|error| error.kind() == SourceErrorKind::Unsettled)
            .count();
        done.store(true, Ordering::SeqCst);
        unsettled
    });
    assert_eq!(mixed.load(Ordering::SeqCst), 0);
    assert_eq!(
        source.status().total_failures(),
        unsettled as u64,
        "no other failure"
    );
    source.refresh_now().await.expect("the writer has stopped");
}

#[tokio::test]
async fn a_touched_file_is_no_new_generation() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    let source = pair.load();
    let times = |path: &Path| {
        std::fs::metadata(path)
            .and_then(|m| m.modified())
            .expect("there")
    };
    let before = times(&pair.key);
    let later = before + Duration::from_secs(3600);
    std::fs::File::options()
        .write(true)
        .open(&pair.key)
        .and_then(|file| file.set_modified(later))
        .expect("ours");
    assert_ne!(times(&pair.key), before, "the file was touched");
    assert_eq!(
        source.refresh_now().await.expect("readable"),
        Refresh::Unchanged
    );
    assert_eq!(present(&source), Some((1, 1)));
    assert_eq!(pair.notebook.codes(), ["source.refreshed"]);
}

#[tokio::test]
async fn a_changed_content_with_the_old_time_and_size_is_a_new_generation() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    let source = pair.load();
    let modified = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified());
    let before = modified(&pair.key).expect("there");
    pair.write(2, 2);
    for path in [&pair.certificate, &pair.key] {
        let file = std::fs::File::options()
            .write(true)
            .open(path)
            .expect("ours");
        file.set_modified(before).expect("ours");
    }
    assert_eq!(
        source.refresh_now().await.expect("readable"),
        Refresh::Published(2)
    );
}

#[tokio::test]
async fn keeps_the_last_good_version_when_a_file_vanishes() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    let source = pair.load();
    std::fs::remove_file(&pair.key).expect("ours");
    let error = source.refresh_now().await.expect_err("gone");
    assert_eq!(error.kind(), SourceErrorKind::Unreadable);
    assert!(error.to_string().ends_with("key.pem"), "{error}");
    assert_eq!(present(&source), Some((1, 1)));
    pair.write(3, 3);
    assert_eq!(
        source.refresh_now().await.expect("back"),
        Refresh::Published(2)
    );
}

#[tokio::test]
async fn a_file_may_fill_its_limit_and_not_exceed_it() {
    let folder = Folder::new();
    for (size, expected) in [
        (99, None),
        (100, None),
        (101, Some(SourceErrorKind::TooLarge)),
    ] {
        let path = folder.write("big", vec![b'x'; size]);
        let result = FileSourceBuilder::new("test")
            .add_file(&path)
            .with_file_limit(100)
            .load(move |files| files.get(&path).map(<[u8]>::len).ok_or("not in the set"));
        match result {
            Ok(source) => {
                assert_eq!(source.published().load().map(|v| *v.value()), Some(size));
                assert_eq!(expected, None);
            }
            Err(error) => assert_eq!(Some(error.kind()), expected),
        }
    }
}

/// The files of `/proc` say that they are empty.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_belies_its_size_does_not_exceed_the_limit_either() {
    let load = |limit| {
        let path = "/proc/self/status";
        let builder = FileSourceBuilder::new("test")
            .add_file(path)
            .with_file_limit(limit);
        builder.load(move |files| files.get(path).map(<[u8]>::len).ok_or("not in the set"))
    };
    assert_eq!(
        std::fs::metadata("/proc/self/status").expect("Linux").len(),
        0
    );
    assert_eq!(
        load(100).expect_err("too large").kind(),
        SourceErrorKind::TooLarge
    );
}

#[cfg(unix)]
#[tokio::test]
async fn reads_nothing_but_regular_files() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/dev/zero", folder.path("zero")).expect("linkable");
    // Opening a socket fails, and opening a FIFO blocks: neither may be tried.
    let _socket =
        std::os::unix::net::UnixListener::bind(folder.path("socket")).expect("a short path");
    for path in [
        folder.path("zero"),
        folder.path("socket"),
        folder.as_ref().to_owned(),
    ] {
        let result = FileSourceBuilder::new("test")
            .add_file(path)
            .load(|_| Ok::<_, String>(()));
        assert_eq!(
            result.expect_err("refused").kind(),
            SourceErrorKind::NotAFile
        );
    }
}

#[tokio::test]
async fn a_parser_that_panics_is_a_failure_and_not_the_end() {
    let folder = Folder::new();
    let path = folder.write("file", "good");
    let parsed = path.clone();
    let source = FileSourceBuilder::new("test")
        .add_file(&path)
        .load(move |files| match files.get(&parsed) {
            Some(b"bad") => panic!("planned"),
            content => content.map(<[u8]>::len).ok_or("not in the set"),
        })
        .expect("readable");
    folder.write("file", "bad");
    let error = source.refresh_now().await.expect_err("panicked");
    assert_eq!(error.kind(), SourceErrorKind::Panicked);
    assert_eq!(source.status().consecutive_failures(), 1);
    folder.write("file", "better");
    assert_eq!(
        source.refresh_now().await.expect("good"),
        Refresh::Published(2)
    );
}

#[tokio::test(start_paused = true)]
async fn polls_by_itself_at_its_interval() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    let clock = TokioClock::new();
    let source = pair
        .builder()
        .with_clock(Arc::clone(&clock) as _)
        .load(pair.parser())
        .expect("good");
    let mut changes = source.published().subscribe();
    let mut waits = std::collections::HashSet::new();
    for number in 2..22 {
        pair.write(number, number);
        let before = clock.monotonic();
        assert_eq!(changes.next().await, Some(number.into()));
        let waited = clock.monotonic().saturating_since(before);
        let tenth = Duration::from_millis(1010);
        assert!(waited >= Duration::from_secs(10) - tenth, "{waited:?}");
        assert!(waited <= Duration::from_secs(10) + tenth, "{waited:?}");
        waits.insert(waited.as_millis());
    }
    assert!(waits.len() > 5, "jittered");
}

#[tokio::test(start_paused = true)]
async fn begins_empty_and_publishes_when_the_files_arrive() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    let source = pair
        .builder()
        .start(pair.parser())
        .expect("settings are fine");
    let published = source.published();
    let mut changes = published.subscribe();
    assert!(published.load().is_none());
    pass(Duration::from_secs(30)).await;
    assert!(published.load().is_none());
    assert!(published.status().consecutive_failures() >= 2);
    pair.write(5, 5);
    assert_eq!(changes.next().await, Some(1));
    assert_eq!(present(&source), Some((5, 1)));
}

#[tokio::test(start_paused = true)]
async fn works_as_long_as_somebody_can_read_and_no_longer() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    // The parser lives exactly as long as the task.
    let alive = Arc::new(());
    let witness = Arc::downgrade(&alive);
    let parse = pair.parser();
    let source = pair
        .builder()
        .load(move |files| {
            let _ = &alive;
            parse(files)
        })
        .expect("a good pair");
    let published = source.published();
    drop(source);
    pair.write(2, 2);
    pass(Duration::from_secs(12)).await;
    assert_eq!(
        published.generation(),
        2,
        "a reading handle keeps the source at work"
    );

    let mut changes = published.clone().subscribe();
    drop(published);
    pair.write(3, 3);
    assert_eq!(changes.next().await, Some(3), "a subscription does, too");
    drop(changes);
    pass(Duration::from_secs(1)).await;
    assert!(witness.upgrade().is_none(), "the task has ended");
}

#[tokio::test]
async fn many_requests_to_refresh_are_all_answered() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    let source = pair.load();
    pair.write(2, 2);
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.refresh_now().await.is_ok() })
        })
        .collect();
    for asked in asking {
        assert!(asked.await.expect("no panic"));
    }
    assert_eq!(present(&source), Some((2, 2)));
}

#[test]
fn refresh_now_tells_when_the_runtime_is_gone() {
    let folder = Folder::new();
    let pair = Pair::in_folder(&folder);
    pair.write(1, 1);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let source = runtime.block_on(async { pair.load() });
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let error = other.block_on(source.refresh_now()).expect_err("stopped");
    assert_eq!(error.kind(), SourceErrorKind::Stopped);
    assert_eq!(
        present(&source),
        Some((1, 1)),
        "what was published stays readable"
    );
}
