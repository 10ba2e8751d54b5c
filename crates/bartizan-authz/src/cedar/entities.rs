//! What is known of a request, as Cedar's entities.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bartizan_core::{CanonicalPath, Peer, Principal, RouteTable};
use cedar_policy::{
    Context, Entities, Entity, EntityUid, RestrictedExpression as Expression, Schema,
};

use super::schema::{METHODS, NOWHERE, OTHER};
use super::{CedarBuilder, uid};
use crate::facts::Facts;

/// A request, and what it is about.
pub(super) struct Asked {
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) context: Context,
    pub(super) entities: Entities,
}

impl Asked {
    pub(super) fn new(
        facts: &Facts<'_>,
        terms: &CedarBuilder,
        routes: &RouteTable,
        schema: &Schema,
    ) -> Result<Self, String> {
        let mut all = Vec::new();
        let peer = facts.peer.and_then(Peer::spiffe_id);
        let peer = match peer {
            Some(id) => {
                let domain = uid("TrustDomain", id.trust_domain())?;
                let attributes = [("id", id.as_str()), ("trust_domain", id.trust_domain())];
                let attributes = attributes.map(|(name, value)| (name.to_owned(), text(value)));
                let peer = uid("Peer", id.as_str())?;
                all.push(entity(
                    peer.clone(),
                    attributes.into(),
                    vec![domain.clone()],
                )?);
                all.push(Entity::new_no_attrs(domain, HashSet::new()));
                Some(peer)
            }
            None => None,
        };
        let principal = match (facts.principal, &peer) {
            (Some(principal), _) => add_principal(principal, &mut all)?,
            (None, Some(peer)) => peer.clone(),
            (None, None) => {
                let anonymous = uid("Anonymous", "anonymous")?;
                all.push(Entity::new_no_attrs(anonymous.clone(), HashSet::new()));
                anonymous
            }
        };
        // Not by the canonical spelling of a path that has another one: the layer asks about that
        // as well, to see where a router leads it.
        let is_path = CanonicalPath::parse(facts.path).is_ok();
        let template = is_path.then(|| routes.template_as_sent(facts.path));
        let template = template.flatten();
        let resource = uid("Route", template.as_deref().unwrap_or(NOWHERE))?;
        all.push(Entity::new_no_attrs(resource.clone(), HashSet::new()));
        Ok(Self {
            principal,
            action: uid("Action", action(facts, terms))?,
            resource,
            context: context(facts, terms, peer)?,
            entities: Entities::from_entities(all, Some(schema))
                .map_err(|error| error.to_string())?,
        })
    }
}

fn action<'a>(facts: &Facts<'a>, terms: &'a CedarBuilder) -> &'a str {
    let is_called = |name: &&String| facts.path.strip_prefix('/') == Some(name.as_str());
    match terms.grpc.iter().find(is_called) {
        Some(name) if facts.method == "POST" => name,
        _ if METHODS.contains(&facts.method) => facts.method,
        _ => OTHER,
    }
}

fn add_principal(principal: &Principal, all: &mut Vec<Entity>) -> Result<EntityUid, String> {
    // No issuer of tokens has a fragment (RFC 8414 §2), so that no subject can take the place of
    // another's. A store of API keys can have any name.
    if principal.issuer().contains('#') {
        return Err("an issuer with a `#` cannot be told from its subjects".to_owned());
    }
    let id = uid(
        "Principal",
        &format!("{}#{}", principal.issuer(), principal.subject()),
    )?;
    let mut attributes = HashMap::from([
        ("issuer".to_owned(), text(principal.issuer())),
        ("subject".to_owned(), text(principal.subject())),
        (
            "scopes".to_owned(),
            Expression::new_set(principal.scopes().map(text)),
        ),
        (
            "roles".to_owned(),
            Expression::new_set(principal.roles().map(text)),
        ),
    ]);
    if let Some(client) = principal.client() {
        attributes.insert("client".to_owned(), text(client));
    }
    let mut roles = Vec::new();
    for role in principal.roles() {
        let role = uid("Role", role)?;
        // An entity may be there once.
        if !roles.contains(&role) {
            all.push(Entity::new_no_attrs(role.clone(), HashSet::new()));
            roles.push(role);
        }
    }
    all.push(entity(id.clone(), attributes, roles)?);
    Ok(id)
}

fn context(
    facts: &Facts<'_>,
    terms: &CedarBuilder,
    peer: Option<EntityUid>,
) -> Result<Context, String> {
    let mut pairs = vec![
        ("method".to_owned(), text(facts.method)),
        ("path".to_owned(), text(facts.path)),
    ];
    if let Some(host) = facts.host {
        pairs.push(("host".to_owned(), text(&host.to_ascii_lowercase())));
    }
    if let Some(port) = facts.port {
        pairs.push(("port".to_owned(), Expression::new_long(port.into())));
    }
    if let Some(address) = facts.address {
        pairs.push((
            "address".to_owned(),
            Expression::new_ip(address.to_string()),
        ));
    }
    if let Some(peer) = peer {
        pairs.push(("peer".to_owned(), Expression::new_entity_uid(peer)));
    }
    for claim in &terms.claims {
        let mut values: Vec<Arc<str>> = Vec::new();
        facts.visit_claim(claim, &mut |value| values.push(value.into()));
        if !values.is_empty() {
            let values = values.iter().map(|value| text(value));
            pairs.push((claim.clone(), Expression::new_set(values)));
        }
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

fn entity(
    id: EntityUid,
    attributes: HashMap<String, Expression>,
    parents: Vec<EntityUid>,
) -> Result<Entity, String> {
    let entity = Entity::new(id, attributes, parents.into_iter().collect());
    entity.map_err(|error| error.to_string())
}

fn text(text: &str) -> Expression {
    Expression::new_string(text.to_owned())
}
