//! Problem details for HTTP APIs, RFC 9457.

use super::Rejection;

/// The media type of problem details.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Writes the members `type`, `title`, `status`, `code` and, if it says more than the title,
/// `detail`.
///
/// Everything written is fixed text of ours without characters that JSON escapes, which
/// `Code::new` checks for codes and a test for titles; details are escaped all the same.
pub(super) fn to_json(rejection: &Rejection) -> Vec<u8> {
    let kind = rejection.kind();
    let status = kind.status();
    let code = rejection.code().as_str();
    let detail = rejection.detail();
    let has_detail = detail != kind.title();
    let begin = [
        r#"{"type":"urn:bartizan:problem:"#,
        code,
        r#"","title":""#,
        kind.title(),
        r#"","status":"#,
        status.as_str(),
        r#","code":""#,
        code,
        r#"""#,
    ];
    let length: usize = begin.iter().map(|part| part.len()).sum();
    // To the byte, unless something is escaped: bytes that do not fill their memory need more.
    let more = if has_detail { detail.len() + 12 } else { 0 };
    let mut json = String::with_capacity(length + more + 1);
    json.extend(begin);
    if has_detail {
        json.push_str(r#","detail":""#);
        for character in detail.chars() {
            match character {
                '"' | '\\' => json.extend(['\\', character]),
                c if c.is_control() => json.push(' '),
                c => json.push(c),
            }
        }
        json.push('"');
    }
    json.push('}');
    json.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::RejectionKind;
    use super::*;
    use crate::code::Code;

    fn json(detail: Option<&'static str>) -> Vec<u8> {
        let refused = Rejection::new(RejectionKind::Forbidden, Code::new("test.refused"));
        to_json(&match detail {
            Some(detail) => refused.with_detail(detail),
            None => refused,
        })
    }

    #[test]
    fn fills_its_memory_to_the_byte() {
        for detail in [None, Some("not on Sundays")] {
            let json = json(detail);
            assert_eq!(json.len(), json.capacity(), "{detail:?}");
        }
    }

    #[test]
    fn a_detail_cannot_break_out_of_its_string() {
        for (detail, expected) in [
            ("a\"b", r#""detail":"a\"b"}"#),
            ("a\\", r#""detail":"a\\"}"#),
            ("a\nb\u{7f}", r#""detail":"a b "}"#),
            ("s\u{fc}\u{df}", "\"detail\":\"s\u{fc}\u{df}\"}"),
        ] {
            let json = String::from_utf8(json(Some(detail))).unwrap();
            assert!(json.ends_with(expected), "{json}");
        }
    }
}
