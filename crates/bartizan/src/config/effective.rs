//! What is in force, as a person would read it.

use std::fmt;

use crate::config::counted::CountedBy;
use crate::config::describe::Description;
use crate::config::reader::Shown;
use crate::config::root::Root;
use crate::config::schema::prose;
use crate::config::telemetry::Telemetry;

/// What a configuration puts in force: every option with its value, outermost layer first.
///
/// `Display` prints it for people. Secrets are shown by where they come from alone.
#[derive(Clone, Debug)]
pub struct Effective {
    entries: Vec<Entry>,
    warnings: Vec<String>,
}

/// One option that is in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    path: String,
    value: String,
    line: Option<usize>,
}

impl Entry {
    /// The option, such as `tokens.issuer[0].leeway`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its value, as it would be written without quotes: environment variables by their names.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The line that says so; `None` for a default.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    fn is_of(&self, section: &str) -> bool {
        let rest = self.path.strip_prefix(section);
        rest.is_some_and(|rest| rest.starts_with(['.', '[']))
    }
}

impl Effective {
    pub(crate) fn new(root: &Root, shown: &[Shown]) -> Self {
        let mut it = Self {
            entries: shown.iter().map(Entry::from).collect(),
            warnings: Vec::new(),
        };
        it.warnings = warnings(root, &it.entries);
        it
    }

    /// Every option that is in force, defaults included.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What somebody should know who believes that the service is protected.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn sections(&self) -> impl Iterator<Item = (&'static str, &'static Description, Vec<&Entry>)> {
        let tables = Root::description().fields.iter();
        tables.filter_map(|field| {
            let table = field.kind.table()?;
            let entries = self.entries.iter().filter(|it| it.is_of(field.name));
            Some((field.name, table, entries.collect()))
        })
    }
}

impl From<&Shown> for Entry {
    fn from(shown: &Shown) -> Self {
        Self {
            path: shown.path.clone(),
            value: shown.value.clone(),
            line: shown.line,
        }
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The stack, outermost first:")?;
        let mut place = 0;
        let mut absent = Vec::new();
        for (name, table, entries) in self.sections() {
            if entries.is_empty() {
                absent.push(name);
                continue;
            }
            place += 1;
            let about = prose(table.about);
            let about = about
                .split_once(". ")
                .map_or(about.as_str(), |(first, _)| first);
            writeln!(f, "\n{place:>2}. {name}: {}", about.trim_end_matches('.'))?;
            let width = entries.iter().map(|it| it.path.len() - name.len()).max();
            for entry in entries {
                let option = entry.path.get(name.len()..).unwrap_or_default();
                let option = option.trim_start_matches('.');
                let origin = match entry.line {
                    Some(line) => format!("line {line}"),
                    None => "default".to_owned(),
                };
                let width = width.unwrap_or_default();
                writeln!(f, "      {option:width$} {}  ({origin})", entry.value)?;
            }
        }
        if !absent.is_empty() {
            writeln!(f, "\nNot there: {}.", absent.join(", "))?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn warnings(root: &Root, entries: &[Entry]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |holds: bool, text: &str| {
        if holds {
            warnings.push(text.to_owned());
        }
    };
    let rules = root.rules.as_ref();
    warn(rules.is_none(), "no [rules]: every request is refused");
    warn(root.audit.is_none(), "no [audit]: nothing is recorded");
    let telemetry = root.telemetry.as_ref();
    warn(
        root.audit.is_none() && !telemetry.is_some_and(Telemetry::is_heard),
        "neither [audit] nor [telemetry] with `stderr`: a change of this file that is refused is \
         told to observers in code alone",
    );
    warn(
        root.peers.is_none() && root.tokens.is_none() && root.api_keys.is_none(),
        "neither [peers] nor [tokens] nor [api_keys]: nobody is authenticated",
    );
    warn(
        root.address_limit.is_none(),
        "no [address_limit]: whoever is not authenticated yet may call as often as they like",
    );
    warn(
        root.exempt.as_ref().is_some_and(|it| !it.paths.is_empty()),
        "[exempt]: nothing decides about these paths",
    );
    for entry in entries {
        let option = entry.path.rsplit('.').next().unwrap_or_default();
        let on_line = entry
            .line
            .map_or(String::new(), |line| format!(" (line {line})"));
        if option == "mode" && entry.value == "shadow" {
            warnings.push(format!("{}: shadow refuses nobody{on_line}", entry.path));
        }
        if option.starts_with("insecure_") && entry.value != "false" {
            warnings.push(format!("{} is {}{on_line}", entry.path, entry.value));
        }
    }
    let entrance = root.entrance.as_ref();
    if entrance.is_none_or(|it| it.routes.is_empty()) {
        for (place, limit) in root.limits() {
            if limit.by.as_ref().is_some_and(CountedBy::takes_route) {
                warnings.push(format!(
                    "{}.by counts by `template`, and `entrance.routes` lists none: no request has \
                     one (line {})",
                    place.section(),
                    limit.stands.0.line
                ));
            }
        }
    }
    if let Some(plaintext) = root
        .peers
        .as_ref()
        .and_then(|it| it.insecure_plaintext.as_ref())
    {
        let line = plaintext.stands.0.line;
        warnings.push(format!(
            "peers.insecure_plaintext takes plaintext (line {line})"
        ));
    }
    warnings
}
