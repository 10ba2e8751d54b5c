//! `[encryption]`: which fields of JSON bodies are sealed, and who sees them how.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{SecurityContext, WallTime};
use bartizan_encrypt::{
    EncryptConfig, EncryptLayer, FieldRule, Generalizer, Grant, Kek, KeyFile, KeyStore, Keyring,
    KeyringBuilder, LocalKek, Mask, Padding, Place, PlaintextPolicy, PseudonymDomain, Shown, Suite,
};
use http::request::Parts;

use crate::config::key_database::KeyDatabase;
use crate::config::key_service::{AwsKmsEntry, Pkcs11Entry, PreviousKey, Services, VaultEntry};
use crate::config::problem::Problem;
use crate::config::requests::attended;
use crate::config::section::section;
use crate::config::setting::{Mode, Size, choice};
use crate::config::surroundings::Surroundings;

section! {
    /// Seals fields of JSON bodies on their way in, and shows them by scope on their way out. Data
    /// keys are in a keyset file, as `bartizan keys` makes it, or in a database; they are wrapped
    /// under a key of this machine, or by a service or module.
    Encryption {
        /// The application's name, which every ciphertext is bound to, for all time.
        application: String,
        /// What the bodies are, such as `patient`; every ciphertext is bound to it.
        collection: String,
        /// The keyset file. It takes `kek_file` or `kek_env`, under which it is sealed as a whole.
        /// Or `postgres`.
        key_file: Option<PathBuf>,
        /// The database with the data keys. Or `key_file`.
        postgres: Option<KeyDatabase>,
        /// The file with the key-encryption key: 32 bytes, or their base64url, and not readable by
        /// everybody. Or `kek_env`.
        kek_file: Option<PathBuf>,
        /// The environment variable with the key-encryption key, by its name alone.
        kek_env: Option<String>,
        /// Files with key-encryption keys that wrapped keys before.
        previous_kek_files: Vec<PathBuf>,
        /// Wraps data keys by AWS KMS.
        aws_kms: Option<AwsKmsEntry>,
        /// Wraps data keys by Vault's transit engine.
        vault: Option<VaultEntry>,
        /// Wraps data keys in a hardware module.
        pkcs11: Option<Pkcs11Entry>,
        /// Services and modules that wrapped data keys before.
        previous: Vec<PreviousKey>,
        /// The tenant that every field belongs to. By default, the issuer of the principal: a
        /// request without one is refused.
        tenant: Option<String>,
        /// Binds fields to the principal as a person, whose key can be destroyed.
        bind_subject: bool = "false",
        /// Binds fields to a purpose, such as `billing`: what was sealed for another is not opened.
        purpose: Option<String>,
        /// Binds fields to a version of what the bodies look like.
        schema_version: Option<u32>,
        /// The fields; one at least.
        field: Vec<FieldEntry>,
        /// Until when values that were stored before they were sealed are taken. Never by default.
        allow_plaintext_until: Option<WallTime>,
        /// How large a body may be.
        max_body: Size = "1MiB",
        /// How many values of a body are sealed or shown.
        max_values: usize = "10000",
        /// How values are sealed.
        suite: SuiteWord = "aes-256",
        /// How long keys serve before they are fetched again.
        key_ttl: Duration = "5min",
        /// How long keys serve at most while they cannot be fetched again.
        key_hard_limit: Duration = "1h",
        /// How often keys serve before they are fetched again.
        key_max_uses: u64 = "1048576",
        /// How many scopes' keys are kept.
        key_max_scopes: usize = "1024",
        /// How long one call for keys may take.
        key_deadline: Duration = "5s",
        /// How often a key is asked for before it counts as unavailable.
        key_attempts: u32 = "3",
        /// In shadow, bodies pass as they are, and decisions tell what would have been done.
        mode: Mode = "enforce",
    }
}

section! {
    /// A field of the bodies.
    FieldEntry {
        /// A JSON pointer in which `*` stands for every element, such as `/cards/*/number`.
        path: String,
        /// Who sees the field how: the first that holds.
        show: Vec<ShowEntry>,
        /// How everybody else sees it.
        otherwise: ShownWord = "ciphertext",
        /// The domain of pseudonyms, for those who see it as one.
        pseudonym_domain: Option<String>,
        /// To which lengths values are filled up.
        padding: PaddingWord = "to_16",
        /// Lets ciphertexts in as they are.
        allow_ciphertext: bool = "false",
    }
}

section! {
    /// Who sees a field how.
    ShowEntry {
        /// The scope that the principal has.
        scope: String,
        /// How it is shown then.
        shown: ShownWord,
    }
}

