//! PEM, as far as certificates and keys are written in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The contents of all blocks whose label ends so.
pub(crate) fn blocks(text: &str, label: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim) {
        let begins = line.strip_prefix("-----BEGIN ");
        if let Some(name) = begins.and_then(|it| it.strip_suffix("-----")) {
            open = name.ends_with(label).then(String::new);
        } else if line.starts_with("-----END ") {
            let content = open.take().map(|it| STANDARD.decode(it));
            found.extend(content.and_then(Result::ok));
        } else if let Some(base64) = &mut open {
            base64.push_str(line);
        }
    }
    found
}

/// One block.
pub(crate) fn write(label: &str, content: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let base64 = STANDARD.encode(content);
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = write("A", &[1; 100]) + "x\n" + &write("B KEY", &[2]) + &write("A", &[3]);
        assert_eq!(blocks(&text, "A"), [vec![1; 100], vec![3]]);
        assert_eq!(blocks(&text, "KEY"), [[2]]);
        assert!(blocks("-----BEGIN A-----\n!\n-----END A-----", "A").is_empty());
    }
}
