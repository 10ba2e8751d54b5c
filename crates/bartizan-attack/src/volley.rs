//! What an attack sends.

use crate::authority::Identity;
use crate::draft::{Draft, Field};

/// One thing that is sent.
#[derive(Clone, Debug)]
pub(crate) enum Shot {
    /// A request, over a connection as the client of the control request would open it.
    Request(Draft),
    /// Bytes over a connection for HTTP/1.1. Every answer on it counts.
    Raw(Vec<u8>),
    /// One request of HTTP/2: its fields as they stand, its body, and what its trailers are.
    Fields(Vec<Field>, Vec<u8>, Vec<Field>),
    /// Frames behind the preface of HTTP/2; the answer is read on stream 1.
    Frames(Vec<u8>),
    /// A request under another certificate, or none.
    As(Option<Identity>, Draft),
    /// A request behind bytes that come before everything else, the TLS handshake included.
    Behind(Vec<u8>, Draft),
}

impl From<Draft> for Shot {
    fn from(draft: Draft) -> Self {
        Self::Request(draft)
    }
}

/// A control request, and the shots of an attack that differ from it in one thing.
#[derive(Clone, Debug)]
pub(crate) struct Volley {
    pub(crate) control: Shot,
    pub(crate) shots: Vec<Shot>,
    /// Names the way in which the control is made, so that its result is known for others.
    pub(crate) kind: &'static str,
    /// What must not show in an answer.
    pub(crate) marker: Option<Vec<u8>>,
    /// Codes of gRPC that are no failure here.
    pub(crate) excused_grpc: Vec<u16>,
    /// Limits are what it is about: whoever is limited is not asked to wait.
    pub(crate) floods: bool,
}

impl Volley {
    pub(crate) fn new(
        kind: &'static str,
        control: impl Into<Shot>,
        shots: impl IntoIterator<Item = impl Into<Shot>>,
    ) -> Self {
        Self {
            control: control.into(),
            shots: shots.into_iter().map(Into::into).collect(),
            kind,
            marker: None,
            excused_grpc: Vec::new(),
            floods: false,
        }
    }

    /// What was planted, and must not come back.
    pub(crate) fn planting(mut self, marker: impl AsRef<[u8]>) -> Self {
        self.marker = Some(marker.as_ref().to_vec());
        self
    }

    /// A failure by the code `INTERNAL` is what gRPC asks for here.
    pub(crate) fn excusing_internal(mut self) -> Self {
        self.excused_grpc.push(13);
        self
    }

    pub(crate) fn flooding(mut self) -> Self {
        self.floods = true;
        self
    }
}
