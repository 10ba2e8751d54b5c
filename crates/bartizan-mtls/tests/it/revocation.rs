//! Certificates that their issuers have taken back.

use std::fs;
use std::time::Duration;

use bartizan_core::{VerifiedCertificate, WallTime};
use bartizan_mtls::{
    MaterialFiles, MtlsListener, REVOCATION_UNKNOWN, REVOKED, RevocationError, RevocationLists,
    Role, Roots, SvidError, TrustBundles, verify_svid,
};
#[cfg(feature = "serve")]
use bartizan_source::Publisher;
use bartizan_source::{Published, Refresh};
#[cfg(feature = "serve")]
use bartizan_testkit::ManualClock;
use bartizan_testkit::{DevelopmentCa, IssuedCertificate};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::support::*;

type List = CertificateRevocationListDer<'static>;

#[cfg(feature = "serve")]
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn lists(lists: &[List]) -> RevocationLists {
    RevocationLists::from_der(lists).expect("good lists")
}

fn revoking(ca: &DevelopmentCa, revoked: &[&IssuedCertificate]) -> List {
    let serials = revoked.iter().map(|certificate| certificate.serial());
    ca.revoke(serials, 1).expect("a list")
}

fn bundle(roots: Roots) -> TrustBundles {
    TrustBundles::new().with_bundle("example.org".parse().expect("a name"), roots)
}

fn roots(ca: &DevelopmentCa) -> Roots {
    Roots::from_der([ca.root_der()]).expect("a root")
}

fn verify(
    certificate: &IssuedCertificate,
    roots: &Roots,
    now: WallTime,
) -> Result<VerifiedCertificate, SvidError> {
    let bundles = bundle(roots.clone());
    verify_svid(&certificate.chain_der(), &bundles, Role::Client, now)
}

/// An authority whose name others have too, as one that was renewed. Its one workload has the
/// serial 7.
struct Twin {
    parameters: CertificateParams,
    key: KeyPair,
}

impl Twin {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self {
            parameters,
            key: KeyPair::generate().unwrap(),
        }
    }

    fn root(&self) -> CertificateDer<'static> {
        self.parameters.self_signed(&self.key).unwrap().into()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.parameters, &self.key)
    }

    fn workload(&self) -> CertificateDer<'static> {
        let mut parameters = CertificateParams::default();
        let uri = "spiffe://example.org/x".try_into().unwrap();
        parameters.subject_alt_names = vec![SanType::URI(uri)];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.serial_number = Some(SerialNumber::from(7));
        let key = KeyPair::generate().unwrap();
        parameters.signed_by(&key, &self.issuer()).unwrap().into()
    }

    fn list(&self, serials: &[u64]) -> List {
        let revocation_time = date_time_ymd(2024, 1, 1);
        let list = CertificateRevocationListParams {
            this_update: revocation_time,
            next_update: date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time,
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer()).unwrap().into()
    }
}

#[test]
fn refuses_the_revoked_and_nobody_else() {
    let ca = ca();
    let now = ca.reference_time();
    let (good, bad) = (ca.workload("/good").unwrap(), ca.workload("/bad").unwrap());
    let roots = roots(&ca).with_revocation_lists(lists(&[revoking(&ca, &[&bad])]));
    assert!(verify(&good, &roots, now).is_ok());
    assert!(matches!(verify(&bad, &roots, now), Err(SvidError::Revoked)));
    assert!(verify(&bad, &self::roots(&ca), now).is_ok());
}

#[test]
fn unknown_status_is_refused_unless_allowed() {
    let ca = ca();
    let now = ca.reference_time();
    let (good, bad) = (ca.workload("/good").unwrap(), ca.workload("/bad").unwrap());
    let overdue = lists(&[revoking(&ca, &[&bad])]);
    let unrelated = DevelopmentCa::new("partner.test").unwrap();
    let absent = lists(&[revoking(&unrelated, &[])]);
    let late = now + DAY + Duration::from_secs(1);

    let refused = |certificate, lists: &RevocationLists, now| {
        let roots = roots(&ca).with_revocation_lists(lists.clone());
        verify(certificate, &roots, now).map(drop)
    };
    let unknown = |result| matches!(result, Err(SvidError::RevocationUnknown(_)));
    let long = ca
        .leaf()
        .add_uri("spiffe://example.org/long")
        .with_not_after(late + DAY);
    let long = long.issue().unwrap();
    assert!(unknown(refused(&long, &overdue, late)));
    assert!(unknown(refused(&good, &absent, now)));

    assert!(refused(&long, &overdue.clone().allow_unknown_status(), late).is_ok());
    assert!(refused(&good, &absent.allow_unknown_status(), now).is_ok());
    // What a list says is obeyed, however old it is.
    let allowing = overdue.allow_unknown_status();
    assert!(matches!(
        refused(&bad, &allowing, now),
        Err(SvidError::Revoked)
    ));
}

