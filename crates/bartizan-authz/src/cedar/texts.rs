//! Policies as they are written.

use std::str::FromStr as _;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, Validator};

use super::CedarError;

/// More mistakes of one text are not told: whoever mends them sees the next.
const MOST_TOLD: usize = 16;

/// Reads one text, and holds it against the schema.
pub(super) fn read(text: &str, schema: &Schema) -> Result<PolicySet, CedarError> {
    let policies = PolicySet::from_str(text);
    let policies =
        policies.map_err(|error| CedarError::Parse(told(text, &DetailedError::from(&error))))?;
    // Nobody links one, so that what it forbids would be allowed.
    if let Some(template) = policies.templates().next() {
        let message = format!("{} is a template, which nobody links", template.id());
        return Err(CedarError::Validation(message));
    }
    let validation = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
    // A policy that can never apply is a mistake as well, and only warned of.
    let errors = validation.validation_errors().map(DetailedError::from);
    let warnings = validation.validation_warnings().map(DetailedError::from);
    let problems = errors.chain(warnings).take(MOST_TOLD);
    let problems: Vec<_> = problems.map(|problem| told(text, &problem)).collect();
    match problems.as_slice() {
        [] => Ok(policies),
        problems => Err(CedarError::Validation(problems.join("; "))),
    }
}

/// Reads several, each with its name, as one set: policies are called by text and place.
pub(super) fn read_all<'t>(
    texts: impl IntoIterator<Item = (&'t str, &'t str)>,
    schema: &Schema,
) -> Result<PolicySet, CedarError> {
    let mut all = PolicySet::new();
    for (name, text) in texts {
        let policies = read(text, schema).map_err(|error| error.of(name))?;
        for policy in policies.policies() {
            let id = PolicyId::new(format!("{name}#{}", policy.id()));
            let added = all.add(policy.new_id(id));
            added.map_err(|error| CedarError::Parse(format!("{name}: {error}")))?;
        }
    }
    Ok(all)
}

/// What is wrong, with the line.
fn told(text: &str, error: &DetailedError) -> String {
    let at = error.source_locations.first().map(|label| label.loc.start);
    let before = at.and_then(|at| text.as_bytes().get(..at));
    let mut message = match before {
        Some(before) => {
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            format!("line {line}: {}", error.message)
        }
        None => error.message.clone(),
    };
    if let Some(help) = &error.help {
        message.push_str(&format!(" ({help})"));
    }
    for other in error.related.iter().take(MOST_TOLD) {
        message.push_str("; ");
        message.push_str(&told(text, other));
    }
    message
}
