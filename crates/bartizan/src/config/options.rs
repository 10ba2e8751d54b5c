//! The settings of the family's builders: which stand in the file, and why the others do not.

use std::fmt::Write as _;

/// One line of it.
const LIST: &str = include_str!("options.txt");

/// A setting that code can make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// The part of the crate's name behind `bartizan-`.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test goes by it"))]
    pub(crate) crate_name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) method: &'static str,
    /// Options of the file, or the name of a reason behind `@`.
    pub(crate) place: &'static str,
}

impl Setting {
    /// The name of the reason why it does not stand in the file.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.place.strip_prefix('@')
    }
}

/// The reasons, by their names, in the order of the list.
pub(crate) fn reasons() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = LIST.lines().filter_map(|line| line.strip_prefix('@'));
    lines.filter_map(|line| line.split_once(' '))
}

/// All settings, in the order of the list.
pub(crate) fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    let (mut crate_name, mut kind) = ("", "");
    for line in LIST.lines() {
        if line.is_empty() || line.starts_with(['#', '@']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            crate_name = name;
            continue;
        }
        let items = match line.split_once(": ") {
            Some((name, items)) => {
                kind = name;
                items
            }
            None => line,
        };
        let items = items.split_whitespace().filter_map(|it| it.split_once('='));
        settings.extend(items.map(|(method, place)| Setting {
            crate_name,
            kind,
            method,
            place,
        }));
    }
    settings
}

/// What takes code, and why, as a table in Markdown.
pub(crate) fn code_only() -> String {
    let mut table = "| why | settings |\n|---|---|\n".to_owned();
    for (name, reason) in reasons() {
        let of = settings()
            .into_iter()
            .filter(|it| it.reason() == Some(name));
        let mut named: Vec<String> = Vec::new();
        for setting in of {
            // What nearly every builder has is told once.
            let text = match name {
                "clock" | "entrance" | "observer" => format!("`{}`", setting.method),
                _ => format!("`{}::{}`", setting.kind, setting.method),
            };
            if !named.contains(&text) {
                named.push(text);
            }
        }
        let _ = writeln!(table, "| {reason} | {} |", named.join(", "));
    }
    table
}
