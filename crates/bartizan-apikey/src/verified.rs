//! A key that proved itself.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Authenticated, Principal, Scheme, WallTime};

use crate::format::KeyId;
use crate::record::KeyRecord;

/// What was proven by a key: the claims behind the [`Principal`], which layers and handlers
/// further in find by `context.claims::<VerifiedKey>()`.
///
/// ```
/// use bartizan_apikey::VerifiedKey;
/// use bartizan_core::SecurityContext;
///
/// fn tenant(context: &SecurityContext) -> Option<String> {
///     Some(context.claims::<VerifiedKey>()?.tenant()?.to_owned())
/// }
/// ```
pub struct VerifiedKey {
    principal: Principal,
    id: KeyId,
    name: Option<Box<str>>,
    tenant: Option<Box<str>>,
    created: WallTime,
}

impl VerifiedKey {
    /// What a record's key proves, made once for each version of the record.
    pub(crate) fn new(issuer: &str, record: &KeyRecord) -> Self {
        let mut principal = Principal::builder(Scheme::ApiKey, issuer, record.subject())
            .with_scopes(record.scopes())
            .with_roles(record.roles())
            .with_token_id(record.id.as_str());
        if let Some(client) = record.client() {
            principal = principal.with_client(client);
        }
        if let Some(expires) = record.expires {
            principal = principal.with_expires(expires);
        }
        Self {
            principal: principal.assert_verified(),
            id: record.id,
            name: record.name.clone(),
            tenant: record.tenant.clone(),
            created: record.created,
        }
    }

    /// What a refusal says of it; one that passes is told by its principal.
    pub(crate) fn note(&self) -> Arc<str> {
        format!("key {}", self.id).into()
    }

    /// Whoever requests with the key act for.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The public part of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What people call the key.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The tenant that the key belongs to.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// When the key was made.
    pub fn created(&self) -> WallTime {
        self.created
    }
}

impl Authenticated for VerifiedKey {
    fn principal(&self) -> &Principal {
        &self.principal
    }
}

impl fmt::Debug for VerifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedKey")
            .field("id", &self.id)
            .field("principal", &self.principal)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}
