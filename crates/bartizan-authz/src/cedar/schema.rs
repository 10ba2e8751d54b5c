//! The schema of what policies can speak of.

use super::CedarError;

/// Methods that servers know; others are [`OTHER`].
pub(super) const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
];

/// The action of a method that is none of those.
pub(super) const OTHER: &str = "other";

/// Members of the context that no claim may take the place of.
const TAKEN: [&str; 6] = ["method", "path", "host", "port", "address", "peer"];

const ENTITIES: &str = "\
entity TrustDomain;
entity Role;
entity Anonymous;
entity Peer in [TrustDomain] { id: String, trust_domain: String };
entity Principal in [Role] {
  issuer: String,
  subject: String,
  client?: String,
  scopes: Set<String>,
  roles: Set<String>,
};
action http;
action grpc;
";

/// The resource of a path that is at none of the routes.
pub(super) const NOWHERE: &str = "*";

pub(super) fn text(
    routes: &[String],
    grpc: &[String],
    claims: &[String],
) -> Result<String, CedarError> {
    let mut out = String::from(ENTITIES);
    // All there are, so that a misspelled one is no route that nobody is at.
    out.push_str(&format!("entity Route enum [\"{NOWHERE}\""));
    for route in routes {
        if !is_plain(route) {
            return Err(CedarError::Name(route.clone()));
        }
        out.push_str(&format!(", \"{route}\""));
    }
    out.push_str("];\n");
    out.push_str(
        "type Call = {\n  method: String,\n  path: String,\n  host?: String,\n  port?: Long,\n  \
         address?: ipaddr,\n  peer?: Peer,\n",
    );
    for claim in claims {
        if !is_plain(claim) || TAKEN.contains(&&**claim) {
            return Err(CedarError::Name(claim.clone()));
        }
        out.push_str(&format!("  \"{claim}\"?: Set<String>,\n"));
    }
    out.push_str("};\n");
    let methods = METHODS.iter().chain([&OTHER]).map(|name| (*name, "http"));
    for (action, group) in methods.chain(grpc.iter().map(|name| (name.as_str(), "grpc"))) {
        if !is_plain(action) {
            return Err(CedarError::Name(action.to_owned()));
        }
        out.push_str(&format!(
            "action \"{action}\" in [{group}] appliesTo {{\n  principal: [Principal, Peer, Anonymous],\n  \
             resource: [Route],\n  context: Call,\n}};\n"
        ));
    }
    Ok(out)
}

/// Whether a name stands between quotes as it is.
fn is_plain(name: &str) -> bool {
    !name.contains(|c: char| c.is_control() || "\"\\".contains(c))
}
