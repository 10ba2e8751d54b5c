//! A member of a document, with the way that leads to it.

use bartizan_source::yaml::{Node, Value};

use super::error::{IstioError, IstioErrorKind};

/// A member, or the document as a whole.
#[derive(Clone, Debug)]
pub(super) struct Place<'d> {
    pub(super) document: usize,
    pub(super) line: usize,
    pub(super) path: String,
    node: &'d Node,
}

impl<'d> Place<'d> {
    pub(super) fn root(document: usize, node: &'d Node) -> Self {
        Self {
            document,
            line: node.line,
            path: String::new(),
            node,
        }
    }

    pub(super) fn error(&self, kind: IstioErrorKind) -> IstioError {
        IstioError {
            document: self.document,
            line: self.line,
            path: self.path.clone(),
            kind,
        }
    }

    pub(super) fn invalid(&self, problem: impl Into<String>) -> IstioError {
        self.error(IstioErrorKind::Invalid(problem.into()))
    }

    fn expected(&self, expected: &'static str) -> IstioError {
        self.error(IstioErrorKind::Expected {
            expected,
            found: self.node.value.kind(),
        })
    }

    /// Refuses members other than these; nothing is a map without members.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), IstioError> {
        for member in self.members()? {
            let name = member.path.rsplit('.').next().unwrap_or_default();
            if !known.contains(&name) {
                return Err(member.error(IstioErrorKind::Unknown(known.join(", "))));
            }
        }
        Ok(())
    }

    /// The members of a map; nothing has none.
    pub(super) fn members(&self) -> Result<Vec<Self>, IstioError> {
        match &self.node.value {
            Value::Map(members) => Ok(members
                .iter()
                .map(|member| Self {
                    document: self.document,
                    line: member.line,
                    path: match self.path.as_str() {
                        "" => member.name.clone(),
                        path => format!("{path}.{}", member.name),
                    },
                    node: &member.node,
                })
                .collect()),
            Value::Null => Ok(Vec::new()),
            _ => Err(self.expected("a map")),
        }
    }

    /// The member of this name; none if it is not there, or nothing.
    pub(super) fn member(&self, name: &str) -> Option<Self> {
        let Value::Map(members) = &self.node.value else {
            return None;
        };
        let member = members.iter().find(|member| member.name == name)?;
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        (member.node.value != Value::Null).then_some(Self {
            document: self.document,
            line: member.line,
            path,
            node: &member.node,
        })
    }

    /// The items of the list of this name; none if it is not there.
    pub(super) fn items(&self, name: &str) -> Result<Vec<Self>, IstioError> {
        let Some(list) = self.member(name) else {
            return Ok(Vec::new());
        };
        let Value::List(items) = &list.node.value else {
            return Err(list.expected("a list"));
        };
        let items = items.iter().enumerate();
        Ok(items
            .map(|(at, node)| Self {
                document: self.document,
                line: node.line,
                path: format!("{}[{at}]", list.path),
                node,
            })
            .collect())
    }

    /// The texts in the list of this name, each with its place.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<(Self, &'d str)>, IstioError> {
        let items = self.items(name)?;
        items
            .into_iter()
            .map(|item| item.as_text().map(|text| (item, text)))
            .collect()
    }

    /// The text of this name.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'d str>, IstioError> {
        self.member(name).map(|it| it.as_text()).transpose()
    }

    pub(super) fn as_text(&self) -> Result<&'d str, IstioError> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.expected("a text, in quotes if need be,")),
        }
    }

    /// Whether there is nothing, or a map without members.
    pub(super) fn is_nothing(&self) -> bool {
        match &self.node.value {
            Value::Null => true,
            Value::Map(members) => members.is_empty(),
            _ => false,
        }
    }
}