#[test]
fn the_issuer_in_between_can_be_revoked_and_needs_a_list_too() {
    let ca = ca();
    let now = ca.reference_time();
    let between = ca.intermediate().unwrap();
    let leaf = between.workload("/x").unwrap();
    let serial = {
        // The intermediate as the leaf's chain has it.
        let chain = leaf.chain_der();
        let parsed = <x509_cert::Certificate as x509_cert::der::Decode>::from_der(&chain[1]);
        parsed
            .unwrap()
            .tbs_certificate()
            .serial_number()
            .as_bytes()
            .to_vec()
    };
    let by_between = between.revoke([], 1).unwrap();
    let check = |set: &[List]| {
        let roots = roots(&ca).with_revocation_lists(lists(set));
        verify(&leaf, &roots, now).map(drop)
    };
    let good = ca.revoke([], 1).unwrap();
    let bad = ca.revoke([&*serial], 2).unwrap();
    assert!(check(&[good.clone(), by_between.clone()]).is_ok());
    assert!(matches!(
        check(std::slice::from_ref(&by_between)),
        Err(SvidError::RevocationUnknown(_))
    ));
    assert!(matches!(
        check(&[good]),
        Err(SvidError::RevocationUnknown(_))
    ));
    assert!(matches!(check(&[bad, by_between]), Err(SvidError::Revoked)));
}

#[test]
fn of_two_lists_of_one_issuer_the_later_counts() {
    let ca = ca();
    let leaf = ca.workload("/x").unwrap();
    let (none, all) = (revoking(&ca, &[]), revoking(&ca, &[&leaf]));
    let check = |set: &[List]| {
        let roots = roots(&ca).with_revocation_lists(lists(set));
        verify(&leaf, &roots, ca.reference_time()).map(drop)
    };
    assert!(matches!(
        check(&[none.clone(), all.clone()]),
        Err(SvidError::Revoked)
    ));
    assert!(check(&[all, none]).is_ok());
}

#[test]
fn authorities_of_one_name_have_a_list_each() {
    let (old, new) = (Twin::new(), Twin::new());
    let now = WallTime::from_unix_seconds(1_800_000_000);
    let roots = Roots::from_der(&[old.root(), new.root()]).unwrap();
    let check = |twin: &Twin, set: &[List]| {
        let bundles = bundle(roots.clone().with_revocation_lists(lists(set)));
        verify_svid(&[twin.workload()], &bundles, Role::Client, now).map(drop)
    };
    let revoked = |result| matches!(result, Err(SvidError::Revoked));
    let unknown = |result| matches!(result, Err(SvidError::RevocationUnknown(_)));
    let (nobody, everybody) = (old.list(&[]), new.list(&[7]));
    for set in [
        [nobody.clone(), everybody.clone()],
        [everybody.clone(), nobody.clone()],
    ] {
        assert!(check(&old, &set).is_ok());
        assert!(revoked(check(&new, &set)));
    }
    // A list that has the name of the issuer and not its signature tells nothing, and even where
    // unknown status passes, whoever put it there is not to be trusted.
    assert!(unknown(check(&old, std::slice::from_ref(&everybody))));
    let roots = roots.clone();
    let allowing = lists(&[everybody]).allow_unknown_status();
    let bundles = bundle(roots.with_revocation_lists(allowing));
    assert!(unknown(
        verify_svid(&[old.workload()], &bundles, Role::Client, now).map(drop)
    ));
}

#[test]
fn the_later_list_of_an_issuer_counts_beside_others_that_take_turns() {
    let (old, new, mut between) = (Twin::new(), Twin::new(), Twin::new());
    let name = &mut between.parameters.distinguished_name;
    name.push(DnType::CommonName, "between");
    let signed = between.parameters.signed_by(&between.key, &old.issuer());
    let chain = [between.workload(), signed.unwrap().into()];
    let roots = Roots::from_der(&[old.root(), new.root()]).unwrap();
    let now = WallTime::from_unix_seconds(1_800_000_000);
    let check = |set: &[List]| {
        let bundles = bundle(roots.clone().with_revocation_lists(lists(set)));
        verify_svid(&chain, &bundles, Role::Client, now).map(drop)
    };
    let (nobody, everybody) = (between.list(&[]), between.list(&[7]));
    // The root that issued has its turn after the other; the list of the one between has not.
    let roots_lists = [old.list(&[]), new.list(&[])];
    let with = |lists: [&List; 2]| {
        let all = roots_lists.iter().chain(lists);
        check(&all.cloned().collect::<Vec<_>>())
    };
    let revoked = with([&nobody, &everybody]);
    assert!(matches!(revoked, Err(SvidError::Revoked)), "{revoked:?}");
    assert!(with([&everybody, &nobody]).is_ok());
}

