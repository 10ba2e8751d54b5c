//! A decision that has to wait.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_core::{Inquiry, Inspection, Rejection};

use super::{ApiKeyGuard, ApiKeyPass, Verdict};
use crate::error::{ApiKeyError, ApiKeyErrorKind};
use crate::origin::Renewal;

/// A check that waits for newer keys.
///
/// It does not copy the key, which stays in the request meanwhile.
pub struct ApiKeyInquiry {
    pub(super) guard: ApiKeyGuard,
    pub(super) renewal: Pin<Box<dyn Future<Output = Renewal> + Send>>,
}

impl Inquiry<ApiKeyPass> for ApiKeyInquiry {
    fn poll_verdict(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        inspection: &mut Inspection<'_>,
    ) -> Poll<Result<ApiKeyPass, Rejection>> {
        let renewal = ready!(self.renewal.as_mut().poll(cx));
        let state = &*self.guard.0;
        Poll::Ready(match self.guard.judge(inspection) {
            Ok(pass) => Ok(pass),
            Err(Verdict::Refused(rejection)) => Err(rejection),
            Err(Verdict::Failed(error)) => Err(state.refuse(error)),
            // A key that nobody could ask for may be one that was made a moment ago.
            Err(Verdict::Unknown(_)) if renewal == Renewal::Failed => {
                Err(state.refuse(ApiKeyError::new(ApiKeyErrorKind::KeysUnavailable)))
            }
            Err(Verdict::Unknown(error)) => Err(state.refuse(error)),
        })
    }
}

impl fmt::Debug for ApiKeyInquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyInquiry")
    }
}
