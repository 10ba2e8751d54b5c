//! `[rules.cedar]`: policies in Cedar.

use std::path::PathBuf;

use bartizan_authz::AuthzConfigBuilder;

use crate::config::problem::Problem;
use crate::config::rules::Rules;
use crate::config::section::section;
use crate::config::surroundings::Surroundings;

section! {
    /// Policies in [Cedar](https://docs.cedarpolicy.com) decide, in place of rules. What they can
    /// speak of is a schema that they are held against when they are read: methods, routes, peers,
    /// principals, roles and claims, as `CedarEngine` has them. What speaks of anything else is not
    /// put in force, and what cannot be evaluated denies. Build with the feature `cedar`.
    CedarEntry {
        /// The files of policies, which count as one; one at least. They are read again when one of
        /// them changes, and are in force together or not at all.
        files: Vec<PathBuf>,
        /// Templates of routes, each of which is a resource, such as `Route::"/orders/{id}"`. Those
        /// of `entrance.routes` and the paths that the configuration itself answers, by default.
        /// What is at none of them is `Route::"*"`.
        routes: Vec<String>,
        /// gRPC methods, each of which is an action, such as `Action::"shop.Orders/Read"`.
        grpc: Vec<CedarMethod>,
        /// Claims of the token that policies read, as `context.NAME`: a set of texts, where the token
        /// has it.
        claims: Vec<String>,
    }
}

section! {
    /// A gRPC method.
    CedarMethod {
        /// The service, such as `shop.Orders`.
        service: String,
        /// The method, such as `Read`.
        method: String,
    }
}

const PATH: &str = "rules.cedar";

#[cfg(not(feature = "cedar"))]
impl CedarEntry {
    pub(crate) fn check(&self) -> Result<(), Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "cedar"))
    }

    pub(crate) fn check_files(&self, _: &[String], _: &Surroundings) -> Result<(), Problem> {
        self.check()
    }

    pub(crate) fn decides(
        &self,
        builder: AuthzConfigBuilder,
        _: &Rules,
        _: &[String],
        _: &Surroundings,
    ) -> Result<AuthzConfigBuilder, Problem> {
        self.check().map(|()| builder)
    }
}

#[cfg(feature = "cedar")]
mod built {
    use bartizan_authz::{CedarBuilder, CedarEngine};

    use super::{AuthzConfigBuilder, CedarEntry, CedarMethod, PATH, Problem, Rules, Surroundings};

    impl CedarEntry {
        /// What is wrong with it, as far as that is known without the files.
        pub(crate) fn check(&self) -> Result<(), Problem> {
            if self.files.is_empty() {
                return Err(self.wrong("names no `files`"));
            }
            for (number, file) in self.files.iter().enumerate() {
                if self.files.iter().take(number).any(|other| other == file) {
                    let message = format!("{} is named twice", file.display());
                    return Err(self.wrong(message));
                }
            }
            // Without policies, so that all that can be wrong is what they may speak of.
            let terms = self.terms(&[]).build("");
            terms.map(drop).map_err(|error| self.refuse(PATH, &error))
        }

        /// Reads the files once.
        pub(crate) fn check_files(
            &self,
            routes: &[String],
            with: &Surroundings,
        ) -> Result<(), Problem> {
            let mut texts = Vec::with_capacity(self.files.len());
            for path in &self.files {
                let name = path.display().to_string();
                let bytes = with.read(path).map_err(|message| self.wrong(message))?;
                let text = std::str::from_utf8(&bytes);
                let text = text.map_err(|error| self.wrong(format!("{name}: {error}")))?;
                texts.push((name, text.to_owned()));
            }
            let texts = texts.iter().map(|(name, text)| (&**name, &**text));
            let built = self.terms(routes).build_all(texts);
            built.map(drop).map_err(|error| self.refuse(PATH, &error))
        }

        /// Lets the policies decide, and follows their files.
        pub(crate) fn decides(
            &self,
            builder: AuthzConfigBuilder,
            rules: &Rules,
            routes: &[String],
            with: &Surroundings,
        ) -> Result<AuthzConfigBuilder, Problem> {
            let Some((first, further)) = self.files.split_first() else {
                return Err(self.wrong("names no `files`"));
            };
            let file = rules.policy_file(first, with);
            let source = file.load_cedar_with(further, self.terms(routes));
            let source = source.map_err(|error| self.refuse(PATH, &error))?;
            Ok(builder.with_policy(source.published()))
        }

        fn wrong(&self, message: impl Into<String>) -> Problem {
            Problem::new(self.stands.0, PATH, message)
        }

        /// What policies can speak of.
        fn terms(&self, routes: &[String]) -> CedarBuilder {
            let routes = match self.routes.as_slice() {
                [] => routes,
                own => own,
            };
            let mut terms = CedarEngine::builder().with_routes(routes);
            for CedarMethod {
                service, method, ..
            } in &self.grpc
            {
                terms = terms.add_grpc(service, method);
            }
            for claim in &self.claims {
                terms = terms.add_claim(claim);
            }
            terms
        }
    }
}
