//! The resource that a proof names, in its one spelling ([RFC 3986 §6.2.2], [§6.2.3]).
//!
//! [RFC 3986 §6.2.2]: https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2
//! [§6.2.3]: https://www.rfc-editor.org/rfc/rfc3986#section-6.2.3

/// Scheme, host, port and path of a URI. Query and fragment count for nothing (RFC 9449 §4.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Target {
    scheme: String,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// Reads an absolute `http` or `https` URI.
    pub(super) fn parse(uri: &str) -> Option<Self> {
        if !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = uri.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end)?;
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            // A colon inside brackets is of an IPv6 address.
            Some((host, port)) if !port.contains(']') => {
                let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
                let port = match port {
                    "" => default_port,
                    _ if is_number => port.parse().ok()?,
                    _ => return None,
                };
                (host, port)
            }
            _ => (authority, default_port),
        };
        if host.is_empty() || host.contains('@') {
            return None;
        }
        Some(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            path: normal_path(path),
        })
    }

    pub(super) fn is_origin_of(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.host == other.host && self.port == other.port
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// A path with its escapes in one spelling: what need not be escaped is not, and what is, is in
/// capitals. Dot segments are left as they are; a path that has them matches none without.
pub(super) fn normal_path(path: &str) -> String {
    if path.is_empty() {
        return "/".to_owned();
    }
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        normal.push_str(before);
        let byte = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|_| !after.starts_with('+'));
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                normal.push(char::from(byte));
            }
            Some(byte) => normal.push_str(&format!("%{byte:02X}")),
            // A percent sign that escapes nothing is written as one that is escaped: left bare, it
            // could become an escape together with what is decoded behind it.
            None => {
                normal.push_str("%25");
                rest = after;
                continue;
            }
        }
        rest = after.get(2..).unwrap_or_default();
    }
    normal.push_str(rest);
    normal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, expected: bool) {
        let (one_target, other_target) = (Target::parse(one), Target::parse(other));
        let got = one_target.is_some() && one_target == other_target;
        assert_eq!(got, expected, "{one} and {other}");
    }

    #[test]
    fn one_resource_in_two_spellings_is_one() {
        let plain = "https://api.example/v1/orders";
        for other in [
            plain,
            "https://api.example:443/v1/orders",
            "https://api.example:/v1/orders",
            "HTTPS://API.Example/v1/orders",
            "https://api.example/v1/orders?x=1#y",
            "https://api.example/v1/%6frders",
            "https://api.example/v1/%6Frders",
        ] {
            check(plain, other, true);
        }
        check("https://api.example", "https://api.example/", true);
        check("https://api.example?x", "https://api.example/", true);
        check("https://a/%2fb", "https://a/%2Fb", true);
        check("https://[::1]:443/", "https://[::1]/", true);
    }

    #[test]
    fn another_resource_is_another() {
        let plain = "https://api.example/v1/orders";
        for other in [
            "http://api.example/v1/orders",
            "https://api.example:8443/v1/orders",
            "https://evil.example/v1/orders",
            "https://api.example.evil.example/v1/orders",
            "https://api.example/v1/Orders",
            "https://api.example/v1/orders/",
            "https://api.example/v1/x/../orders",
            "https://api.example/v1%2Forders",
            "https://api.example@evil.example/v1/orders",
            "https://api.example/v1/orders ",
            "//api.example/v1/orders",
            "ftp://api.example/v1/orders",
            "https://api.example:99999/v1/orders",
            "https://api.example:x/v1/orders",
            "https:///v1/orders",
            "",
        ] {
            check(plain, other, false);
        }
    }

    #[test]
    fn a_bare_percent_sign_does_not_become_an_escape() {
        assert_eq!(normal_path("/%%30a"), "/%250a");
        check("https://a/%%30a", "https://a/%0a", false);
        check("https://a/%", "https://a/%25", true);
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "[/a-cA-C%0-9+.é~-]{0,30}") {
            let once = normal_path(&path);
            // An escaped percent sign stays one.
            prop_assert_eq!(normal_path(&once), once.clone());
        }

        #[test]
        fn never_panics(uri in ".{0,60}", rest in "[:/?#@%\\[\\]a0]{0,20}") {
            let _ = (Target::parse(&uri), Target::parse(&format!("https://{rest}")));
        }
    }
}
