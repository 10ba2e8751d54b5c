//! `[metadata]`: what clients are told that have no token yet.

use bartizan_jwt::{JwtConfig, ResourceMetadata, Rules};

use crate::config::entrance::is_plain;
use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::Url;
use crate::config::surroundings::Surroundings;
use crate::config::tokens::Tokens;

section! {
    /// Tells clients that have no token whose tokens are accepted, and how they are presented
    /// (RFC 9728). `GET` and `HEAD` of the document, at the path that follows from `resource`, meet
    /// the layers in front of `[tokens]` and none behind: whoever may try a token may read it. Challenges
    /// name it, unless `tokens.resource_metadata` names another. Takes `[tokens]` beside it.
    Metadata {
        /// The identifier of this service, an HTTPS URL without query: that of
        /// `https://orders.example/v1` is at `/.well-known/oauth-protected-resource/v1`.
        resource: Url,
        /// The scopes that requests may need.
        scopes: Vec<String>,
        /// The name of the service, for people.
        name: Option<String>,
        /// Where developers read about the service.
        documentation: Option<Url>,
    }
}

/// For what does not depend on whose tokens are accepted.
const ANY: &str = "https://issuer.example";

impl Metadata {
    /// The document, for a service that accepts these tokens.
    pub(crate) fn document(
        &self,
        tokens: &Tokens,
        with: &Surroundings,
    ) -> Result<ResourceMetadata, Problem> {
        let config = tokens.config(&with.dry(), &tokens.remembered(None))?;
        let mut document = self.of(&config)?;
        if !self.scopes.is_empty() {
            document = document.with_scopes(self.scopes.iter().map(String::as_str));
        }
        if let Some(name) = &self.name {
            document = document.with_name(name);
        }
        Ok(match &self.documentation {
            Some(Url(url)) => document.with_documentation(url),
            None => document,
        })
    }

    /// Where the document is: its path, and its URL.
    pub(crate) fn location(&self) -> Option<(String, String)> {
        let rules = Rules::builder(ANY, ANY).build().ok()?;
        let document = self.of(&JwtConfig::builder(rules).build().ok()?).ok()?;
        Some((document.path().to_owned(), document.url()))
    }

    fn of(&self, config: &JwtConfig) -> Result<ResourceMetadata, Problem> {
        let document = ResourceMetadata::of(config, &self.resource.0);
        let document = document.map_err(|error| self.refuse("metadata.resource", &error))?;
        match is_plain(document.path()) {
            true => Ok(document),
            false => {
                let message = format!("{:?} is no path in its one spelling", document.path());
                Err(Problem::new(self.stands.0, "metadata.resource", message))
            }
        }
    }
}
