//! Names on the bus.

use std::fmt::Write as _;

/// What subjects of messages look like.
#[derive(Clone, Debug)]
pub(super) struct Subject(String);

impl Subject {
    /// Tokens of letters, digits, hyphens and underscores between dots, and the placeholders
    /// `{origin}` and `{kind}` in them.
    pub(super) fn parse(template: &str) -> Option<Self> {
        let is_fit = |token: &str| {
            let rest = token.replace("{origin}", "x").replace("{kind}", "x");
            !rest.is_empty() && rest.chars().all(is_plain)
        };
        template
            .split('.')
            .all(is_fit)
            .then(|| Self(template.to_owned()))
    }

    /// The subject of an entry. What has a meaning of its own in subjects becomes an underscore.
    pub(super) fn of(&self, origin: &str, kind: &str) -> String {
        let origin = origin.replace(|c| !is_plain(c), "_");
        self.0.replace("{origin}", &origin).replace("{kind}", kind)
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// Text that ends no header: what is not printable ASCII, and the percent sign, as percent and two
/// digits.
pub(super) fn header_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_no_token_that_means_something_else() {
        fn check(template: &str, expected: Option<&str>) {
            let subject = Subject::parse(template);
            let made = subject.map(|it| it.of("a.example/log *>", "request"));
            assert_eq!(made.as_deref(), expected, "{template}");
        }
        check("audit", Some("audit"));
        check(
            "audit.{origin}.{kind}",
            Some("audit.a_example_log___.request"),
        );
        check("a-{kind}_b", Some("a-request_b"));
        for template in [
            "", ".", "a.", ".a", "a..b", "a.*", "a.>", "a b", "{index}", "a\r\n",
        ] {
            check(template, None);
        }
    }

    #[test]
    fn a_header_stays_one() {
        assert_eq!(header_value("a.example/log"), "a.example/log");
        assert_eq!(header_value("a\r\nb: %é"), "a%0D%0Ab:%20%25%C3%A9");
    }
}
