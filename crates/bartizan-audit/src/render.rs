//! Entries as other tools read them: one line each, whatever is in them.

mod cef;
mod ecs;
mod json;
mod line;
mod ocsf;
mod time;

use std::fmt;
use std::str::FromStr;

use crate::read::StoredEntry;
use crate::record::RecordError;

#[cfg(any(
    feature = "nats",
    feature = "otlp",
    feature = "postgres",
    feature = "syslog"
))]
pub(crate) use self::json::hex;
pub use self::line::escaped;
#[cfg(feature = "syslog")]
pub(crate) use self::line::is_unsafe;
#[cfg(feature = "syslog")]
pub(crate) use self::time::rfc3339;

/// A form that entries are rendered in.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// ArcSight Common Event Format, version 0.
    Cef,
    /// Elastic Common Schema.
    Ecs,
    /// Plain JSON, with the names that this crate uses. The default: nothing is left out.
    #[default]
    Json,
    /// Open Cybersecurity Schema Framework, version 1.8.0.
    Ocsf,
}

impl Format {
    /// A short stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cef => "cef",
            Self::Ecs => "ecs",
            Self::Json => "json",
            Self::Ocsf => "ocsf",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name is none of a form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the form is none of cef, ecs, json and ocsf")
    }
}

impl std::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        [Self::Cef, Self::Ecs, Self::Json, Self::Ocsf]
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or(UnknownFormat)
    }
}

/// Renders the entries of one log.
///
/// A line has no line break, no control character, and none that changes the direction or the
/// width of text: whatever a client sent, it cannot end a line, begin another, or tell a terminal
/// to do something.
#[derive(Clone, Debug)]
pub struct Renderer {
    format: Format,
    origin: String,
    service: String,
}

impl Renderer {
    /// Renders the entries of the log with this origin.
    #[must_use]
    pub fn new(format: Format, origin: &str) -> Self {
        Self {
            format,
            origin: origin.to_owned(),
            service: origin.to_owned(),
        }
    }

    /// Replaces the name of the service; by default the log's origin.
    #[must_use]
    pub fn with_service(mut self, service: &str) -> Self {
        service.clone_into(&mut self.service);
        self
    }

    /// The form.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// One entry as one line, without the line break.
    ///
    /// # Errors
    ///
    /// If the entry is no record of a version that is known.
    pub fn render(&self, entry: &StoredEntry) -> Result<String, RecordError> {
        let event = Event {
            origin: &self.origin,
            service: &self.service,
            index: entry.index,
            record: &entry.record()?,
        };
        Ok(match self.format {
            Format::Cef => cef::render(&event),
            Format::Ecs => line::to_line(&ecs::render(&event)),
            Format::Json => line::to_line(&json::render(&event)),
            Format::Ocsf => line::to_line(&ocsf::render(&event)),
        })
    }
}

/// An entry, and where it comes from.
struct Event<'e> {
    origin: &'e str,
    service: &'e str,
    index: u64,
    record: &'e crate::record::Record<'e>,
}

impl Event<'_> {
    /// What tells the entry from every other, everywhere.
    fn uid(&self) -> String {
        format!("{}/{}", self.origin, self.index)
    }
}

#[cfg(test)]
mod tests;
