//! Whether every connection of a listener has a peer.

use std::fmt;

use bartizan_core::Peer;

/// Whether every connection has a peer: [`Peer`] where each does, `Option<Peer>` where a
/// [`MtlsListener`](crate::MtlsListener) was told to take clients without a certificate, or
/// plaintext.
///
/// Whoever did not ask for that has no `Option` to take apart. Implemented for these two alone.
pub trait Presence: sealed::Sealed {}

impl Presence for Peer {}

impl Presence for Option<Peer> {}

mod sealed {
    use super::{Peer, fmt};

    #[expect(unnameable_types, reason = "seals the trait")]
    pub trait Sealed: Clone + fmt::Debug + Send + Sync + Unpin + 'static {
        /// From what a connection proved; `None` if that is not enough.
        fn of(peer: Option<Peer>) -> Option<Self>;

        /// The peer, if there is one.
        fn known(&self) -> Option<&Peer>;
    }

    impl Sealed for Peer {
        fn of(peer: Option<Peer>) -> Option<Self> {
            peer
        }

        fn known(&self) -> Option<&Peer> {
            Some(self)
        }
    }

    impl Sealed for Option<Peer> {
        fn of(peer: Option<Peer>) -> Option<Self> {
            Some(peer)
        }

        fn known(&self) -> Option<&Peer> {
            self.as_ref()
        }
    }
}
