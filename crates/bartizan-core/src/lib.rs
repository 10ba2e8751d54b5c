//! mods
mod address;
mod body;
mod chain;
mod challenge;
mod clock;
mod code;
mod connection;
mod context;
mod decision;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod demand;
mod duty;
mod entrance;
mod erasure;
mod event;
mod forwarded;
mod future;
mod guard;
mod layer;
mod peer;
mod principal;
mod protocol;
mod rejection;
mod route;
mod service;
mod spiffe_id;
mod spiffe_pattern;

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "tonic")]
mod tonic;

pub use self::address::{ForwardingHeader, IpNetwork, IpNetworkError, TrustedProxies, fold};
pub use self::body::{BodyCut, GuardBody, GuardBodyError};
pub use self::chain::{Chain, ChainInquiry};
pub use self::challenge::Challenge;
pub use self::clock::{Clock, MonotonicTime, SystemClock, WallTime};
pub use self::code::Code;
pub use self::connection::{Connection, DescribeConnection};
pub use self::context::{ContextConflict, SecurityContext};
pub use self::decision::{Decision, Enforcement, Outcome};
pub use self::duty::Duty;
pub use self::entrance::Entrance;
pub use self::erasure::{
    KeyRequest, KeyState, KeyringAnswer, KeyringUnavailable, Subject, SubjectKey, SubjectKeyring,
};
pub use self::event::{
    DecisionEvent, Event, LifecycleEvent, LifecycleKind, Observe, ObserveFn, observe_fn,
};
pub use self::forwarded::{Forwarded, ForwardedBy};
pub use self::future::GuardFuture;
pub use self::guard::{Check, Guard, Inquiry, Inspection, Never, Pass};
pub use self::layer::GuardLayer;
pub use self::peer::{Peer, PeerIdentity, VerifiedCertificate};
pub use self::principal::{Caller, Principal, PrincipalBuilder, Scheme};
pub use self::protocol::Protocol;
pub use self::rejection::{Rejection, RejectionBody, RejectionKind};
pub use self::route::{CanonicalPath, PathError, RouteTable, RouteTableError};
pub use self::service::Guarded;
pub use self::spiffe_id::{SpiffeId, SpiffeIdError, TrustDomain};
pub use self::spiffe_pattern::SpiffePattern;
#[cfg(feature = "tonic")]
pub use self::tonic::SecurityRequest;
