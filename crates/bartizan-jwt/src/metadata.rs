//! What this service says of itself to clients ([RFC 9728]).
//!
//! [RFC 9728]: https://www.rfc-editor.org/rfc/rfc9728

use serde_json::{Map, Value, json};

use crate::config::JwtConfig;
use crate::error::ConfigError;
use crate::issuer;
use crate::service::ResourceMetadataService;

/// The metadata of a protected resource ([RFC 9728 §2]), and the route that serves it.
///
/// It says which issuers this service trusts and how tokens are presented, so that a client that
/// was refused finds out where to get one. It is public: put its route beside the guarded ones,
/// not behind them, and name it in challenges by
/// [`with_resource_metadata`](crate::JwtConfigBuilder::with_resource_metadata).
///
/// ```
/// use bartizan_jwt::{JwtConfig, ResourceMetadata, Rules};
///
/// let rules = Rules::builder("https://issuer.example", "https://orders.example/v1").build()?;
/// let config = JwtConfig::builder(rules).build()?;
/// let metadata = ResourceMetadata::of(&config, "https://orders.example/v1")?
///     .with_scopes(["orders:read", "orders:write"]);
/// assert_eq!(metadata.path(), "/.well-known/oauth-protected-resource/v1");
/// assert!(metadata.to_json().contains("https://issuer.example"));
/// assert!(ResourceMetadata::of(&config, "orders").is_err());
/// # Ok::<(), bartizan_jwt::ConfigError>(())
/// ```
///
/// With axum: `Router::new().route_service(metadata.path(), metadata.service()).merge(guarded)`.
///
/// [RFC 9728 §2]: https://www.rfc-editor.org/rfc/rfc9728#section-2
#[derive(Clone, Debug)]
pub struct ResourceMetadata {
    origin: Box<str>,
    path: Box<str>,
    members: Map<String, Value>,
}

impl ResourceMetadata {
    /// Describes the service whose tokens `config` checks and whose identifier, an HTTPS URL
    /// without query, is `resource`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidLocation`] if `resource` is no such URL.
    pub fn of(config: &JwtConfig, resource: &str) -> Result<Self, ConfigError> {
        let problem = issuer::check(resource).or(resource.contains('?').then_some("has a query"));
        if let Some(problem) = problem {
            return Err(ConfigError::InvalidLocation {
                location: resource.to_owned(),
                problem,
            });
        }
        let scheme = resource.find("://").map_or(0, |at| at + 3);
        let rest = resource.get(scheme..).unwrap_or_default();
        let host = rest.find('/').map_or(resource.len(), |at| scheme + at);
        let (origin, path) = resource.split_at_checked(host).unwrap_or((resource, ""));
        //= RFC 9728 §3.1: any terminating slash following the host component MUST be removed.
        let path = if path == "/" { "" } else { path };
        let issuers: Vec<_> = config
            .rules()
            .map(|rules| rules.issuer().as_str())
            .collect();
        let mut members = Map::new();
        members.insert("resource".to_owned(), json!(resource));
        members.insert("authorization_servers".to_owned(), json!(issuers));
        members.insert("bearer_methods_supported".to_owned(), json!(["header"]));
        members.insert(
            "tls_client_certificate_bound_access_tokens".to_owned(),
            json!(true),
        );
        if let Some(algorithms) = &config.behaviour.refusals.proof_algorithms {
            let algorithms: Vec<_> = algorithms.split(' ').collect();
            let name = "dpop_signing_alg_values_supported";
            members.insert(name.to_owned(), json!(algorithms));
        }
        Ok(Self {
            origin: origin.into(),
            path: format!("/.well-known/oauth-protected-resource{path}").into(),
            members,
        })
    }

    /// Names the scopes that requests to this service may need.
    #[must_use]
    pub fn with_scopes<'s>(self, scopes: impl IntoIterator<Item = &'s str>) -> Self {
        let scopes: Vec<_> = scopes.into_iter().collect();
        self.with_member("scopes_supported", json!(scopes))
    }

    /// Names the service for people.
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        self.with_member("resource_name", json!(name))
    }

    /// Says where developers read about the service.
    #[must_use]
    pub fn with_documentation(self, url: &str) -> Self {
        self.with_member("resource_documentation", json!(url))
    }

    /// The path of the document, between host and path of the resource (RFC 9728 §3.1).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The URL of the document.
    pub fn url(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    /// The document.
    pub fn to_json(&self) -> String {
        Value::Object(self.members.clone()).to_string()
    }

    /// A service that answers with the document.
    pub fn service(&self) -> ResourceMetadataService {
        ResourceMetadataService::new(&self.to_json())
    }

    fn with_member(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rules;

    #[track_caller]
    fn check(resource: &str, expected: Option<(&str, &str)>) {
        let config = JwtConfig::builder(rules().build().unwrap())
            .build()
            .unwrap();
        let got = ResourceMetadata::of(&config, resource).ok();
        let got = got.map(|metadata| (metadata.url(), metadata.path().to_owned()));
        let got = got
            .as_ref()
            .map(|(url, path)| (url.as_str(), path.as_str()));
        assert_eq!(got, expected, "{resource}");
    }

    #[test]
    fn the_document_lies_between_host_and_path() {
        check(
            "https://a.example",
            Some((
                "https://a.example/.well-known/oauth-protected-resource",
                "/.well-known/oauth-protected-resource",
            )),
        );
        check(
            "https://a.example/",
            Some((
                "https://a.example/.well-known/oauth-protected-resource",
                "/.well-known/oauth-protected-resource",
            )),
        );
        check(
            "https://a.example:8443/v1/x",
            Some((
                "https://a.example:8443/.well-known/oauth-protected-resource/v1/x",
                "/.well-known/oauth-protected-resource/v1/x",
            )),
        );
        for bad in [
            "",
            "orders",
            "http://a.example",
            "https://a.example?x",
            "https://a.example#x",
        ] {
            check(bad, None);
        }
    }
}
