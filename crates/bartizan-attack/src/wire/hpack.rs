//! HPACK (RFC 7541) without a dynamic table: nothing is indexed by us, and the settings forbid it to
//! the other side.

use crate::draft::Field;

/// Writes fields as literals that are never indexed (RFC 7541 §6.2.3), whatever is in them.
pub(crate) fn encode(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        for text in [name, value] {
            integer(&mut block, text.len(), 7);
            block.extend_from_slice(text);
        }
    }
    block
}

fn integer(block: &mut Vec<u8>, value: usize, prefix: u32) {
    let most = (1_usize << prefix) - 1;
    if value < most {
        block.push(u8::try_from(value).unwrap_or_default());
        return;
    }
    block.push(u8::try_from(most).unwrap_or_default());
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
        rest >>= 7;
    }
    block.push(u8::try_from(rest).unwrap_or_default());
}

/// Reads the fields of a block, as far as they can be read.
pub(super) fn decode(block: &[u8]) -> Vec<Field> {
    let mut reader = Reader(block);
    let mut fields = Vec::new();
    while let Some(first) = reader.0.first().copied() {
        let field = match first {
            0x80.. => reader.integer(7).map(indexed),
            0x40.. => reader.literal(6),
            // The table gets another size, which is none of our business.
            0x20.. => match reader.integer(5) {
                Some(_) => continue,
                None => None,
            },
            _ => reader.literal(4),
        };
        match field {
            Some(field) => fields.push(field),
            None => break,
        }
    }
    fields
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn integer(&mut self, prefix: u32) -> Option<usize> {
        let (first, mut rest) = self.0.split_first()?;
        let most = (1_usize << prefix) - 1;
        let mut value = usize::from(*first) & most;
        let mut shift = 0;
        if value == most {
            loop {
                let (byte, behind) = rest.split_first()?;
                rest = behind;
                value = value.checked_add(usize::from(byte & 0x7f).checked_shl(shift)?)?;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
                if shift > 28 {
                    return None;
                }
            }
        }
        self.0 = rest;
        Some(value)
    }

    fn literal(&mut self, prefix: u32) -> Option<Field> {
        let name = match self.integer(prefix)? {
            0 => self.text()?,
            index => indexed(index).0,
        };
        Some((name, self.text()?))
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let coded = self.0.first()? & 0x80 != 0;
        let length = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(if coded { uncoded(text) } else { text.to_vec() })
    }
}

/// What matters of the static table (RFC 7541 appendix A): statuses, and a name.
fn indexed(index: usize) -> Field {
    let status = |value: &str| (b":status".to_vec(), value.into());
    match index {
        8 => status("200"),
        9 => status("204"),
        10 => status("206"),
        11 => status("304"),
        12 => status("400"),
        13 => status("404"),
        14 => status("500"),
        20 => (b"access-control-allow-origin".to_vec(), Vec::new()),
        46 => (b"location".to_vec(), Vec::new()),
        53 => (b"retry-after".to_vec(), Vec::new()),
        61 => (b"www-authenticate".to_vec(), Vec::new()),
        other => (format!("static-{other}").into_bytes(), Vec::new()),
    }
}

/// Characters whose code has 5, 6, 7 or 8 bits (RFC 7541 appendix B), in the order of their codes.
/// Codes of one length follow each other; what is rarer ends the text.
const CODES: [(u32, u32, &[u8]); 4] = [
    (5, 0, b"012aceiost"),
    (6, 0b01_0100, b" %-./3456789=A_bdfghlmnpru"),
    (7, 0b101_1100, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, 0b1111_1000, b"&*,;XZ"),
];

fn uncoded(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let (mut code, mut length) = (0_u32, 0);
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
    {
        code = code << 1 | u32::from(bit);
        length += 1;
        let found = CODES.iter().filter(|it| it.0 == length).find_map(|it| {
            let index = code.checked_sub(it.1)?;
            it.2.get(usize::try_from(index).ok()?)
        });
        if let Some(character) = found {
            text.push(*character);
            (code, length) = (0, 0);
        } else if length > 8 {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let fields: Vec<Field> = vec![
            (b":path".to_vec(), vec![b'a'; 300]),
            (b"\x00:Odd".to_vec(), Vec::new()),
        ];
        assert_eq!(decode(&encode(&fields)), fields);
    }

    //= RFC 7541 §C.6.1
    //= type=test
    #[test]
    fn coded_text_is_read() {
        let block = [
            0x48, 0x82, 0x64, 0x02, 0x58, 0x85, 0xae, 0xc3, 0x77, 0x1a, 0x4b,
        ];
        let fields = decode(&block);
        assert_eq!(fields[0], (b":status".to_vec(), b"302".to_vec()));
        assert_eq!(fields[1].1, b"private");
        // www.example.com, of the requests in §C.4.1.
        let host = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        assert_eq!(uncoded(&host), b"www.example.com");
    }

    #[test]
    fn broken_blocks_end_early() {
        for block in [
            &[0x00_u8, 0x7f][..],
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x40],
        ] {
            assert!(decode(block).is_empty());
        }
    }
}
