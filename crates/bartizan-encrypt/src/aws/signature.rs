//! Signature Version 4, as "AWS Signature Version 4 for API requests" describes it.

use bartizan_core::WallTime;
use ring::{digest, hmac};

use crate::aws::credentials::AwsCredentials;

/// What is signed. Header names are in lower case; everything is spelled as it is sent.
pub(super) struct Signed<'s> {
    pub(super) method: &'s str,
    /// Encoded as it is sent.
    pub(super) path: &'s str,
    /// Names and values, not encoded yet.
    pub(super) query: &'s [(&'s str, &'s str)],
    pub(super) headers: &'s [(&'s str, &'s str)],
    pub(super) payload: &'s [u8],
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

impl Signed<'_> {
    /// The `Authorization` header for this date, which is that of `x-amz-date`.
    pub(super) fn authorization(
        &self,
        credentials: &AwsCredentials,
        region: &str,
        service: &str,
        date: &str,
    ) -> String {
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let hash = hex(digest::digest(&digest::SHA256, self.canonical().as_bytes()).as_ref());
        let text = format!("{ALGORITHM}\n{date}\n{scope}\n{hash}");
        let key = signing_key(credentials.secret(), day, region, service);
        let signature = hex(hmac::sign(&key, text.as_bytes()).as_ref());
        let identity = credentials.access_key_id();
        let names = self.names();
        format!(
            "{ALGORITHM} Credential={identity}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
    }

    /// The canonical request.
    fn canonical(&self) -> String {
        let mut pairs: Vec<_> = self
            .query
            .iter()
            .map(|(name, value)| (encoded(name), encoded(value)))
            .collect();
        pairs.sort();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut headers = self.headers.to_vec();
        headers.sort_unstable();
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", folded(value)))
            .collect();
        [
            self.method,
            self.path,
            &pairs.join("&"),
            &headers,
            &self.names(),
            &hex(digest::digest(&digest::SHA256, self.payload).as_ref()),
        ]
        .join("\n")
    }

    fn names(&self) -> String {
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.join(";")
    }
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> hmac::Key {
    let first = zeroize::Zeroizing::new(format!("AWS4{secret}"));
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
    for step in [day, region, service, "aws4_request"] {
        key = hmac::Key::new(
            hmac::HMAC_SHA256,
            hmac::sign(&key, step.as_bytes()).as_ref(),
        );
    }
    key
}

/// White space around a value is left out, and within it becomes one space.
fn folded(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Percent encoding of everything but the unreserved characters of RFC 3986 section 2.3.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A moment as `20150830T123600Z`.
pub(super) fn amz_date(at: WallTime) -> String {
    let seconds = at.unix_seconds();
    let (year, month, day) = civil(seconds / 86_400);
    let second = seconds % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The moment of `2015-08-30T12:36:00Z`, with or without parts of a second.
pub(super) fn parse_date(text: &str) -> Option<WallTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let separators = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    let sound = separators.iter().all(|(at, separator)| {
        text.get(*at..)
            .is_some_and(|rest| rest.starts_with(*separator))
    });
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !sound || !fits || !text.ends_with('Z') {
        return None;
    }
    let days = days(year, month, day);
    Some(WallTime::from_unix_seconds(
        days * 86_400 + hour * 3600 + minute * 60 + second,
    ))
}

/// Days since 1970 to a date of the Gregorian calendar. Years begin in March here, so that the
/// day that is sometimes there comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01, in eras of 400 years.
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day)
}

fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    days.saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The credentials of the examples and of the test suite in AWS's documentation.
    fn example() -> AwsCredentials {
        AwsCredentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    }

    const DATE: &str = "20150830T123600Z";
    const HOST: (&str, &str) = ("host", "example.amazonaws.com");

    #[test]
    fn signs_the_example_of_the_documentation() {
        let signed = Signed {
            method: "GET",
            path: "/",
            query: &[("Action", "ListUsers"), ("Version", "2010-05-08")],
            headers: &[
                (
                    "content-type",
                    "application/x-www-form-urlencoded; charset=utf-8",
                ),
                ("host", "iam.amazonaws.com"),
                ("x-amz-date", DATE),
            ],
            payload: b"",
        };
        let hash = hex(digest::digest(&digest::SHA256, signed.canonical().as_bytes()).as_ref());
        assert_eq!(
            hash,
            "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
        );
        assert_eq!(
            signed.authorization(&example(), "us-east-1", "iam", DATE),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn signs_the_cases_of_the_test_suite() {
        fn check(signed: Signed<'_>, expected: &str) {
            let header = signed.authorization(&example(), "us-east-1", "service", DATE);
            assert_eq!(header.rsplit('=').next(), Some(expected), "{header}");
        }
        let plain = [HOST, ("x-amz-date", DATE)];
        let of = |method| Signed {
            method,
            path: "/",
            query: &[],
            headers: &plain,
            payload: b"",
        };
        // get-vanilla
        check(
            of("GET"),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        );
        // post-vanilla
        check(
            of("POST"),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        );
        // get-vanilla-query-order-key-case
        let query = [("Param2", "value2"), ("Param1", "value1")];
        check(
            Signed {
                query: &query,
                ..of("GET")
            },
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        );
        // post-x-www-form-urlencoded
        let form = [
            ("content-type", "application/x-www-form-urlencoded"),
            HOST,
            ("x-amz-date", DATE),
        ];
        check(
            Signed {
                headers: &form,
                payload: b"Param1=value1",
                ..of("POST")
            },
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        );
        // get-header-value-trim
        let spaced = [
            HOST,
            ("my-header1", " value1"),
            ("my-header2", " \"a   b   c\""),
            ("x-amz-date", DATE),
        ];
        check(
            Signed {
                headers: &spaced,
                ..of("GET")
            },
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        );
    }

    proptest! {
        #[test]
        fn no_date_panics(text in "[0-9]{0,4}[-é]?[0-9TZ:.-]{0,20}", seconds in 0_u64..250_000_000_000) {
            let _ = parse_date(&text);
            let date = amz_date(WallTime::from_unix_seconds(seconds));
            let spelled = format!(
                "{}-{}-{}T{}:{}:{}Z",
                &date[..4], &date[4..6], &date[6..8], &date[9..11], &date[11..13], &date[13..15],
            );
            prop_assert_eq!(parse_date(&spelled).map(WallTime::unix_seconds), Some(seconds));
        }
    }

    #[test]
    fn dates_are_told_and_read() {
        fn check(seconds: u64, date: &str, read: &str) {
            assert_eq!(amz_date(WallTime::from_unix_seconds(seconds)), date);
            let parsed = parse_date(read).map(WallTime::unix_seconds);
            assert_eq!(parsed, Some(seconds), "{read}");
        }
        check(0, "19700101T000000Z", "1970-01-01T00:00:00Z");
        check(
            1_440_938_160,
            "20150830T123600Z",
            "2015-08-30T12:36:00.000Z",
        );
        check(951_782_400, "20000229T000000Z", "2000-02-29T00:00:00Z");
        check(4_107_542_399, "21000228T235959Z", "2100-02-28T23:59:59Z");
        check(4_107_542_400, "21000301T000000Z", "2100-03-01T00:00:00Z");
        for bad in [
            "",
            "2015-08-30",
            "2015-13-01T00:00:00Z",
            "2015-08-30T12:36:00",
            "é015-08-30T12:36:00Z",
        ] {
            assert!(parse_date(bad).is_none(), "{bad}");
        }
        for day in 0..80_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }
}