#[test]
fn refuses_what_is_no_list() {
    let ca = ca();
    assert!(matches!(
        RevocationLists::from_der([]),
        Err(RevocationError::Empty)
    ));
    assert!(matches!(
        RevocationLists::from_pem(b"# nothing"),
        Err(RevocationError::Empty)
    ));
    let cut = b"-----BEGIN X509 CRL-----\nAAAA";
    assert!(matches!(
        RevocationLists::from_pem(cut),
        Err(RevocationError::Pem)
    ));
    let good = ca.revoke([], 1).unwrap();
    let garbage = CertificateRevocationListDer::from(&good[..good.len() - 1]);
    assert!(matches!(
        RevocationLists::from_der([&good, &garbage]),
        Err(RevocationError::Unreadable { position: 1, .. })
    ));
    let many = vec![good; 65];
    assert!(matches!(
        RevocationLists::from_der(&many),
        Err(RevocationError::TooMany { limit: 64 })
    ));
    assert_eq!(lists(&many[..64]).len(), 64);
}

#[tokio::test]
async fn a_revoked_client_does_not_get_in() {
    let ca = ca();
    let recorder = Recorder::default();
    let (good, bad) = (
        ca.workload("/ns/shop/sa/orders").unwrap(),
        ca.workload("/ns/shop/sa/orders").unwrap(),
    );
    let unlisted = ca
        .intermediate()
        .unwrap()
        .workload("/ns/shop/sa/orders")
        .unwrap();
    let trusted = bundle(roots(&ca).with_revocation_lists(lists(&[revoking(&ca, &[&bad])])));
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let published = Published::fixed(material(&issued, &trusted));
    let builder = MtlsListener::builder(published).with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    assert!(foreign_get(&ca, Some(&bad), address).await.is_err());
    assert_eq!(recorder.wait_for(1).await[0].0, REVOKED);
    assert!(foreign_get(&ca, Some(&unlisted), address).await.is_err());
    assert_eq!(recorder.wait_for(2).await[1].0, REVOCATION_UNKNOWN);
    assert_eq!(
        foreign_get(&ca, Some(&good), address).await.unwrap().body,
        ORDERS
    );
}

#[tokio::test]
async fn a_revoked_server_is_not_spoken_to() {
    let ca = ca();
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let material_of = |certificate, list| {
        let trusted = bundle(roots(&ca).with_revocation_lists(lists(&[list])));
        material(certificate, &trusted)
    };
    let builder = MtlsListener::builder(Published::fixed(payments_of(&ca, &issued)));
    let address = serve(builder, allow(ORDERS)).await;
    let us = ca.workload("/ns/shop/sa/orders").unwrap();
    let good = client(material_of(&us, revoking(&ca, &[])), only(PAYMENTS));
    assert_eq!(get(&good, address).await.unwrap().body, ORDERS);
    let warned = client(material_of(&us, revoking(&ca, &[&issued])), only(PAYMENTS));
    let error = get(&warned, address).await.unwrap_err();
    assert!(format!("{error:?}").contains("Revoked"), "{error:?}");
}

fn payments_of(ca: &DevelopmentCa, issued: &IssuedCertificate) -> bartizan_mtls::Material {
    material(issued, &bundles([ca]))
}

#[tokio::test]
async fn lists_from_files_take_effect_when_they_change() {
    let ca = ca();
    let folder = crate::files::folder("revocation");
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    ca.write_pem(&folder, "ca").unwrap();
    issued.write_pem(&folder, "svid").unwrap();
    let write = |list: &List| ca.write_crl_pem(&folder, "crl", list).unwrap();
    write(&revoking(&ca, &[]));
    let domain: bartizan_core::TrustDomain = "example.org".parse().unwrap();
    let source = MaterialFiles::new(folder.join("svid.pem"), folder.join("svid-key.pem"))
        .with_bundle(domain.clone(), folder.join("ca.pem"))
        .with_revocation_lists(domain, folder.join("crl.pem"))
        .with_interval(DAY)
        .load()
        .unwrap();
    let recorder = Recorder::default();
    let builder = MtlsListener::builder(source.published()).with_observer(recorder.shared());
    let address = serve(builder, allow(ORDERS)).await;
    let client = ca.workload("/ns/shop/sa/orders").unwrap();
    assert!(foreign_get(&ca, Some(&client), address).await.is_ok());

    // Nothing of a list that was cut short, which would let everybody in.
    fs::write(folder.join("crl.pem"), "").unwrap();
    assert!(source.refresh_now().await.is_err());
    // Naming ourselves does not keep the list from naming others.
    write(&revoking(&ca, &[&client, &issued]));
    assert_eq!(source.refresh_now().await.unwrap(), Refresh::Published(2));
    assert!(foreign_get(&ca, Some(&client), address).await.is_err());
    assert_eq!(recorder.wait_for(1).await[0].0, REVOKED);
}