choice! {
    /// How a field is shown.
    ShownWord {
        /// An age in years, from 90 on as `90+`.
        Age = "age",
        /// As the ciphertext that it is.
        Ciphertext = "ciphertext",
        /// As `****`.
        MaskAll = "mask_all",
        /// As `a***@example.com`.
        MaskEmail = "mask_email",
        /// As `****1111`.
        MaskLast4 = "mask_last4",
        /// Not at all.
        Omitted = "omitted",
        /// Opened.
        Plain = "plain",
        /// As a pseudonym of `pseudonym_domain`.
        Pseudonym = "pseudonym",
        /// The whole response is refused.
        Refused = "refused",
        /// The year of a date.
        Year = "year",
        /// The first three digits of a US ZIP code.
        Zip3 = "zip3",
    }
}

choice! {
    /// To which lengths values are filled up.
    PaddingWord {
        /// The next multiple of 16 bytes.
        To16 = "to_16",
        /// The next multiple of 64 bytes.
        To64 = "to_64",
        /// The next power of two, 32 at least.
        ToPowerOfTwo = "to_power_of_two",
    }
}

choice! {
    /// How values are sealed.
    SuiteWord {
        /// AES-128-GCM.
        Aes128 = "aes-128",
        /// AES-256-GCM.
        Aes256 = "aes-256",
    }
}

impl Encryption {
    /// What goes together, without the keys.
    pub(crate) fn check(&self, with: &Surroundings) -> Result<(), Problem> {
        if self.key_file.is_some() == self.postgres.is_some() {
            return Err(self.wrong("takes one of `key_file` and `postgres`"));
        }
        if self.kek_file.is_some() && self.kek_env.is_some() {
            return Err(self.wrong("takes one of `kek_file` and `kek_env`"));
        }
        let has_local = self.kek_file.is_some() || self.kek_env.is_some();
        if self.key_file.is_some() && !has_local {
            return Err(self.wrong("`key_file` takes `kek_file` or `kek_env`, that seals it"));
        }
        let wrapped = usize::from(has_local && self.key_file.is_none());
        match self.services().count() + wrapped {
            0 if has_local => {}
            1 => {}
            0 => return Err(self.wrong("nothing wraps the data keys")),
            _ => return Err(self.wrong("data keys are wrapped by one of what is named")),
        }
        if self.field.is_empty() {
            return Err(self.wrong("has no fields: add [[encryption.field]]"));
        }
        if let Some(purpose) = &self.purpose {
            let bound = Place::new("any").and_then(|place| place.with_purpose(purpose));
            bound.map_err(|error| self.refuse("encryption.purpose", &error))?;
        }
        let with = &with.dry();
        self.services().kek(with)?;
        for previous in &self.previous {
            previous.kek(with)?;
        }
        if let Some(database) = &self.postgres {
            database.store(with)?;
        }
        self.field
            .iter()
            .try_for_each(|field| field.build().map(drop))
    }

