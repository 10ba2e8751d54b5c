//! Many inputs in one text: one to a line, and whatever is not a printable character of ASCII is
//! escaped as in a literal of Rust. Thousands of files would be unpleasant, and text shows in a
//! review what was added.

/// Texts are no longer than this: the longest inputs are left out.
pub const LONGEST: usize = 24 * 1024;

/// Writes inputs, in an order of their own, each once.
#[must_use]
pub fn pack(mut inputs: Vec<Vec<u8>>) -> String {
    inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    inputs.dedup();
    let mut text = String::new();
    for input in inputs {
        let line = format!("{}\n", input.escape_ascii());
        if text.len() + line.len() > LONGEST {
            break;
        }
        text.push_str(&line);
    }
    text
}

/// Reads what [`pack`] wrote; `None` if it did not.
#[must_use]
pub fn unpack(text: &str) -> Option<Vec<Vec<u8>>> {
    text.lines().map(unescape).collect()
}

fn unescape(line: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (escape, behind) = rest.split_first()?;
        rest = behind;
        bytes.push(match escape {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'\'' | b'"' | b'\\' => *escape,
            b'x' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_again() {
        let every: Vec<u8> = (0..=255).collect();
        let inputs = vec![Vec::new(), b"\\x41".to_vec(), b"a\nb\"'".to_vec(), every];
        let packed = pack(inputs.iter().rev().chain(&inputs).cloned().collect());
        assert!(packed.is_ascii());
        assert_eq!(packed.lines().count(), inputs.len());
        assert_eq!(unpack(&packed), Some(inputs));
    }

    #[test]
    fn the_longest_are_left_out() {
        let inputs = [1, LONGEST, 2].map(|length| vec![b'x'; length]);
        let packed = pack(inputs.to_vec());
        assert_eq!(packed, "x\nxx\n");
    }

    #[test]
    fn what_is_no_escape_is_not_read() {
        for line in ["\\", "\\q", "\\x4", "\\xzz"] {
            assert_eq!(unpack(line), None, "{line}");
        }
    }
}
