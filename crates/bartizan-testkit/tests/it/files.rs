//! PEM files, read back by rustls.

use std::fs;
use std::path::PathBuf;

use bartizan_testkit::{DevelopmentCa, TestkitError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// A folder of this test's own, removed again at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn pem_files_hold_what_was_issued() {
    let folder = Folder::new("pem_files_hold_what_was_issued");
    let root = DevelopmentCa::new("example.org").unwrap();
    let ca = root.intermediate().unwrap();
    let leaf = ca.workload("/ns/shop/sa/orders").unwrap();
    ca.write_pem(&folder.0, "ca").unwrap();
    leaf.write_pem(&folder.0, "orders").unwrap();
    ca.write_crl_pem(&folder.0, "crl", &ca.revoke([leaf.serial()], 1).unwrap())
        .unwrap();

    let read = |name: &str| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(folder.0.join(name))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    assert_eq!(read("ca.pem"), [root.certificate_der().clone()]);
    assert_eq!(read("orders.pem"), leaf.chain_der());
    let key = PrivateKeyDer::from_pem_file(folder.0.join("orders-key.pem")).unwrap();
    assert_eq!(key, leaf.key().to_rustls());
    assert!(CertificateRevocationListDer::from_pem_file(folder.0.join("crl.pem")).is_ok());
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let folder = Folder::new("a_file_that_cannot_be_written_is_named");
    let missing = folder.0.join("missing");
    let error = DevelopmentCa::new("example.org")
        .unwrap()
        .write_pem(&missing, "ca")
        .unwrap_err();
    assert!(matches!(error, TestkitError::Io { .. }));
    assert!(error.to_string().contains("missing/ca.pem"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_private_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new("a_private_key_is_for_its_owner_alone");
    let leaf = DevelopmentCa::new("example.org")
        .unwrap()
        .workload("/orders")
        .unwrap();
    // Also where an older file stands that others could read.
    fs::write(folder.0.join("orders-key.pem"), "old").unwrap();
    leaf.write_pem(&folder.0, "orders").unwrap();
    let mode = fs::metadata(folder.0.join("orders-key.pem"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::read_to_string(folder.0.join("orders-key.pem")).unwrap(),
        leaf.key_pem()
    );
}
