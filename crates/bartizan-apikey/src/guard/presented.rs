//! Where a request carries a key, for those who accept something else as well.

use bartizan_core::{Authenticator, Inspection, Presented};

use super::ApiKeyGuard;
use crate::credential::Place;

impl Authenticator for ApiKeyGuard {
    fn presented(&self, inspection: &Inspection<'_>) -> Presented {
        let state = &*self.0;
        if state.in_url(inspection).is_some() {
            return Presented::Misplaced;
        }
        match state.credential(&inspection.parts.headers) {
            Ok(None) => Presented::Nothing,
            Ok(Some(credential)) if credential.place == Place::Authorization => {
                Presented::InAuthorization
            }
            // Also more than one, or one that is none.
            _ => Presented::Elsewhere,
        }
    }
}
