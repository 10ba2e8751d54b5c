//! Material from files that change.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_mtls::{Material, MaterialFiles, MtlsListener};
use bartizan_source::{FileSource, Refresh};
use bartizan_testkit::{DevelopmentCa, ManualClock};

use crate::support::*;

/// A folder of its own for each test.
pub fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("mtls-files")
        .join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn files(folder: &std::path::Path) -> MaterialFiles {
    MaterialFiles::new(folder.join("svid.pem"), folder.join("svid-key.pem"))
        .with_bundle("example.org".parse().expect("a name"), folder.join("ca.pem"))
        // The tests ask for each reading.
        .with_interval(Duration::from_secs(86_400))
}

fn serial(source: &FileSource<Material>) -> Vec<u8> {
    source
        .published()
        .load()
        .expect("loaded")
        .value()
        .identity()
        .serial()
        .to_vec()
}

#[tokio::test]
async fn follows_changes_and_keeps_the_last_good_version() {
    let (ca, folder) = (ca(), folder("follows"));
    let first = ca.workload("/ns/shop/sa/payments").unwrap();
    ca.write_pem(&folder, "ca").unwrap();
    first.write_pem(&folder, "svid").unwrap();
    let source = files(&folder).load().unwrap();
    let address = serve(MtlsListener::builder(source.published()), allow(ORDERS)).await;
    let served = async || {
        let answer = get(&client(orders(&ca), only(PAYMENTS)), address)
            .await
            .unwrap();
        answer.server.unwrap().peer().unwrap().serial().to_vec()
    };
    assert_eq!(served().await, first.serial());

    let second = ca.workload("/ns/shop/sa/payments").unwrap();
    second.write_pem(&folder, "svid").unwrap();
    assert_eq!(source.refresh_now().await.unwrap(), Refresh::Published(2));
    assert_eq!(served().await, second.serial());

    // The key of another certificate: somebody replaced one file and not yet the other.
    let third = ca.workload("/ns/shop/sa/payments").unwrap();
    fs::write(folder.join("svid-key.pem"), third.key_pem()).unwrap();
    let error = source.refresh_now().await.unwrap_err();
    assert!(
        format!("{error:?}").contains("does not belong"),
        "{error:?}"
    );
    assert_eq!(served().await, second.serial());
    assert!(source.status().is_failing());

    third.write_pem(&folder, "svid").unwrap();
    assert_eq!(source.refresh_now().await.unwrap(), Refresh::Published(3));
    assert_eq!(served().await, third.serial());
}

#[tokio::test]
async fn refuses_what_is_no_sound_material() {
    let (ca, folder) = (ca(), folder("refuses"));
    let good = ca.workload("/ns/shop/sa/payments").unwrap();
    let write = |issued: &bartizan_testkit::IssuedCertificate| {
        issued.write_pem(&folder, "svid").unwrap();
        ca.write_pem(&folder, "ca").unwrap();
    };
    let refused = |because: &str| {
        let error = files(&folder).load().expect_err(because);
        let message = format!("{error:?}");
        assert!(message.contains(because), "{message}");
        assert!(!message.contains("BEGIN"), "{message}");
    };
    assert!(files(&folder).load().is_err(), "no files at all");

    let past = ca.reference_time().saturating_sub(Duration::from_secs(60));
    write(
        &ca.leaf()
            .add_uri(PAYMENTS)
            .with_not_after(past)
            .issue()
            .unwrap(),
    );
    refused("certificate expired");

    write(&ca.leaf().add_dns("payments").issue().unwrap());
    refused("0 uri names");

    write(&good);
    fs::write(folder.join("ca.pem"), good.chain_pem()).unwrap();
    refused("no certificate authority");

    fs::write(folder.join("ca.pem"), "").unwrap();
    refused("ca.pem");

    write(&good);
    assert_eq!(serial(&files(&folder).load().unwrap()), good.serial());
}

#[tokio::test]
async fn uses_its_clock_and_takes_one_file_for_both() {
    let (ca, folder) = (ca(), folder("clock"));
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let both = folder.join("both.pem");
    fs::write(&both, format!("{}{}", issued.chain_pem(), issued.key_pem())).unwrap();
    let manual = ManualClock::at(ca.reference_time());
    let files = || MaterialFiles::new(&both, &both).with_clock(clock(&manual));
    assert_eq!(serial(&files().load().unwrap()), issued.serial());
    manual.advance(Duration::from_secs(2 * 86_400));
    assert!(files().load().is_err());
}

#[tokio::test]
async fn reads_dns_identities_from_files() {
    let (ca, folder) = (DevelopmentCa::new("unused.test").unwrap(), folder("dns"));
    let issued = ca.leaf().add_dns("orders.test").issue().unwrap();
    issued.write_pem(&folder, "tls").unwrap();
    ca.write_pem(&folder, "ca").unwrap();
    let source = MaterialFiles::dns(
        folder.join("tls.pem"),
        folder.join("tls-key.pem"),
        folder.join("ca.pem"),
    )
    .start()
    .unwrap();
    let version = source.published().ready().await.unwrap();
    assert_eq!(version.value().identity().spiffe_id(), None);
    assert_eq!(version.value().identity().serial(), issued.serial());
}

#[tokio::test]
async fn keeps_a_chain_that_its_own_bundle_does_not_vouch_for_from_being_published() {
    let (ca, other, folder) = (ca(), ca(), folder("own-bundle"));
    let first = ca.workload("/ns/shop/sa/payments").unwrap();
    ca.write_pem(&folder, "ca").unwrap();
    first.write_pem(&folder, "svid").unwrap();
    let source = files(&folder).load().unwrap();
    // The root was replaced before the leaf was renewed.
    other.write_pem(&folder, "ca").unwrap();
    let error = source.refresh_now().await.unwrap_err();
    assert!(format!("{error:?}").contains("own bundle"), "{error:?}");
    assert_eq!(serial(&source), first.serial());
    let second = other.workload("/ns/shop/sa/payments").unwrap();
    second.write_pem(&folder, "svid").unwrap();
    assert_eq!(source.refresh_now().await.unwrap(), Refresh::Published(2));
    assert_eq!(serial(&source), second.serial());
}
