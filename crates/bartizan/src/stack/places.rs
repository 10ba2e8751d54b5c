//! The guard of each place; one that nobody can fill where its crate is not there.

#[cfg(not(all(
    feature = "apikey",
    feature = "authz",
    feature = "jwt",
    feature = "mtls",
    feature = "ratelimit"
)))]
use bartizan_core::{Authenticator, Check, Duty, Guard, Inspection, Never, Presented};

#[cfg(feature = "authz")]
pub(super) type Rules = bartizan_authz::AuthzGuard;
#[cfg(not(feature = "authz"))]
pub(super) type Rules = Nobody;

#[cfg(feature = "apikey")]
pub(super) type Keys = bartizan_apikey::ApiKeyGuard;
#[cfg(not(feature = "apikey"))]
pub(super) type Keys = Nobody;

#[cfg(feature = "jwt")]
pub(super) type Tokens = bartizan_jwt::JwtGuard;
#[cfg(not(feature = "jwt"))]
pub(super) type Tokens = Nobody;

#[cfg(feature = "mtls")]
pub(super) type Peers = bartizan_mtls::MtlsGuard;
#[cfg(not(feature = "mtls"))]
pub(super) type Peers = Nobody;

#[cfg(not(feature = "ratelimit"))]
pub(super) use self::{
    Nobody as Bans, Nobody as Deadline, Nobody as Intake, Nobody as Limit, Nobody as Load,
};
#[cfg(feature = "ratelimit")]
pub(super) use bartizan_ratelimit::{
    BanGuard as Bans, DeadlineGuard as Deadline, IntakeGuard as Intake, LoadGuard as Load,
    RateLimitGuard as Limit,
};

/// The guard of a place whose crate is not there. It has no value.
#[cfg(not(all(
    feature = "apikey",
    feature = "authz",
    feature = "jwt",
    feature = "mtls",
    feature = "ratelimit"
)))]
#[derive(Clone, Copy, Debug)]
#[expect(unnameable_types, reason = "nobody can have one")]
pub enum Nobody {}

#[cfg(not(all(
    feature = "apikey",
    feature = "authz",
    feature = "jwt",
    feature = "mtls",
    feature = "ratelimit"
)))]
impl Guard for Nobody {
    type Pass = ();
    type Inquiry = Never;

    fn duty(&self) -> Option<&Duty> {
        match *self {}
    }

    fn check(&self, _: &mut Inspection<'_>) -> Check<(), Never> {
        match *self {}
    }
}

#[cfg(not(all(
    feature = "apikey",
    feature = "authz",
    feature = "jwt",
    feature = "mtls",
    feature = "ratelimit"
)))]
impl Authenticator for Nobody {
    fn presented(&self, _: &Inspection<'_>) -> Presented {
        match *self {}
    }
}
