//! A key as it is shown: everything but the key and its hash.

use bartizan::apikey::KeyRecord;
use bartizan::core::WallTime;
use serde_json::{Value, json};

use crate::keys::{date, printable};

/// What the columns of a list are.
pub(super) const HEADING: [&str; 9] = [
    "KEY",
    "NAME",
    "SUBJECT",
    "CLIENT",
    "SCOPES",
    "STATE",
    "EXPIRES",
    "LAST USED",
    "REPLACED BY",
];

/// A record for scripts.
pub(super) fn shown(record: &KeyRecord, now: WallTime) -> Value {
    let seconds = |at: Option<WallTime>| at.map(WallTime::unix_seconds);
    let networks = record.networks().iter().map(ToString::to_string);
    json!({
        "id": record.id().to_string(),
        "name": record.name(),
        "subject": record.subject(),
        "client": record.client(),
        "tenant": record.tenant(),
        "scopes": record.scopes().collect::<Vec<_>>(),
        "roles": record.roles().collect::<Vec<_>>(),
        "networks": networks.collect::<Vec<_>>(),
        "state": record.state(now).as_str(),
        "created": record.created().unix_seconds(),
        "not_before": seconds(record.not_before()),
        "expires": seconds(record.expires()),
        "revoked": seconds(record.revoked()),
        "replaced_by": record.replaced_by().map(|id| id.to_string()),
        "last_used": seconds(record.last_used()),
    })
}

/// The same for people.
pub(super) fn row(record: &KeyRecord, now: WallTime) -> Vec<String> {
    let text = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), printable);
    let time = |at: Option<WallTime>| at.map_or_else(|| "-".to_owned(), moment);
    let scopes = record.scopes().collect::<Vec<_>>().join(" ");
    vec![
        record.id().to_string(),
        text(record.name()),
        text(Some(record.subject())),
        text(record.client()),
        text(Some(scopes.as_str()).filter(|scopes| !scopes.is_empty())),
        record.state(now).as_str().to_owned(),
        time(record.expires()),
        time(record.last_used()),
        record
            .replaced_by()
            .map_or_else(|| "-".to_owned(), |id| id.to_string()),
    ]
}

/// Day and minute, in UTC.
pub(super) fn moment(at: WallTime) -> String {
    let seconds = at.unix_seconds();
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{} {hour:02}:{minute:02}Z", date(seconds))
}
