//! The description of the file: the one source of its reader, its schema and its documentation.

/// A table of the file, and what may stand in it.
#[derive(Debug)]
pub(crate) struct Description {
    /// The name of the kind of table, unique: the schema's definition.
    pub(crate) title: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    pub(crate) fields: &'static [Field],
}

/// An option.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
}

/// What holds if an option is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// This, as it would be written, but for quotes.
    Default(&'static str),
    /// Nothing.
    Optional,
    /// The file is refused.
    Required,
}

/// What an option takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    /// One of these words.
    Choice(&'static [(&'static str, &'static str)]),
    /// A whole number from the first to the last.
    Count(u64, u64),
    List(&'static Self),
    /// The name of a file or folder.
    Path,
    Secret,
    Size,
    Span,
    /// A table.
    Table(fn() -> &'static Description),
    /// A text: what it is, and an example.
    Text(&'static str, &'static str),
}

impl Kind {
    /// For people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Bool => "boolean".to_owned(),
            Self::Choice(words) => {
                let words = words.iter().map(|(word, _)| format!("`\"{word}\"`"));
                words.collect::<Vec<_>>().join(", ")
            }
            Self::Count(..) => "number".to_owned(),
            Self::List(Self::Table(_)) => "tables".to_owned(),
            Self::List(kind) => format!("list of {}", kind.name()),
            Self::Path => "path".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Size => "size".to_owned(),
            Self::Span => "duration".to_owned(),
            Self::Table(_) => "table".to_owned(),
            Self::Text(what, _) => (*what).to_owned(),
        }
    }

    /// The table that it is, or that its items are.
    pub(crate) fn table(&self) -> Option<&'static Description> {
        match self {
            Self::List(kind) => kind.table(),
            Self::Table(description) => Some(description()),
            _ => None,
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }
}

impl Description {
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Every table below this one, each with the path under which it was met first.
pub(crate) fn tables(root: &'static Description) -> Vec<(String, bool, &'static Description)> {
    let mut found = vec![(String::new(), false, root)];
    let mut next = 0;
    while let Some((path, _, description)) = found.get(next).cloned() {
        for field in description.fields {
            let Some(table) = field.kind.table() else {
                continue;
            };
            if found.iter().any(|(_, _, known)| known.title == table.title) {
                continue;
            }
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", field.name);
            found.push((path, field.kind.is_list(), table));
        }
        next += 1;
    }
    found
}
