//! `X-Forwarded-For` and `Forwarded`, read from the right.

use std::net::{IpAddr, SocketAddr};

/// A header in which proxies say whom they serve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ForwardingHeader {
    /// `Forwarded` of [RFC 7239](https://www.rfc-editor.org/rfc/rfc7239), its `for` parameter.
    Forwarded,
    /// The older `X-Forwarded-For`: a list of addresses.
    XForwardedFor,
}

impl ForwardingHeader {
    /// The header's name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::XForwardedFor => "x-forwarded-for",
        }
    }

    /// The elements of the header, the last first: `None` for one that is no address.
    pub(super) fn rightmost_first<'h, L>(self, lines: L) -> impl Iterator<Item = Option<IpAddr>>
    where
        L: IntoIterator<Item = &'h [u8]>,
        L::IntoIter: DoubleEndedIterator,
    {
        lines
            .into_iter()
            .rev()
            .flat_map(move |line| Elements::of(line, self == Self::Forwarded))
            .filter(|element| !element.trim_ascii().is_empty())
            .map(move |element| {
                let element = std::str::from_utf8(element).ok()?.trim_ascii();
                match self {
                    Self::Forwarded => forwarded_for(element),
                    Self::XForwardedFor => node(element),
                }
            })
    }
}

/// Splits a line at its commas, from the right.
///
/// A quoted string is recognised from its closing quote backwards, so that a quote which a client
/// left open on the left cannot hide what a trusted proxy appended on the right.
struct Elements<'h> {
    rest: Option<&'h [u8]>,
    quotes: bool,
}

impl<'h> Elements<'h> {
    /// A line with an escape is one element, which is no address: read backwards, a quote that was
    /// escaped looks like one that was not, and no honest address needs either.
    fn of(line: &'h [u8], quotes: bool) -> Self {
        let escaped = quotes && line.contains(&b'\\');
        Self {
            rest: Some(if escaped { b"?" } else { line }),
            quotes,
        }
    }
}

impl<'h> Iterator for Elements<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let line = self.rest?;
        let mut quoted = false;
        for (index, byte) in line.iter().enumerate().rev() {
            match byte {
                b'"' if self.quotes => quoted = !quoted,
                b',' if !quoted => {
                    let (left, right) = line.split_at(index);
                    self.rest = Some(left);
                    return right.get(1..);
                }
                _ => {}
            }
        }
        self.rest = None;
        Some(line)
    }
}

//= RFC 7239 §4: each parameter occurs at most once per element; names compare without case.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut client = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim_ascii_start().eq_ignore_ascii_case("for") {
            if client.is_some() {
                return None;
            }
            client = Some(node(unquote(value.trim_ascii())?)?);
        }
    }
    client
}

/// The inside of a quoted string without escapes, or a value without quotes.
///
/// An address needs no escapes, so that an escape is taken for an attempt to confuse.
fn unquote(value: &str) -> Option<&str> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    (!inner.contains(['"', '\\'])).then_some(inner)
}

/// An address, with or without port and brackets.
//= RFC 7239 §6: node = nodename [ ":" node-port ], an IPv6 nodename stands in brackets.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return usable(address);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once(']')?;
        let port_is_well_formed =
            port.is_empty() || port.strip_prefix(':').is_some_and(is_node_port);
        return port_is_well_formed
            .then(|| inner.parse().ok())
            .flatten()
            .and_then(usable);
    }
    text.parse::<SocketAddr>()
        .ok()
        .map(|socket| socket.ip())
        .and_then(usable)
}

fn is_node_port(port: &str) -> bool {
    port.parse::<u16>().is_ok()
}

/// The unspecified address names nobody.
fn usable(address: IpAddr) -> Option<IpAddr> {
    (!super::fold(address).is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_nodes() {
        for (text, expected) in [
            ("192.0.2.43", Some("192.0.2.43")),
            ("192.0.2.43:80", Some("192.0.2.43")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]x", None),
            ("[2001:db8::1]:port", None),
            ("[2001:db8::1", None),
            ("0.0.0.0", None),
            ("::", None),
            ("", None),
            ("1.2.3", None),
            ("01.2.3.4", None),
            ("fe80::1%eth0", None),
        ] {
            assert_eq!(
                node(text).map(|a| a.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(lines in proptest::collection::vec(any::<Vec<u8>>(), 0..4)) {
            for header in [ForwardingHeader::Forwarded, ForwardingHeader::XForwardedFor] {
                let _ = header.rightmost_first(lines.iter().map(Vec::as_slice)).count();
            }
        }

        #[test]
        fn what_stands_left_does_not_change_the_rightmost(left in "[ -\\[\\]-~]{0,40}") {
            for (header, right) in [
                (ForwardingHeader::Forwarded, "for=1.2.3.4"),
                (ForwardingHeader::XForwardedFor, "1.2.3.4"),
            ] {
                let line = format!("{left}, {right}");
                let first = header.rightmost_first([line.as_bytes()]).next().flatten();
                prop_assert_eq!(first, Some("1.2.3.4".parse().unwrap()));
            }
        }
    }
}
