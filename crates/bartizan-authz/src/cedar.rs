//! Policies in Cedar.

mod entities;
mod schema;
mod texts;

use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;

use bartizan_core::{RouteTable, RouteTableError};
use cedar_policy::{Authorizer, Decision, EntityUid, PolicySet, Request, Schema};

use self::entities::Asked;
use crate::engine::{EngineError, PolicyEngine, Ruling};
use crate::facts::Facts;

/// Decides by policies in [Cedar](https://docs.cedarpolicy.com).
///
/// # What policies can speak of
///
/// | in Cedar | is |
/// |---|---|
/// | `Principal::"issuer#subject"` | whoever the request acts for (with an issuer that has no `#`): `issuer`, `subject`, `client`, `scopes`, `roles`; in `Role::"…"` |
/// | `Peer::"spiffe://…"` | the workload at the other end: `id`, `trust_domain`; in `TrustDomain::"…"`. It is the principal of a request that acts for nobody, and always `context.peer` |
/// | `Anonymous::"anonymous"` | the principal of a request without either |
/// | `Action::"GET"` | the method; `Action::"shop.Orders/Read"` for gRPC methods that were [named](CedarBuilder::add_grpc). All HTTP methods are in `Action::"http"`, all gRPC methods in `Action::"grpc"` |
/// | `Route::"/orders/{id}"` | the [template](CedarBuilder::with_routes) of the path; `Route::"*"` for paths of none |
/// | `context` | `method`, `path`, and where known `host`, `port`, `address`, `peer`, and the claims that were [named](CedarBuilder::add_claim) |
///
/// # How it decides
///
/// 1. When policies are loaded they are validated against the [schema](Self::schema) of all this,
///    strictly: a policy that speaks of what is not there, or compares what cannot be compared, is
///    an error with its line, and is not loaded. So is a template: nobody links it here.
/// 2. A request passes if a `permit` applies and no `forbid` does.
/// 3. A policy that cannot be evaluated denies the request (`authz.engine_failed`), also if
///    another permits it: Cedar alone would leave it out, and with it perhaps a `forbid`.
/// 4. The decision names the policy by its annotation `@id`, or as Cedar numbers it.
///
/// Paths are canonical; unlike denials of a [`Policy`](crate::Policy), a `forbid` does not catch
/// other spellings. Entities are made anew for each request, which takes some microseconds.
///
/// ```
/// use bartizan_authz::{CedarEngine, Facts, PolicyEngine as _, Ruling};
///
/// let engine = CedarEngine::builder()
///     .with_routes(["/orders/{id}"])
///     .build(r#"
///         @id("web reads")
///         permit (principal, action == Action::"GET", resource == Route::"/orders/{id}")
///         when { context has peer && context.peer == Peer::"spiffe://example.org/web" };
///     "#)?;
/// let nobody = engine.decide(&Facts::new("GET", "/orders/7"), &mut |_| {})?;
/// assert_eq!(nobody, Ruling::Denied(None));
///
/// // What is misspelled does not come to be a policy that never applies.
/// let wrong = CedarEngine::builder().build("permit (principal, action, resource) when { context.pear };");
/// assert!(wrong.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CedarEngine {
    policies: PolicySet,
    schema: Schema,
    text: String,
    terms: CedarBuilder,
    routes: RouteTable,
}

/// Describes a [`CedarEngine`]; made by [`CedarEngine::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "an engine is made by `build`"]
pub struct CedarBuilder {
    routes: Vec<String>,
    grpc: Vec<String>,
    claims: Vec<String>,
}

/// Why policies were not loaded.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CedarError {
    /// A name of a claim, route or gRPC method cannot stand in a schema.
    #[error("{0:?} cannot be named in a policy")]
    Name(String),
    /// The text is no Cedar.
    #[error("{0}")]
    Parse(String),
    /// A route is no template.
    #[error(transparent)]
    Route(#[from] RouteTableError),
    /// Policies speak of what is not there; what Cedar says of each.
    #[error("{0}")]
    Validation(String),
}

impl CedarEngine {
    /// Begins an engine.
    pub fn builder() -> CedarBuilder {
        CedarBuilder::default()
    }

    /// What policies are validated against, in Cedar's own form.
    pub fn schema(&self) -> &str {
        &self.text
    }
}

