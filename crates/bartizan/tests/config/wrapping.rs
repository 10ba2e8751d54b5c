//! Services and modules that wrap data keys, as the file names them.

use bartizan::config::Config;
use bartizan::encrypt::{KeyFile, LocalKek};

use crate::sample::Folder;
use crate::store::{load, store, write_kek};

/// A configuration whose data keys are wrapped by this, in a folder with a keyset file.
fn config(folder: &Folder, wrapped_by: &str) -> Config {
    write_kek(folder);
    let keys = folder.path().join("keyset.json");
    let local = LocalKek::from_file(&folder.path().join("kek")).unwrap();
    drop(KeyFile::create(&keys, local).unwrap());
    let text = format!(
        "[rules]\ninsecure_allow_everything = true\n[encryption]\napplication = 'clinic'\n\
         collection = 'patient'\ntenant = 'north'\nkey_file = 'keyset.json'\nkek_file = 'kek'\n\
         key_attempts = 1\nkey_deadline = '60s'\n\
         field = [{{ path = '/ssn', otherwise = 'mask_last4' }}]\n{wrapped_by}\n"
    );
    let config = Config::load(folder.write("bartizan.toml", &text)).unwrap();
    config.check_files().unwrap();
    config
}

/// A field is sealed, and opened again by another instance. Gives what was stored.
async fn seals(config: &Config) -> String {
    let configured = config.clone().build().await.unwrap();
    let (stored, said) = store(&configured, r#"{"ssn":"123-45-6789"}"#).await;
    assert_eq!(said, (200, r#"{"ssn":"****6789"}"#.to_owned()));
    let stored = stored.unwrap();
    assert!(
        stored.contains("fe1.") && !stored.contains("6789"),
        "{stored}"
    );
    let again = config.clone().build().await.unwrap();
    assert_eq!(load(&again, &stored).await, said);
    stored
}

/// An instance that begins now can neither open nor seal: what wrapped the data keys is away.
#[cfg(any(feature = "aws-kms", feature = "vault"))]
async fn is_needed(config: &Config, stored: &str) {
    let configured = config.clone().build().await.unwrap();
    let (status, said) = load(&configured, stored).await;
    assert!(
        status == 503 && said.contains("encrypt.keys_unavailable"),
        "{said}"
    );
    let (stored, (status, said)) = store(&configured, r#"{"ssn":"123-45-6789"}"#).await;
    assert_eq!((stored, status), (None, 503), "{said}");
}

#[cfg(feature = "aws-kms")]
#[tokio::test]
async fn fields_are_sealed_under_a_key_of_aws_kms() {
    use crate::moto::{Moto, REGION};

    let Some(moto) = Moto::start().await else {
        return;
    };
    let folder = Folder::new();
    folder.write("role-token", "header.claims.signature\n");
    let (key, url) = (moto.key().await, &moto.url);
    let config = config(
        &folder,
        &format!(
            "[encryption.aws_kms]\nkey = '{key}'\nregion = '{REGION}'\nendpoint = '{url}'\n\
             sts_endpoint = '{url}'\nallow_plaintext_loopback = true\n\
             credentials = 'web_identity'\nrole = 'arn:aws:iam::123456789012:role/clinic'\n\
             token_file = 'role-token'\ncontext = [{{ name = 'service', value = 'clinic' }}]\n\
             deadline = '60s'"
        ),
    );
    let stored = seals(&config).await;
    drop(moto);
    is_needed(&config, &stored).await;
}

#[cfg(feature = "vault")]
#[tokio::test]
async fn fields_are_sealed_under_a_key_of_vault() {
    use crate::fake::{FakeVault, ROLE_ID, SECRET_ID};

    let vault = FakeVault::start().await;
    let folder = Folder::new();
    folder.write("secret-id", SECRET_ID);
    let config = config(
        &folder,
        &format!(
            "[encryption.vault]\nurl = '{}'\nkey = 'derived'\nderived_context = true\n\
             app_role = '{ROLE_ID}'\nsecret_id = 'file:secret-id'\n\
             allow_plaintext_loopback = true\ndeadline = '60s'",
            vault.url
        ),
    );
    let stored = seals(&config).await;
    assert_eq!(vault.count("datakey/plaintext/derived"), 1);
    vault.state.lock().unwrap().sealed = true;
    is_needed(&config, &stored).await;
}

/// SoftHSM takes its folder from an environment variable when it is loaded, and a process loads it
/// once: so what matters runs as a process of its own.
#[cfg(feature = "pkcs11")]
mod module {
    use std::env;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    use crate::programs::{in_path, require};
    use crate::sample::Folder;

    const TOKENS: &str = "BARTIZAN_TEST_TOKENS";

    fn run(command: &mut Command) {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success(), "{command:?}");
    }

    #[test]
    fn fields_are_sealed_under_a_key_of_a_module() {
        let modules = [
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib64/softhsm/libsofthsm2.so",
            "/usr/lib64/pkcs11/libsofthsm2.so",
            "/opt/homebrew/lib/softhsm/libsofthsm2.so",
        ];
        let (Some(module), Some(utility), Some(tool)) = (
            require("SoftHSM", modules.map(PathBuf::from)),
            require("softhsm2-util", in_path("softhsm2-util")),
            require("pkcs11-tool", in_path("pkcs11-tool")),
        ) else {
            return;
        };
        let folder = Folder::new();
        let tokens = folder.path().join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let text = format!("directories.tokendir = {}\n", tokens.display());
        let config = folder.write("softhsm2.conf", &text);
        let pins = ["--so-pin", "654321", "--pin", "123456"];
        let mut made = Command::new(utility);
        made.args(["--init-token", "--free", "--label", "clinic"]);
        run(made.args(pins).env("SOFTHSM2_CONF", &config));
        let of_module = |arguments: &[&str]| {
            let mut command = Command::new(&tool);
            command.arg("--module").arg(&module).args(arguments);
            command.args(["--token-label", "clinic", "--login", "--pin", "123456"]);
            run(command.env("SOFTHSM2_CONF", &config));
        };
        let keygen = ["--keygen", "--key-type", "AES:32", "--sensitive"];
        of_module(&[&keygen[..], &["--label", "patients"]].concat());
        let apart = |test: &str| {
            let said = Command::new(env::current_exe().unwrap())
                .args(["--exact", &format!("wrapping::module::{test}"), "--ignored"])
                .env("SOFTHSM2_CONF", &config)
                .env(TOKENS, &module)
                .current_dir(folder.path())
                .output();
            let said = String::from_utf8(said.unwrap().stdout).unwrap();
            // A name that nothing has would pass as well.
            assert!(said.contains("1 passed"), "{said}");
        };
        apart("apart");
        let delete = ["--delete-object", "--type", "secrkey"];
        of_module(&[&delete[..], &["--label", "patients"]].concat());
        apart("apart_without_the_key");
    }

    fn config(folder: &Folder, module: &Path) -> bartizan::config::Config {
        folder.write("pin", "123456");
        let options = format!(
            "[encryption.pkcs11]\nmodule = '{}'\ntoken = 'clinic'\nkey = 'patients'\n\
             pin = 'file:pin'",
            module.display()
        );
        super::config(folder, &options)
    }

    #[tokio::test]
    #[ignore = "started by fields_are_sealed_under_a_key_of_a_module"]
    async fn apart() {
        if let Some(module) = env::var_os(TOKENS) {
            let folder = Folder::new();
            super::seals(&config(&folder, module.as_ref())).await;
        }
    }

    #[tokio::test]
    #[ignore = "started by fields_are_sealed_under_a_key_of_a_module"]
    async fn apart_without_the_key() {
        if let Some(module) = env::var_os(TOKENS) {
            let folder = Folder::new();
            let config = config(&folder, module.as_ref());
            let error = config.build().await.unwrap_err().to_string();
            assert!(error.contains("encryption.pkcs11"), "{error}");
            assert!(!error.contains("123456"), "{error}");
        }
    }
}
