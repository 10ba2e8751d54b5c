use super::*;

#[test]
fn a_key_reads_the_same_as_bytes_and_as_text() {
    let raw = parse(&[200; 32]).expect("32 bytes");
    let text = URL_SAFE_NO_PAD.encode([200; 32]);
    assert_eq!(parse(text.as_bytes()).expect("text").id(), raw.id());
    assert_eq!(
        parse(format!("{text}\n").as_bytes()).expect("text").id(),
        raw.id()
    );
    for bad in [
        &[][..],
        &[0; 31],
        &[0; 33],
        b"not base64url, and neither 32 bytes long!",
    ] {
        assert!(parse(bad).is_none());
    }
}

#[test]
fn a_passphrase_gives_one_key_per_salt() {
    let one = PassphraseParameters {
        salt: [1; 16],
        rounds: NonZeroU32::MIN,
    };
    let two = PassphraseParameters {
        salt: [2; 16],
        ..one
    };
    let kek = |parameters| LocalKek::from_passphrase("correct horse battery", parameters);
    let id = |parameters| kek(parameters).expect("long enough").id().to_owned();
    assert_eq!(id(one), id(one));
    assert_ne!(id(one), id(two));
    assert!(matches!(
        LocalKek::from_passphrase("short", one),
        Err(LocalKekError::WeakPassphrase)
    ));
    assert_eq!(PassphraseParameters::ROUNDS.get(), 210_000);
}

#[cfg(unix)]
#[test]
fn a_file_that_everybody_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("bartizan-kek-{}", std::process::id()));
    std::fs::write(&path, [7; 32]).expect("a writable folder");
    let mut outcomes = Vec::new();
    for mode in [0o644, 0o640, 0o600] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
        outcomes.push(LocalKek::from_file(&path).is_ok());
    }
    std::fs::remove_file(&path).expect("ours");
    assert_eq!(outcomes, [false, true, true]);
    assert!(LocalKek::from_file(&path).is_err(), "gone");
    assert!(LocalKek::from_env("BARTIZAN_NO_SUCH_VARIABLE").is_err());
}
