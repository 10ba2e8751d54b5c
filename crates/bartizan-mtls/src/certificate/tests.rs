use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use x509_cert::Certificate as Oracle;
use x509_cert::der::{Decode, Encode};

use super::*;

fn params(uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![
        SanType::DnsName("orders.example.org".try_into().unwrap()),
        SanType::URI(uri.try_into().unwrap()),
    ];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.serial_number = Some(SerialNumber::from_slice(&[0x80, 1, 2]));
    params.not_before = rcgen::date_time_ymd(2020, 2, 29);
    params.not_after = rcgen::date_time_ymd(2050, 1, 1);
    params
}

fn der(params: CertificateParams) -> Vec<u8> {
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec()
}

#[test]
fn reads_what_was_written() {
    let der = der(params("spiffe://example.org/orders"));
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(certificate.serial, [0x80, 1, 2]);
    assert_eq!(
        certificate.not_before,
        WallTime::from_unix_seconds(1_582_934_400)
    );
    assert_eq!(
        certificate.not_after,
        WallTime::from_unix_seconds(2_524_608_000)
    );
    assert!(!certificate.subject_is_empty);
    assert!(!certificate.is_authority);
    let usage = certificate.key_usage.unwrap();
    assert!(usage.critical && usage.digital_signature());
    assert!(!usage.key_cert_sign() && !usage.crl_sign());
    assert_eq!(
        certificate.extended_key_usage,
        Some(ExtendedKeyUsage {
            server_auth: true,
            client_auth: true
        })
    );
    let names = certificate.names.unwrap();
    assert_eq!(
        names.uris().collect::<Vec<_>>(),
        [b"spiffe://example.org/orders"]
    );
    assert_eq!(
        names.dns_names().collect::<Vec<_>>(),
        [b"orders.example.org"]
    );
}

#[test]
fn reads_an_authority() {
    let mut params = params("spiffe://example.org");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(3));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let der = der(params);
    let certificate = Certificate::parse(&der).unwrap();
    assert!(certificate.is_authority);
    let usage = certificate.key_usage.unwrap();
    assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
}

#[test]
fn refuses_an_extension_that_occurs_twice() {
    for (id, content) in [
        (15, &[3, 2, 7, 0x80][..]),
        (17, &[0x30, 3, 0x86, 1, b'a']),
        (19, &[0x30, 0]),
    ] {
        let mut twice = params("spiffe://example.org/orders");
        twice.is_ca = IsCa::ExplicitNoCa;
        let again = CustomExtension::from_oid_content(&[2, 5, 29, id], content.to_vec());
        twice.custom_extensions.push(again);
        assert_eq!(
            Certificate::parse(&der(twice)).err(),
            Some(Malformed),
            "2.5.29.{id}"
        );
    }
}

#[test]
fn refuses_more_names_than_the_limit() {
    let with_names = |count: usize| {
        let mut params = params("spiffe://example.org/orders");
        params.subject_alt_names = (0..count)
            .map(|_| SanType::DnsName("a".try_into().unwrap()))
            .collect();
        Certificate::parse(&der(params)).map(|_| ())
    };
    assert_eq!(with_names(MAX_NAMES), Ok(()));
    assert_eq!(with_names(MAX_NAMES + 1), Err(Malformed));
}

fn check_time(tag: u8, text: &str, expected: Option<u64>) {
    let mut der = vec![tag, u8::try_from(text.len()).unwrap()];
    der.extend(text.as_bytes());
    let seen = time(&mut Reader::new(&der))
        .ok()
        .map(WallTime::unix_seconds);
    assert_eq!(seen, expected, "{text}");
}

#[test]
fn reads_times_as_rfc_5280_writes_them() {
    check_time(der::UTC_TIME, "700101000000Z", Some(0));
    check_time(der::UTC_TIME, "491231235959Z", Some(2_524_607_999));
    check_time(der::UTC_TIME, "500101000000Z", None); // 1950
    check_time(der::UTC_TIME, "240229120000Z", Some(1_709_208_000));
    check_time(der::UTC_TIME, "230229120000Z", None);
    check_time(der::UTC_TIME, "240001000000Z", None);
    check_time(der::UTC_TIME, "240100000000Z", None);
    check_time(der::UTC_TIME, "241301000000Z", None);
    check_time(der::UTC_TIME, "240101240000Z", None);
    check_time(der::UTC_TIME, "240101000060Z", None);
    check_time(der::UTC_TIME, "2401010000Z", None);
    check_time(der::UTC_TIME, "240101000000+0100", None);
    check_time(der::UTC_TIME, "24010100000 Z", None);
    check_time(
        der::GENERALIZED_TIME,
        "20500101000000Z",
        Some(2_524_608_000),
    );
    check_time(der::GENERALIZED_TIME, "20500101000000.0Z", None);
    check_time(
        der::GENERALIZED_TIME,
        "99991231235959Z",
        Some(253_402_300_799),
    );
    check_time(
        der::GENERALIZED_TIME,
        "21000228000000Z",
        Some(4_107_456_000),
    );
    check_time(der::GENERALIZED_TIME, "21000229000000Z", None);
    check_time(der::OCTET_STRING, "20500101000000Z", None);
}

