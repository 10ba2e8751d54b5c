//! What a server of NATS says: a message is announced with as many bytes as its line says, in
//! bounds; and no entry counts as delivered that no stream says it has.

use bartizan_audit::fuzzing::{nats_acknowledged, nats_line};
use serde_json::Value;

use crate::input::{Input, text};

/// Holds the bytes to what the head of this file says.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (line, message) = (text(input.line()), input.rest());
    let announced = nats_line(line);
    let mut headers = 0;
    if let Some(Some((subject, length, of_headers))) = announced {
        headers = of_headers;
        assert!(headers <= length && length <= 64 * 1024);
        let mut fields = line.split_ascii_whitespace();
        let operation = fields.next().expect("it was read").to_ascii_uppercase();
        assert_eq!(fields.next(), Some(subject));
        let numbers: Vec<_> = fields.rev().take(2).collect();
        assert_eq!(numbers[0].parse(), Ok(length));
        assert!(operation == "HMSG" && numbers[1].parse() == Ok(headers) || operation == "MSG");
    }
    // The protocol does not care for case.
    let capitals = line.to_ascii_uppercase();
    let numbers = |line| nats_line(line).map(|it| it.map(|(_, length, headers)| (length, headers)));
    assert_eq!(numbers(&capitals), numbers(line));
    if nats_acknowledged(message, headers).is_ok() {
        let payload = message.get(headers..).expect("it was read");
        if let Ok(read @ Value::Object(_)) = serde_json::from_slice(payload) {
            assert!(
                read["stream"]
                    .as_str()
                    .is_some_and(|stream| !stream.is_empty())
            );
            assert!(read.get("error").is_none_or(Value::is_null));
        }
    }
    // The server itself says that nobody has it.
    let nobody = b"NATS/1.0 503\r\n\r\n";
    assert!(nats_acknowledged(&[nobody, message].concat(), nobody.len()).is_err());
}
