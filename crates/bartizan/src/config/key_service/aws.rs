//! `[encryption.aws_kms]`: a key of AWS KMS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_encrypt::Kek;

use crate::config::problem::Problem;
use crate::config::section::section;
use crate::config::setting::{Url, choice};
use crate::config::surroundings::Surroundings;

section! {
    /// A key of AWS KMS that wraps data keys; build with the feature `aws-kms`.
    AwsKmsEntry {
        /// The ARN of the key. No alias: what one names may change.
        key: String,
        /// The region. That of the key by default.
        region: Option<String>,
        /// The endpoint: a VPC's, or a FIPS one. That of the region by default.
        endpoint: Option<Url>,
        /// Where credentials come from.
        credentials: AwsCredentialsWord = "environment",
        /// With `web_identity`, the ARN of the role. `AWS_ROLE_ARN` by default.
        role: Option<String>,
        /// With `web_identity`, the file with the token, which is read each time.
        /// `AWS_WEB_IDENTITY_TOKEN_FILE` by default.
        token_file: Option<PathBuf>,
        /// With `web_identity`, what CloudTrail shows of the session.
        session_name: String = "bartizan",
        /// With `web_identity`, the endpoint of STS. That of the region by default.
        sts_endpoint: Option<Url>,
        /// What is added to the encryption context, for policies of the key. It stays the same for
        /// as long as anything that was wrapped with it, and CloudTrail shows it.
        context: Vec<AwsContext>,
        /// The certificate authorities (PEM) of the endpoints. Those of the public web by default.
        roots: Option<PathBuf>,
        /// How long one request may take; `key_deadline` is over all attempts.
        deadline: Duration = "5s",
        /// Lets the connection be in plaintext, to this machine alone.
        allow_plaintext_loopback: bool = "false",
    }
}

section! {
    /// An entry of the encryption context.
    AwsContext {
        /// Its name.
        name: String,
        /// Its value: no secret, and nobody's name.
        value: String,
    }
}

choice! {
    /// Where credentials come from.
    AwsCredentialsWord {
        /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
        Environment = "environment",
        /// A role, taken on with a token in a file, as pods of EKS have it.
        WebIdentity = "web_identity",
    }
}

const PATH: &str = "encryption.aws_kms";

#[cfg(not(feature = "aws-kms"))]
impl AwsKmsEntry {
    pub(crate) fn kek(&self, _: &Surroundings) -> Result<Arc<dyn Kek>, Problem> {
        Err(Problem::lacking(self.stands.0, PATH, "aws-kms"))
    }
}

#[cfg(feature = "aws-kms")]
mod built {
    use bartizan_encrypt::{AwsKms, AwsKmsBuilder, AwsWebIdentity};
    use bartizan_source::Roots;

    use super::{Arc, AwsCredentialsWord, AwsKmsEntry, Kek, PATH, Problem, Surroundings};
    use crate::config::issuer::read_roots;

    impl AwsKmsEntry {
        pub(crate) fn kek(&self, with: &Surroundings) -> Result<Arc<dyn Kek>, Problem> {
            let kek = self.builder(with)?.build();
            let kek = kek.map_err(|error| self.refuse(PATH, &error))?;
            Ok(Arc::new(kek))
        }

        pub(crate) fn builder(&self, with: &Surroundings) -> Result<AwsKmsBuilder, Problem> {
            let mut kms = AwsKms::builder(&self.key)
                .with_deadline(self.deadline)
                .with_clock(with.clock.clone());
            if let Some(region) = &self.region {
                kms = kms.with_region(region);
            }
            if let Some(endpoint) = &self.endpoint {
                kms = kms.with_endpoint(&endpoint.0);
            }
            for entry in &self.context {
                kms = kms.add_context(&entry.name, &entry.value);
            }
            let roots = self.roots(with)?;
            if let Some(roots) = roots.clone() {
                kms = kms.with_roots(roots);
            }
            if self.allow_plaintext_loopback {
                kms = kms.allow_plaintext_loopback();
            }
            Ok(match self.credentials {
                AwsCredentialsWord::Environment => {
                    let unused = self.role.is_some() || self.token_file.is_some();
                    if unused || self.sts_endpoint.is_some() {
                        let message = "`role`, `token_file` and `sts_endpoint` go with \
                                       `credentials = \"web_identity\"`";
                        return Err(self.wrong(message));
                    }
                    kms
                }
                AwsCredentialsWord::WebIdentity => kms.with_credentials(self.identity(roots)?),
            })
        }

        fn identity(&self, roots: Option<Roots>) -> Result<AwsWebIdentity, Problem> {
            let refused = |error| self.refuse(PATH, &error);
            let identity = match (&self.role, &self.token_file) {
                (Some(role), Some(file)) => {
                    let region = self.region.as_deref().or(self.key.split(':').nth(3));
                    AwsWebIdentity::new(role, file, region.unwrap_or_default())
                }
                (None, None) => AwsWebIdentity::from_env(),
                _ => return Err(self.wrong("`role` and `token_file` go together")),
            };
            let identity = identity
                .map_err(refused)?
                .with_session_name(&self.session_name);
            match &self.sts_endpoint {
                Some(endpoint) => {
                    let roots = roots.unwrap_or_else(Roots::public_web);
                    identity.with_endpoint(&endpoint.0, roots).map_err(refused)
                }
                None => Ok(identity),
            }
        }

        fn roots(&self, with: &Surroundings) -> Result<Option<Roots>, Problem> {
            let read = self.roots.as_ref().map(|path| read_roots(path, with));
            read.transpose().map_err(|message| self.wrong(&message))
        }

        fn wrong(&self, message: &str) -> Problem {
            Problem::new(self.stands.0, PATH, message)
        }
    }
}
