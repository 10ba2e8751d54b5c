//! The route templates of a service.

use std::fmt;
use std::sync::Arc;

/// The route templates of a service, in axum's notation: `/orders/{id}`, `/files/{*rest}`, and
/// `/package.Service/Method` for gRPC.
///
/// The outermost layer resolves each request against it, so that rules, limits, metrics and audit
/// records all speak of the same template. It uses the matcher that axum uses, so that both agree
/// on what a path matches.
///
/// ```
/// use bartizan_core::{CanonicalPath, RouteTable};
///
/// let table = RouteTable::new(["/orders/{id}", "/shop.Payments/Charge"])?;
/// let path = CanonicalPath::parse("/orders/7")?;
/// assert_eq!(table.template(&path).as_deref(), Some("/orders/{id}"));
/// assert_eq!(table.template(&CanonicalPath::parse("/orders")?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct RouteTable {
    router: matchit::Router<Arc<str>>,
    length: usize,
}

impl RouteTable {
    /// A table of these templates.
    ///
    /// # Errors
    ///
    /// If a template is malformed, or conflicts with another.
    pub fn new<T: AsRef<str>>(
        templates: impl IntoIterator<Item = T>,
    ) -> Result<Self, RouteTableError> {
        let mut table = Self::default();
        for template in templates {
            let template = template.as_ref();
            table
                .router
                .insert(template, Arc::from(template))
                .map_err(|error| RouteTableError {
                    template: template.to_owned(),
                    reason: error.to_string(),
                })?;
            table.length += 1;
        }
        Ok(table)
    }

    /// The template that the path matches. No allocation, for up to four parameters.
    pub fn template(&self, path: &super::CanonicalPath<'_>) -> Option<Arc<str>> {
        self.template_as_sent(path.as_str())
    }

    /// The template that a router which compares paths as they were sent, as axum's does, would
    /// choose for this one.
    ///
    /// ```
    /// use bartizan_core::{CanonicalPath, RouteTable};
    ///
    /// let table = RouteTable::new(["/orders/new", "/orders/{id}"])?;
    /// let sent = "/orders/%6eew";
    /// assert_eq!(table.template_as_sent(sent).as_deref(), Some("/orders/{id}"));
    /// let canonical = CanonicalPath::parse(sent)?;
    /// assert_eq!(table.template(&canonical).as_deref(), Some("/orders/new"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn template_as_sent(&self, path: &str) -> Option<Arc<str>> {
        self.router
            .at(path)
            .ok()
            .map(|found| Arc::clone(found.value))
    }

    /// How many templates there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is no template.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTable")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// A template that cannot stand in the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteTableError {
    template: String,
    reason: String,
}

impl fmt::Display for RouteTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route template {:?}: {}", self.template, self.reason)
    }
}

impl std::error::Error for RouteTableError {}

#[cfg(test)]
mod tests {
    use super::super::CanonicalPath;
    use super::*;

    #[test]
    fn prefers_the_more_specific_template() {
        let table = RouteTable::new(["/orders/{id}", "/orders/new", "/files/{*rest}"]).unwrap();
        for (path, expected) in [
            ("/orders/new", Some("/orders/new")),
            ("/orders/7", Some("/orders/{id}")),
            ("/files/a/b", Some("/files/{*rest}")),
            ("/orders/7/", None),
            ("/", None),
        ] {
            let template = table.template(&CanonicalPath::parse(path).unwrap());
            assert_eq!(template.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn refuses_templates_that_conflict() {
        let error = RouteTable::new(["/a/{x}", "/a/{y}"]).unwrap_err();
        assert!(error.to_string().contains("/a/{y}"), "{error}");
    }
}
