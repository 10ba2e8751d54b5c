//! What all of them enforce.

pub(crate) const TRUST_DOMAIN: &str = "example.org";
/// The workload that may call.
pub(crate) const CALLER: &str = "spiffe://example.org/web";
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "orders";
pub(crate) const SCOPE: &str = "orders:read";
/// How many seconds a token is taken after its expiry.
pub(crate) const LEEWAY: u64 = 30;
/// The route, as a template and as a regular expression.
pub(crate) const TEMPLATE: &str = "/orders/{id}";
pub(crate) const TEMPLATE_REGEX: &str = "/orders/[^/]+";
pub(crate) const GRPC_SERVICE: &str = "shop.payments.v1.Payments";
pub(crate) const GRPC_METHOD: &str = "Charge";
pub(crate) const GRPC_PATH: &str = "/shop.payments.v1.Payments/Charge";

/// How many requests a subject may make in so many seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limit {
    pub(crate) requests: u64,
    pub(crate) seconds: u64,
}

impl Limit {
    /// One that can be reached, and does not come back while it is looked at.
    pub(crate) const CHECKED: Self = Self {
        requests: 20,
        seconds: 60,
    };
    /// One that is kept count of, and never reached.
    pub(crate) const MEASURED: Self = Self {
        requests: 1_000_000,
        seconds: 1,
    };
}