#[tokio::test]
async fn lists_for_dns_identities_refuse_whom_they_name_and_whom_they_do_not_know() {
    let ca = ca();
    let folder = crate::files::folder("dns-revocation");
    let own = ca.leaf().add_dns("payments.test").issue().unwrap();
    own.write_pem(&folder, "tls").unwrap();
    ca.write_pem(&folder, "ca").unwrap();
    let client = |ca: &DevelopmentCa| ca.leaf().add_dns("orders.test").issue().unwrap();
    let (good, bad) = (client(&ca), client(&ca));
    let unlisted = client(&ca.intermediate().unwrap());
    ca.write_crl_pem(&folder, "crl", &revoking(&ca, &[&bad]))
        .unwrap();
    let files = || {
        let file = |name| folder.join(name);
        MaterialFiles::dns(file("tls.pem"), file("tls-key.pem"), file("ca.pem")).with_interval(DAY)
    };
    let verdict = |files: MaterialFiles, certificate: &IssuedCertificate| {
        let published = files.load().unwrap().published();
        let version = published.load().unwrap();
        let (chain, now) = (certificate.chain_der(), ca.reference_time());
        let trust = version.value().trust();
        assert!(trust.bundles().is_none());
        trust.verify(&chain, Role::Client, now)
    };
    assert!(verdict(files(), &bad).is_ok(), "nobody said so");

    let strict = || files().with_dns_revocation_lists(folder.join("crl.pem"));
    assert!(verdict(strict(), &good).is_ok());
    let revoked = verdict(strict(), &bad);
    assert!(matches!(revoked, Err(SvidError::Revoked)), "{revoked:?}");
    let unknown = verdict(strict(), &unlisted);
    assert!(
        matches!(unknown, Err(SvidError::RevocationUnknown(_))),
        "{unknown:?}"
    );

    let lenient = || strict().allow_unknown_revocation_status();
    assert!(verdict(lenient(), &unlisted).is_ok());
    let revoked = verdict(lenient(), &bad);
    assert!(matches!(revoked, Err(SvidError::Revoked)), "{revoked:?}");

    // Observers hear of a list that cannot be used, and the last good one stays.
    let recorder = Recorder::default();
    let source = strict().with_observer(recorder.shared()).load().unwrap();
    fs::write(folder.join("crl.pem"), "").unwrap();
    let error = format!("{:?}", source.refresh_now().await.unwrap_err());
    assert!(error.contains("crl.pem"), "{error}");
    let codes = recorder.codes();
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes, ["source.refreshed", "source.failed"]);
    let version = source.published().load().unwrap();
    let (chain, now) = (bad.chain_der(), ca.reference_time());
    let revoked = version.value().trust().verify(&chain, Role::Client, now);
    assert!(matches!(revoked, Err(SvidError::Revoked)), "{revoked:?}");
}

#[cfg(feature = "serve")]
#[tokio::test]
async fn an_open_connection_ends_when_its_peer_is_revoked() {
    let ca = ca();
    let issued = ca.workload("/ns/shop/sa/payments").unwrap();
    let client = ca.workload("/ns/shop/sa/orders").unwrap();
    let other = ca.workload("/ns/shop/sa/orders").unwrap();
    let with = |list: List| {
        let roots = roots(&ca).with_revocation_lists(lists(&[list]));
        material(&issued, &bundle(roots))
    };
    let publisher = Publisher::new(clock(&ManualClock::default()));
    publisher.publish(with(revoking(&ca, &[])));
    let recorder = Recorder::default();
    let listener = MtlsListener::builder(publisher.published())
        .with_observer(recorder.shared())
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = listener.local_addr();
    let app = axum::Router::new().route("/", axum::routing::get(async || "here"));
    tokio::spawn(bartizan_mtls::serve(listener, app).into_future());

    let connected = |certificate: &IssuedCertificate| {
        let client = self::client(payments_of(&ca, certificate), only(PAYMENTS));
        async move {
            assert_eq!(get(&client, address).await.unwrap().body, "here");
            client
        }
    };
    let (bad, good) = (connected(&client).await, connected(&other).await);
    // Issued later, so that expiry is not what ends it.
    let list = ca
        .revoke_at([client.serial()], 2, ca.reference_time(), HOUR)
        .unwrap();
    publisher.publish(with(list));
    assert_eq!(recorder.wait_for(1).await, [(REVOKED, ORDERS.to_owned())]);
    // The next request needs a new connection, which is refused.
    assert!(get(&bad, address).await.is_err());
    assert_eq!(get(&good, address).await.unwrap().body, "here");
}