impl CedarBuilder {
    /// Sets the templates of routes, those of the service's router; there are none unless said.
    /// Policies that speak of others are not loaded.
    pub fn with_routes<T: Into<String>>(mut self, routes: impl IntoIterator<Item = T>) -> Self {
        self.routes = routes.into_iter().map(Into::into).collect();
        self
    }

    /// Makes calls of a gRPC method an action of their own, such as `shop.Orders` and `Read`.
    pub fn add_grpc(mut self, service: &str, method: &str) -> Self {
        self.grpc.push(format!("{service}/{method}"));
        self
    }

    /// Puts the values of a claim into the context, as `context.NAME`, a set of texts, where the
    /// token has it. The layer must be told how to
    /// [read claims](crate::AuthzConfigBuilder::with_claims).
    pub fn add_claim(mut self, name: &str) -> Self {
        self.claims.push(name.to_owned());
        self
    }

    /// Loads policies.
    ///
    /// # Errors
    ///
    /// [`CedarError`], if they are none or are about what is not there.
    pub fn build(self, policies: &str) -> Result<CedarEngine, CedarError> {
        self.build_by(|schema| texts::read(policies, schema))
    }

    /// Loads policies that stand in several texts, each behind its name. Policies without an `@id`
    /// are called by the name, `#`, and how Cedar numbers them in that text.
    ///
    /// # Errors
    ///
    /// [`CedarError`] with the name of the text, if they are none, are about what is not there, or
    /// if two texts have the same name.
    pub fn build_all<'t>(
        self,
        policies: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<CedarEngine, CedarError> {
        self.build_by(|schema| texts::read_all(policies, schema))
    }

    fn build_by(
        self,
        read: impl FnOnce(&Schema) -> Result<PolicySet, CedarError>,
    ) -> Result<CedarEngine, CedarError> {
        let routes = RouteTable::new(&self.routes)?;
        let text = schema::text(&self.routes, &self.grpc, &self.claims)?;
        let schema = Schema::from_cedarschema_str(&text);
        let (schema, _) = schema.map_err(|error| CedarError::Parse(error.to_string()))?;
        Ok(CedarEngine {
            policies: read(&schema)?,
            schema,
            text,
            terms: self,
            routes,
        })
    }
}

impl CedarError {
    /// The same, of the text with this name.
    fn of(self, name: &str) -> Self {
        match self {
            Self::Parse(message) => Self::Parse(format!("{name}: {message}")),
            Self::Validation(message) => Self::Validation(format!("{name}: {message}")),
            other => other,
        }
    }
}

impl PolicyEngine for CedarEngine {
    fn decide(
        &self,
        facts: &Facts<'_>,
        _: &mut dyn FnMut(&Arc<str>),
    ) -> Result<Ruling, EngineError> {
        facts.can_tell(self.asks_claims(), false)?;
        let failed = |error: &dyn fmt::Display| EngineError(error.to_string().into());
        let asked = Asked::new(facts, &self.terms, &self.routes, &self.schema);
        let Asked {
            principal,
            action,
            resource,
            context,
            entities,
        } = asked.map_err(|error| failed(&error))?;
        let request = Request::new(principal, action, resource, context, Some(&self.schema));
        let request = request.map_err(|error| failed(&error))?;
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(failed(error));
        }
        let reason = response.diagnostics().reason().next();
        let reason = reason.map(|id| {
            let named = self.policies.annotation(id, "id").map(Arc::from);
            named.unwrap_or_else(|| Arc::from(id.to_string()))
        });
        Ok(match (response.decision(), reason) {
            (Decision::Allow, Some(id)) => Ruling::Allowed(id),
            (Decision::Deny, reason) => Ruling::Denied(reason),
            // Nothing is allowed for no reason.
            (Decision::Allow, None) => Ruling::Denied(None),
        })
    }

    fn asks_claims(&self) -> bool {
        !self.terms.claims.is_empty()
    }
}

impl fmt::Debug for CedarEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CedarEngine")
            .field("policies", &self.policies.policies().count())
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

/// A name of an entity.
fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind = cedar_policy::EntityTypeName::from_str(kind).map_err(|error| error.to_string())?;
    Ok(EntityUid::from_type_name_and_id(
        kind,
        cedar_policy::EntityId::new(id),
    ))
}