#[test]
fn every_day_comes_after_the_one_before() {
    const LENGTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (year, new_year, february) in [
        (1970, 0, 28),
        (1972, 730, 29),
        (2000, 10_957, 29),
        (2023, 19_358, 28),
        (2024, 19_723, 29),
        (2100, 47_482, 28),
    ] {
        let mut expected = new_year;
        for (month, length) in (1..).zip(LENGTHS) {
            let length = if month == 2 { february } else { length };
            for day in 1..=length {
                let seen = days_since_epoch(year, month, day);
                assert_eq!(seen, Some(expected), "{year}-{month}-{day}");
                expected += 1;
            }
            for day in [0, length + 1] {
                assert_eq!(
                    days_since_epoch(year, month, day),
                    None,
                    "{year}-{month}-{day}"
                );
            }
        }
    }
    for month in [0, 13] {
        assert_eq!(days_since_epoch(2024, month, 1), None);
    }
    assert_eq!(days_since_epoch(1969, 12, 31), None);
}

#[test]
fn reads_key_usage_bits_and_nothing_else() {
    let read = |value: &[u8]| key_usage(value, true).map(|usage| usage.first_byte);
    assert_eq!(read(&[3, 2, 7, 0x80]), Ok(0x80));
    assert_eq!(read(&[3, 3, 7, 0x80, 0x80]), Ok(0x80));
    assert_eq!(read(&[3, 1, 0]), Ok(0));
    assert_eq!(read(&[3, 1, 1]), Err(Malformed));
    assert_eq!(read(&[3, 0]), Err(Malformed));
    assert_eq!(read(&[3, 2, 8, 0x80]), Err(Malformed));
    assert_eq!(read(&[3, 2, 7, 0xc0]), Err(Malformed)); // a bit set among the unused
    assert_eq!(read(&[3, 4, 0, 0, 0, 0]), Err(Malformed));
    assert_eq!(read(&[4, 2, 7, 0x80]), Err(Malformed));
    assert_eq!(read(&[3, 2, 7, 0x80, 0]), Err(Malformed));
}

#[test]
fn serials_are_positive_and_at_most_twenty_octets() {
    assert_eq!(serial(&[0]), Ok(&[0][..]));
    assert_eq!(serial(&[0, 0x80]), Ok(&[0x80][..]));
    assert_eq!(serial(&[0x7f; 20]), Ok(&[0x7f; 20][..]));
    assert_eq!(
        serial(&[&[0][..], &[0xff; 20]].concat()).map(<[u8]>::len),
        Ok(20)
    );
    assert_eq!(serial(&[]), Err(Malformed));
    assert_eq!(serial(&[0x80]), Err(Malformed));
    assert_eq!(serial(&[0, 1]), Err(Malformed));
    assert_eq!(serial(&[0x7f; 21]), Err(Malformed));
    assert_eq!(serial(&[&[0][..], &[0xff; 21]].concat()), Err(Malformed));
}

/// What two readers should agree on: serial, end of validity, URI names, `digitalSignature`.
type Reading = (Vec<u8>, u64, Vec<Vec<u8>>, Option<bool>);

fn by_oracle(der: &[u8]) -> Option<Reading> {
    use x509_cert::ext::pkix::name::GeneralName;
    use x509_cert::ext::pkix::{KeyUsage, SubjectAltName};

    let tbs = Oracle::from_der(der).ok()?.tbs_certificate().clone();
    let serial = tbs.serial_number().as_bytes();
    let start = serial
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(serial.len() - 1);
    let uris = match tbs.get_extension::<SubjectAltName>().ok()? {
        Some((_, names)) => names
            .0
            .iter()
            .filter_map(|name| match name {
                GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_bytes().to_vec()),
                _ => None,
            })
            .collect(),
        None => Vec::new(),
    };
    let signs = tbs
        .get_extension::<KeyUsage>()
        .ok()?
        .map(|(_, usage)| usage.digital_signature());
    let not_after = tbs.validity().not_after.to_unix_duration().as_secs();
    Some((serial[start..].to_vec(), not_after, uris, signs))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn never_panics_on_changed_certificates(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        thread_local! {
            static DER: Vec<u8> = der(params("spiffe://example.org/orders"));
        }
        let mut der = DER.with(Clone::clone);
        for (place, byte) in changes {
            let place = place.index(der.len());
            der[place] = byte;
        }
        if let Some(cut) = cut {
            der.truncate(cut.index(der.len()));
        }
        // Whatever both readers can read, they read alike.
        if let (Ok(ours), Some((serial, not_after, uris, signs))) =
            (Certificate::parse(&der), by_oracle(&der))
        {
            prop_assert_eq!(ours.serial, serial);
            prop_assert_eq!(ours.not_after.unix_seconds(), not_after);
            let our_uris: Vec<_> =
                ours.names.iter().flat_map(|names| names.uris()).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(our_uris, uris);
            prop_assert_eq!(ours.key_usage.map(KeyUsage::digital_signature), signs);
        }
    }

    #[test]
    fn never_panics_on_noise(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Certificate::parse(&bytes);
    }
}

#[test]
fn agrees_with_the_oracle_on_a_sound_certificate() {
    let der = der(params("spiffe://example.org/orders"));
    let (serial, not_after, uris, signs) = by_oracle(&der).unwrap();
    let ours = Certificate::parse(&der).unwrap();
    assert_eq!(ours.serial, serial);
    assert_eq!(ours.not_after.unix_seconds(), not_after);
    assert_eq!(uris, [b"spiffe://example.org/orders"]);
    assert_eq!(signs, Some(true));
    let oracle = Oracle::from_der(&der).unwrap();
    let algorithm = oracle
        .tbs_certificate()
        .subject_public_key_info()
        .algorithm
        .to_der()
        .unwrap();
    assert_eq!(
        Reader::only(&algorithm, der::SEQUENCE),
        Ok(ours.key_algorithm)
    );
}
