//! A key as it is shown: everything but the wrapped key.

use bartizan::encrypt::{KeyRecord, KeyStage};
use serde_json::{Value, json};

/// A record for scripts. Whose a personal key is tells who is a customer: it is hidden unless
/// asked for.
pub(super) fn shown(record: &KeyRecord, subjects: bool) -> anyhow::Result<Value> {
    let scope = serde_json::to_value(&record.scope)?;
    let part = |name| scope.get(name).cloned().unwrap_or_default();
    let subject = match part("subject") {
        Value::String(_) if !subjects => json!("(hidden)"),
        subject => subject,
    };
    let (stage, destroyed) = match record.stage {
        KeyStage::Destroyed { at } => ("destroyed", Some(at)),
        KeyStage::PreActive => ("pre-active", None),
        KeyStage::Active => ("active", None),
        KeyStage::DecryptOnly => ("decrypt-only", None),
        KeyStage::Disabled => ("disabled", None),
        _ => ("unknown", None),
    };
    Ok(json!({
        "id": record.id.to_string(),
        "tenant": part("tenant"),
        "subject": subject,
        "purpose": part("purpose"),
        "version": record.version,
        "stage": stage,
        "created": record.created,
        "destroyed": destroyed,
        "kek": record.kek,
    }))
}

/// The same for people.
pub(super) fn row(key: &Value) -> Vec<String> {
    let text = |name: &str| match key.get(name) {
        Some(Value::String(text)) => printable(text),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    let created = key.get("created").and_then(Value::as_u64);
    let created = created.map(date).unwrap_or_default();
    let names = ["id", "tenant", "subject", "purpose", "version", "stage"];
    names.map(text).into_iter().chain([created]).collect()
}

/// Names are whatever tenants are called: control characters are not sent to a terminal.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// The day of a moment, as ISO 8601 writes it: counted from the 1st of March of the year 0, so
/// that a leap day ends a year.
pub(crate) fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_795_305_600, "2026-11-22"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn names_do_not_steer_a_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\r\n"),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}"
        );
    }
}
