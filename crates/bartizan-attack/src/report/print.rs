//! A report for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::{Entry, Report, Verdict};
use crate::attack::Class;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in self.findings() {
            write_entry(f, "GOT IN", entry)?;
        }
        for entry in self.unjudged() {
            write_entry(f, "unjudged", entry)?;
        }
        let [class, held] = ["class", "held"];
        writeln!(f, "{class:<14}{held:>6}   got in   unjudged   not run")?;
        for class in Class::ALL {
            self.write_counts(f, class.name(), Some(class))?;
        }
        self.write_counts(f, "all", None)?;
        let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for entry in &self.entries {
            if let Verdict::NotRun(need) = &entry.verdict {
                needs.entry(need).or_default().push(entry.name);
            }
        }
        for (need, names) in needs {
            let some = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
            let more = if names.len() > 3 { ", ..." } else { "" };
            writeln!(f, "not run, {need}: {} ({some}{more})", names.len())?;
        }
        Ok(())
    }
}

impl Report {
    fn write_counts(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        class: Option<Class>,
    ) -> fmt::Result {
        let counts = self.counts(class);
        writeln!(
            f,
            "{name:<14}{:>6}{:>9}{:>11}{:>10}",
            counts.held, counts.findings, counts.unjudged, counts.not_run
        )
    }
}

fn write_entry(f: &mut fmt::Formatter<'_>, word: &str, entry: &Entry) -> fmt::Result {
    let (Verdict::Finding(why) | Verdict::Unjudged(why)) = &entry.verdict else {
        return Ok(());
    };
    let reference = entry.reference.map(|it| format!(" ({it})"));
    let reference = reference.unwrap_or_default();
    writeln!(
        f,
        "{word}: {}: {}{reference}",
        entry.name, entry.description
    )?;
    writeln!(f, "  promised: {}; answered: {why}", entry.promise)
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Report", 2)?;
        object.serialize_field("counts", &self.counts(None))?;
        object.serialize_field("attacks", &self.entries)?;
        object.end()
    }
}