    fn services(&self) -> Services<'_> {
        Services {
            aws_kms: self.aws_kms.as_ref(),
            vault: self.vault.as_ref(),
            pkcs11: self.pkcs11.as_ref(),
        }
    }

    pub(crate) fn keyring_builder(
        &self,
        store: impl KeyStore,
        kek: impl Kek,
        with: &Surroundings,
    ) -> KeyringBuilder {
        let keyring = Keyring::builder(&self.application, store, kek)
            .with_suite(match self.suite {
                SuiteWord::Aes128 => Suite::Cobblestone128,
                SuiteWord::Aes256 => Suite::Cobblestone256,
            })
            .with_ttl(self.key_ttl)
            .with_hard_limit(self.key_hard_limit)
            .with_max_uses(self.key_max_uses)
            .with_max_scopes(self.key_max_scopes)
            .with_deadline(self.key_deadline)
            .with_attempts(self.key_attempts)
            .with_clock(with.clock.clone());
        match with.observer() {
            Some(observer) => keyring.with_observer(observer),
            None => keyring,
        }
    }

    /// Makes the tables of the database, if that is asked for.
    pub(crate) async fn prepare(&self, with: &Surroundings) -> Result<(), Problem> {
        match &self.postgres {
            Some(database) => database.prepare(with).await,
            None => Ok(()),
        }
    }

    /// Reads the keys of this machine.
    pub(crate) fn keyring(&self, with: &Surroundings) -> Result<Keyring, Problem> {
        self.check(with)?;
        let locals = self.locals()?;
        // What wraps comes first; behind it, what wrapped before.
        let mut keks: Vec<Arc<dyn Kek>> = Vec::new();
        keks.extend(self.services().kek(with)?);
        keks.extend(locals.iter().map(|local| Arc::new(local.clone()) as _));
        for previous in &self.previous {
            keks.push(previous.kek(with)?);
        }
        let mut keks = keks.into_iter();
        let first = keks.next();
        let first = first.ok_or_else(|| self.wrong("nothing wraps the data keys"))?;
        let mut keyring = match (&self.key_file, &self.postgres) {
            (_, Some(database)) => self.keyring_builder(database.store(with)?, first, with),
            (Some(path), None) => {
                let file = KeyFile::open(path, &locals);
                let file = file.map_err(|error| self.refuse("encryption", &error))?;
                self.keyring_builder(file, first, with)
            }
            (None, None) => return Err(self.wrong("takes one of `key_file` and `postgres`")),
        };
        for kek in keks {
            keyring = keyring.add_previous_kek(kek);
        }
        keyring
            .build()
            .map_err(|error| self.refuse("encryption", &error))
    }

    /// The key-encryption keys of this machine, the one that seals first.
    fn locals(&self) -> Result<Vec<LocalKek>, Problem> {
        let own = match (&self.kek_file, &self.kek_env) {
            (Some(path), _) => Some(LocalKek::from_file(path)),
            (None, Some(name)) => Some(LocalKek::from_env(name)),
            (None, None) => None,
        };
        let previous = self.previous_kek_files.iter();
        let previous = previous.map(|path| LocalKek::from_file(path));
        let locals: Result<Vec<_>, _> = own.into_iter().chain(previous).collect();
        locals.map_err(|error| self.refuse("encryption", &error))
    }

    pub(crate) fn layer(
        &self,
        keyring: Keyring,
        with: &Surroundings,
    ) -> Result<EncryptLayer, Problem> {
        let (tenant, binds) = (self.tenant.clone(), self.bind_subject);
        let (purpose, version) = (self.purpose.clone(), self.schema_version);
        let locate = move |_: &Parts, context: &SecurityContext| {
            let principal = context.principal();
            let place = match &tenant {
                Some(tenant) => Place::new(tenant),
                None => Place::new(principal?.issuer()),
            };
            let mut place = place.ok()?;
            if binds {
                place = place.with_subject(principal?.subject()).ok()?;
            }
            if let Some(purpose) = &purpose {
                place = place.with_purpose(purpose).ok()?;
            }
            Some(match version {
                Some(version) => place.with_schema_version(version),
                None => place,
            })
        };
        let mut config = EncryptConfig::builder(keyring, &self.collection, locate)
            .with_max_body(self.max_body.bytes())
            .with_max_values(self.max_values)
            .with_clock(with.clock.clone());
        for field in &self.field {
            config = config.add_field(field.build()?);
        }
        if let Some(moment) = self.allow_plaintext_until {
            config = config.with_plaintext(PlaintextPolicy::AcceptUntil(moment));
        }
        let config = attended!(config, self.mode, with).build();
        let config = config.map_err(|error| self.refuse("encryption", &error))?;
        Ok(EncryptLayer::new(config))
    }

    fn wrong(&self, message: &str) -> Problem {
        Problem::new(self.stands.0, "encryption", message)
    }
}

impl FieldEntry {
    fn build(&self) -> Result<FieldRule, Problem> {
        let mut rule = FieldRule::new(&self.path).with_padding(match self.padding {
            PaddingWord::To16 => Padding::To16,
            PaddingWord::To64 => Padding::To64,
            PaddingWord::ToPowerOfTwo => Padding::ToPowerOfTwo,
        });
        for entry in &self.show {
            rule = rule.show(Grant::scope(&entry.scope), self.shown(entry.shown)?);
        }
        rule = rule.otherwise(self.shown(self.otherwise)?);
        Ok(match self.allow_ciphertext {
            true => rule.allow_ciphertext(),
            false => rule,
        })
    }

    fn shown(&self, word: ShownWord) -> Result<Shown, Problem> {
        Ok(match word {
            ShownWord::Age => Shown::Generalized(Generalizer::Age),
            ShownWord::Ciphertext => Shown::Ciphertext,
            ShownWord::MaskAll => Shown::Masked(Mask::All),
            ShownWord::MaskEmail => Shown::Masked(Mask::Email),
            ShownWord::MaskLast4 => Shown::Masked(Mask::Last4),
            ShownWord::Omitted => Shown::Omitted,
            ShownWord::Plain => Shown::Plain,
            ShownWord::Pseudonym => match &self.pseudonym_domain {
                Some(domain) => Shown::Pseudonym(PseudonymDomain::new(domain)),
                None => {
                    let message = "pseudonyms take a `pseudonym_domain`";
                    return Err(Problem::new(self.stands.0, "encryption.field", message));
                }
            },
            ShownWord::Refused => Shown::Refused,
            ShownWord::Year => Shown::Generalized(Generalizer::Year),
            ShownWord::Zip3 => Shown::Generalized(Generalizer::Zip3),
        })
    }
}
