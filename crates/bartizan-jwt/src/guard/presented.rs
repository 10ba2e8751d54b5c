//! Where a request carries a token, for those who accept something else as well.

use bartizan_core::{Authenticator, Inspection, Presented};
use http::HeaderValue;
use http::header::AUTHORIZATION;

use super::JwtGuard;
use crate::credential;

impl Authenticator for JwtGuard {
    fn presented(&self, inspection: &Inspection<'_>) -> Presented {
        let headers = &inspection.parts.headers;
        match self.state().credential(headers) {
            Ok(None) => Presented::Nothing,
            // There is one, so that it is the one in `Authorization` if there is one there.
            Ok(Some(_)) => {
                let fields = headers.get_all(AUTHORIZATION).iter();
                match credential::in_authorization(fields.map(HeaderValue::as_bytes)) {
                    Ok(Some(_)) => Presented::InAuthorization,
                    _ => Presented::Elsewhere,
                }
            }
            // More than one, or one that is none.
            Err(_) => Presented::Elsewhere,
        }
    }
}
