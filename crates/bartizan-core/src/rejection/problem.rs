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
    let mut json = String::with_capacity(192);
    json.push_str(r#"{"type":"urn:bartizan:problem:"#);
    json.push_str(rejection.code().as_str());
    json.push_str(r#"","title":""#);
    json.push_str(kind.title());
    json.push_str(r#"","status":"#);
    json.push_str(kind.status().as_str());
    json.push_str(r#","code":""#);
    json.push_str(rejection.code().as_str());
    json.push('"');
    if rejection.detail() != kind.title() {
        json.push_str(r#","detail":""#);
        for character in rejection.detail().chars() {
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
