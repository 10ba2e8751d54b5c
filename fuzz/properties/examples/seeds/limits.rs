//! Seeds of `bartizan-ratelimit`.

use crate::{Seeds, piece};

pub(super) fn add(seeds: &mut Seeds) {
    seeds.add_all(
        "rate",
        &[
            ("burst", "100/s burst 200"),
            ("span", "5/10min"),
            ("nothing", "0/h"),
        ],
    );
    seeds.add_all(
        "grpc_timeout",
        &[
            ("seconds", "3S"),
            ("most", "99999999H"),
            ("nanoseconds", "1n"),
            ("sign", "+1S"),
        ],
    );
    // Whether it only watches, whether it has a burst; limit, period in milliseconds, burst, name.
    let policy = |shadow: u8, name: &str| {
        let numbers = [
            &10_u64.to_le_bytes()[..],
            &1000_u32.to_le_bytes(),
            &20_u64.to_le_bytes(),
        ];
        [&[shadow, 1], &numbers.concat()[..], &piece(name)].concat()
    };
    seeds.add(
        "ratelimit_fields",
        "two",
        [policy(0, "burst"), policy(0, "a \"day\"")].concat(),
    );
    seeds.add(
        "ratelimit_fields",
        "watches",
        [policy(1, "burst"), policy(0, "day")].concat(),
    );
    let document = br#"{"a":[1,{"b":null}],"c":"\u00e4\n"}"#;
    seeds.add(
        "upload_json",
        "document",
        [&[3, 5, 9], &document[..]].concat(),
    );
    seeds.add(
        "upload_json",
        "deep",
        [&[1, 200, 200], &b"[[[[[[[[[[{}]]]]]]]]]]"[..]].concat(),
    );
    seeds.add_all("redis_answers", &[
        ("granted", "*7\r\n:1\r\n:1800000000000000\r\n:1\r\n:1800000000100000\r\n:0\r\n:5\r\n:0\r\n"),
        ("refused", "*12\r\n:0\r\n:9\r\n:0\r\n:12\r\n:0\r\n:5\r\n:0\r\n:1\r\n:9\r\n:7\r\n:5\r\n:0\r\n"),
        ("error", "-LOADING Redis is loading the dataset in memory\r\n"),
        ("slots", "*2\r\n*3\r\n:0\r\n:100\r\n*2\r\n$8\r\n10.0.0.1\r\n:7000\r\n*3\r\n:101\r\n:16383\r\n*2\r\n$-1\r\n:7001\r\n"),
    ]);
    // Verdict, and for each policy its own, what remains and after how long the window is over.
    seeds.add(
        "envoy_answers",
        "granted",
        &b"\x08\x01\x12\x08\x08\x01\x18\x05\x22\x02\x08\x01"[..],
    );
    seeds.add(
        "envoy_answers",
        "refused",
        &b"\x08\x02\x12\x08\x08\x02\x18\x00\x22\x02\x08\x3c"[..],
    );
    seeds.add(
        "envoy_answers",
        "watched",
        &b"\x08\x02\x12\x02\x08\x01\x12\x02\x08\x02"[..],
    );
}
