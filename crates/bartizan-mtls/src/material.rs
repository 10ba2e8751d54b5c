//! What a workload brings to a handshake.

use crate::identity::Identity;
use crate::trust::Trust;

/// What a workload brings to a handshake: who it is, and whom it believes.
///
/// The two are published together, so that a handshake never sees a new leaf with old roots.
/// Listeners and connectors take a [`Published<Material>`](bartizan_source::Published) and use its
/// newest version for each handshake:
///
/// * [`MaterialFiles`](crate::MaterialFiles) reads PEM files and follows their changes,
/// * [`Publisher`](bartizan_source::Publisher) publishes what your own code made,
/// * [`Published::fixed`](bartizan_source::Published::fixed) never changes.
///
/// Cheap to clone. `Debug` never prints the key.
#[derive(Clone, Debug)]
pub struct Material {
    identity: Identity,
    trust: Trust,
}

impl Material {
    /// This identity, and this belief about others.
    pub fn new(identity: Identity, trust: Trust) -> Self {
        Self { identity, trust }
    }

    /// Who we are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whom we believe.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }
}
