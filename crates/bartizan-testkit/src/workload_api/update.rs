//! What an agent says.

use prost::Message as _;
use rustls::pki_types::CertificateRevocationListDer;

use crate::ca::DevelopmentCa;
use crate::certificate::IssuedCertificate;

/// The whole state of one workload, as an agent tells it. What it is told is what it writes.
#[derive(Clone, Debug)]
#[must_use = "an agent says it once it is published"]
pub struct WorkloadUpdate(Response);

impl WorkloadUpdate {
    /// One SVID, with the root of `bundle` as the bundle of its trust domain.
    pub fn new(id: &str, svid: &IssuedCertificate, bundle: &DevelopmentCa) -> Self {
        Self::withdrawn().add_svid(id, "", svid, bundle)
    }

    /// No SVID at all.
    pub fn withdrawn() -> Self {
        Self(Response::default())
    }

    /// Adds an SVID with this hint.
    pub fn add_svid(
        mut self,
        id: &str,
        hint: &str,
        svid: &IssuedCertificate,
        bundle: &DevelopmentCa,
    ) -> Self {
        self.0.svids.push(Svid {
            spiffe_id: id.to_owned(),
            x509_svid: svid
                .chain_der()
                .iter()
                .flat_map(|der| der.to_vec())
                .collect(),
            x509_svid_key: svid.key().pkcs8_der().to_vec(),
            bundle: bundle.root_der().to_vec(),
            hint: hint.to_owned(),
        });
        self
    }

    /// Adds the root of this authority as the bundle of a federated trust domain.
    pub fn add_federated(self, ca: &DevelopmentCa) -> Self {
        let name = format!("spiffe://{}", ca.trust_domain());
        self.add_federated_der(&name, ca.root_der())
    }

    /// Files these bytes as a federated bundle under this name.
    pub fn add_federated_der(mut self, name: &str, der: &[u8]) -> Self {
        self.0
            .federated_bundles
            .insert(name.to_owned(), der.to_vec());
        self
    }

    /// Adds a revocation list.
    pub fn add_revocation_list(mut self, list: &CertificateRevocationListDer<'_>) -> Self {
        self.0.crl.push(list.to_vec());
        self
    }

    /// The message in protobuf form.
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
}

// `X509SVIDResponse` and `X509SVID` of the protocol's definition.

#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<Svid>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    crl: Vec<Vec<u8>>,
    #[prost(btree_map = "string, bytes", tag = "3")]
    federated_bundles: std::collections::BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Svid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    hint: String,
}
