use super::*;

/// A folder that is removed again.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("bartizan-tokens-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("tokens")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn row(byte: u8) -> TokenRow {
    let mut bytes = vec![byte; 100];
    bytes[0] = 1;
    TokenRow {
        token: Token::of([byte; 16]),
        value: Ciphertext::from_bytes(bytes).expect("well formed"),
    }
}

fn rows(file: &TokenFile) -> Vec<Token> {
    let mut rows: Vec<_> = file.log().rows.keys().cloned().collect();
    rows.sort();
    rows
}

#[test]
fn a_file_cut_anywhere_opens_with_every_row_that_was_whole() {
    let folder = Folder::new("cut");
    let file = TokenFile::open(&folder.file(), 10).expect("new");
    let mut ends = vec![FORMAT.len()];
    for byte in 1..4 {
        assert!(file.add(row(byte)).expect("written"));
        ends.push(usize::try_from(file.log().length).expect("short"));
    }
    let whole = std::fs::read(folder.file()).expect("readable");
    assert_eq!(ends.last(), Some(&whole.len()));
    drop(file);
    for cut in FORMAT.len()..=whole.len() {
        std::fs::write(folder.file(), &whole[..cut]).expect("writable");
        let file = TokenFile::open(&folder.file(), 10).expect("it opens");
        let expected = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(rows(&file).len(), expected, "{cut}");
        // What comes next stands on a line of its own.
        assert!(file.add(row(9)).expect("written"));
        drop(file);
        let file = TokenFile::open(&folder.file(), 10).expect("it opens");
        assert_eq!(rows(&file).len(), expected + 1, "{cut}");
    }
}

#[test]
fn it_holds_no_more_rows_than_allowed() {
    let folder = Folder::new("full");
    let file = TokenFile::open(&folder.file(), 2).expect("new");
    assert!(file.add(row(1)).expect("written") && file.add(row(2)).expect("written"));
    assert!(!file.add(row(3)).expect("full"));
    assert_eq!(file.take(&[row(1).token]).expect("written"), 1);
    assert!(file.add(row(3)).expect("room again"));
    drop(file);
    let one = TokenFile::open(&folder.file(), 1);
    assert!(matches!(
        one,
        Err(TokenFileError::Full {
            rows: 2,
            capacity: 1
        })
    ));
    let mut long = row(4);
    long.value = Ciphertext::from_bytes(vec![1; LONGEST]).expect("well formed");
    let file = TokenFile::open(&folder.file(), 9).expect("it opens");
    assert!(file.add(long).is_err());
}

#[test]
fn removed_rows_leave_the_file_when_they_are_most_of_it() {
    let folder = Folder::new("compact");
    let file = TokenFile::open(&folder.file(), 10).expect("new");
    for byte in 1..6 {
        file.add(row(byte)).expect("written");
    }
    let tokens: Vec<_> = (1..5).map(|byte| row(byte).token).collect();
    assert_eq!(file.take(&tokens).expect("written"), 4);
    assert_eq!(file.take(&tokens).expect("written"), 0, "once");
    drop(file);
    let before = std::fs::read_to_string(folder.file()).expect("readable");
    assert!(before.contains(row(1).token.as_str()));
    let file = TokenFile::open(&folder.file(), 10).expect("it opens");
    assert_eq!(rows(&file), [row(5).token]);
    let after = std::fs::read_to_string(folder.file()).expect("readable");
    assert!(!after.contains(row(1).token.as_str()), "{after}");
    assert!(file.add(row(6)).expect("written"));
    drop(file);
    let file = TokenFile::open(&folder.file(), 10).expect("it opens");
    assert_eq!(rows(&file).len(), 2);
}

#[cfg(unix)]
#[test]
fn a_new_file_is_its_owners_alone_and_a_changed_one_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("strict");
    let file = TokenFile::open(&folder.file(), 10).expect("new");
    let mode = std::fs::metadata(folder.file())
        .expect("there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    file.add(row(1)).expect("written");
    drop(file);
    let good = std::fs::read_to_string(folder.file()).expect("readable");
    for (from, to) in [
        ("bartizan-tokens-1", "bartizan-tokens-2"),
        ("+ tok_", "* tok_"),
        (" fe1.", " fe2."),
        ("+ tok_", "+ tok-"),
    ] {
        std::fs::write(folder.file(), good.replacen(from, to, 1)).expect("writable");
        let opened = TokenFile::open(&folder.file(), 10);
        assert!(matches!(opened, Err(TokenFileError::Malformed(_))), "{to}");
    }
    assert!(TokenFile::open(&folder.0, 10).is_err(), "a folder");
}
