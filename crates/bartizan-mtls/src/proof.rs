//! What a peer was believed by, for asking again while its connection lives.

use bartizan_core::{Code, WallTime};
use rustls_pki_types::CertificateDer;

use crate::handshake::REVOKED;
use crate::material::Material;
use crate::rules::Role;
use crate::svid_error::SvidError;
use crate::trust::Trust;

/// The peer of a connection is no longer believed: its root or bundle was withdrawn, or
/// revocation lists no longer tell its status.
pub const TRUST_WITHDRAWN: Code = Code::new("mtls.trust_withdrawn");

/// What the peer was believed by, and when.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) trust: Trust,
    pub(crate) at: WallTime,
}

impl Proof {
    /// Asks whether this chain would be believed by what is trusted now.
    ///
    /// As of the handshake: expiry has its own switch.
    pub(crate) fn ask_again(
        &mut self,
        material: &Material,
        chain: &[CertificateDer<'_>],
    ) -> Result<(), Code> {
        let trust = material.trust();
        if trust.is_same(&self.trust) {
            // So that the old one can be let go.
            self.trust = trust.clone();
            return Ok(());
        }
        self.trust = trust.clone();
        let algorithms = material.identity().crypto().algorithms();
        match trust.verify_with(algorithms, chain, Role::Client, self.at) {
            Ok(_) => Ok(()),
            Err(SvidError::Revoked) => Err(REVOKED),
            Err(_) => Err(TRUST_WITHDRAWN),
        }
    }
}
