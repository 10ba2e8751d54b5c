//! What one layer concluded about one request.

use std::sync::Arc;

use crate::code::Code;

/// What one layer concluded about one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    layer: &'static str,
    outcome: Outcome,
    enforcement: Enforcement,
    code: Option<Code>,
    detail: Option<Arc<str>>,
}

/// The four ways in which a layer can conclude.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Outcome {
    /// The layer let the request pass.
    Allowed,
    /// The layer lacked what it needs to decide; an enforcing layer then refuses.
    CouldNotDecide,
    /// The layer refused the request.
    Denied,
    /// A layer in shadow mode would have refused the request, and let it pass.
    WouldHaveDenied,
}

impl Outcome {
    /// A short stable name, fit for a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::CouldNotDecide => "could_not_decide",
            Self::Denied => "denied",
            Self::WouldHaveDenied => "would_have_denied",
        }
    }
}

/// Whether a layer acts on what it concludes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Enforcement {
    /// A refusal reaches the client. The default.
    #[default]
    Enforce,
    /// A refusal is recorded, and the request passes: for rolling out a policy. A layer in shadow
    /// mode never writes a peer, a principal or revealed plaintext for a request it would have
    /// refused.
    Shadow,
}

impl Decision {
    /// A decision of the layer with this name, such as `jwt`.
    pub fn new(layer: &'static str, outcome: Outcome) -> Self {
        let enforcement = match outcome {
            Outcome::WouldHaveDenied => Enforcement::Shadow,
            _ => Enforcement::Enforce,
        };
        Self {
            layer,
            outcome,
            enforcement,
            code: None,
            detail: None,
        }
    }

    /// States whether the layer acted on its conclusion.
    #[must_use]
    pub fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Names the reason.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds what the layer wants recorded, such as the name of the rule that matched. It must not
    /// hold a secret.
    #[must_use]
    pub fn with_detail(mut self, detail: Arc<str>) -> Self {
        self.detail = Some(detail);
        self
    }

    /// The name of the layer.
    pub fn layer(&self) -> &'static str {
        self.layer
    }

    /// What it concluded.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether it acted on it. A layer in shadow mode that could not decide let the request pass.
    pub fn enforcement(&self) -> Enforcement {
        self.enforcement
    }

    /// Why, if there is a reason to name.
    pub fn code(&self) -> Option<Code> {
        self.code
    }

    /// What else the layer wants recorded.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}
