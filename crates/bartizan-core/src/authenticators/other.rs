//! What becomes of the authenticator that was not asked first.

use crate::context::SecurityContext;
use crate::guard::Inspection;
use crate::pass::Settled;

/// Whether the other authenticator is asked as well.
#[derive(Clone, Debug)]
pub(crate) enum Other {
    Always,
    /// The other one decides, and whoever is asked before it only watches: in a context of its
    /// own, so that nothing it writes down is known to those further in.
    Decides(SecurityContext),
    IfShadowed,
    Never,
}

impl Other {
    pub(super) fn applies<P>(&self, settled: &Settled<P>) -> bool {
        match self {
            Self::Always | Self::Decides(_) => true,
            Self::IfShadowed => settled.is_shadowed(),
            Self::Never => false,
        }
    }

    pub(super) const fn decides(&self) -> bool {
        matches!(self, Self::Decides(_))
    }

    /// Lets whoever is asked see the request, in the context that it is to see.
    pub(super) fn seen_by<R>(
        &self,
        inspection: &mut Inspection<'_>,
        ask: impl FnOnce(&mut Inspection<'_>) -> R,
    ) -> R {
        let Self::Decides(aside) = self else {
            return ask(inspection);
        };
        // What it leaves in the request for those further in, such as a token to pass on, is thrown
        // away with the context.
        let extensions = inspection.parts.extensions.clone();
        let mut watched = Inspection {
            parts: &mut *inspection.parts,
            context: aside,
            protocol: inspection.protocol,
            note: inspection.note.take(),
        };
        let answer = ask(&mut watched);
        inspection.note = watched.note;
        inspection.parts.extensions = extensions;
        answer
    }
}
