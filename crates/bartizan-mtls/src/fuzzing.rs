//! What the fuzz targets of this repository reach beyond the public interface. Not part of it.

use bartizan_core::WallTime;

use crate::certificate;
use crate::material::Material;

/// What a message of the Workload API comes to, in 2027.
pub fn workload_api_update(bytes: &[u8]) -> Option<Material> {
    crate::workload_api::read_message(bytes, WallTime::from_unix_seconds(1_800_000_000))
}

/// What is read of a certificate.
#[derive(Debug)]
#[non_exhaustive]
pub struct Certificate {
    /// Without leading zeros.
    pub serial: Vec<u8>,
    /// From and to, in seconds since 1970.
    pub validity: [u64; 2],
    /// Whether the subject has no part.
    pub subject_is_empty: bool,
    /// Whether it may be an authority.
    pub is_authority: bool,
    /// Whether the key may be used for signatures, certificates and revocation lists, and whether
    /// that is critical.
    pub key_usage: Option<[bool; 4]>,
    /// Whether it is for servers, and for clients.
    pub extended_key_usage: Option<[bool; 2]>,
    /// Names that are URIs.
    pub uris: Vec<Vec<u8>>,
    /// Names of the DNS.
    pub dns_names: Vec<Vec<u8>>,
    /// Whether names are critical, if there are any of any kind.
    pub names_are_critical: Option<bool>,
}

/// Reads a certificate.
pub fn certificate(der: &[u8]) -> Option<Certificate> {
    let read = certificate::Certificate::parse(der).ok()?;
    Some(Certificate {
        serial: read.serial.to_vec(),
        validity: [read.not_before, read.not_after].map(WallTime::unix_seconds),
        subject_is_empty: read.subject_is_empty,
        is_authority: read.is_authority,
        key_usage: read.key_usage.map(|usage| {
            let signs = [usage.key_cert_sign(), usage.crl_sign()];
            [
                usage.digital_signature(),
                signs[0],
                signs[1],
                usage.critical,
            ]
        }),
        extended_key_usage: read
            .extended_key_usage
            .map(|usage| [usage.server_auth, usage.client_auth]),
        uris: read
            .names
            .iter()
            .flat_map(|names| names.uris().map(<[u8]>::to_vec))
            .collect(),
        dns_names: read
            .names
            .iter()
            .flat_map(|names| names.dns_names().map(<[u8]>::to_vec))
            .collect(),
        names_are_critical: read.names.map(|names| names.critical),
    })
}
