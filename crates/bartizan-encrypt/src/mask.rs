//! Showing part of a value, or none.

use std::fmt;

/// How a value is shown to those who may not see it.
///
/// A mask hides from a casual look; what it leaves is still about a person. The last four digits
/// of a social security number, for one, are no de-identification under HIPAA.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Mask {
    /// Nothing of it: `****`.
    All,
    /// By a function of one's own.
    Custom(fn(&str) -> String),
    /// `a***@example.com`; of what is no e-mail address nothing.
    Email,
    /// `****1111`; of what has fewer than eight characters nothing.
    Last4,
}

const HIDDEN: &str = "****";

impl Mask {
    /// What is shown of a value.
    pub fn apply(self, value: &str) -> String {
        match self {
            Self::All => HIDDEN.to_owned(),
            Self::Custom(mask) => mask(value),
            Self::Email => match value.rsplit_once('@') {
                Some((local, domain)) if !domain.is_empty() => match local.chars().next() {
                    Some(first) if local.chars().count() > 1 => format!("{first}***@{domain}"),
                    _ => format!("***@{domain}"),
                },
                _ => HIDDEN.to_owned(),
            },
            Self::Last4 => {
                let length = value.chars().count();
                if length < 8 {
                    return HIDDEN.to_owned();
                }
                value
                    .chars()
                    .skip(length - 4)
                    .fold(HIDDEN.to_owned(), |mut shown, next| {
                        shown.push(next);
                        shown
                    })
            }
        }
    }
}

/// Says less about somebody: the named generalisations of the HIPAA safe harbor
/// ([45 CFR 164.514(b)(2)](https://www.ecfr.gov/current/title-45/section-164.514)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Generalizer {
    /// An age in years; from 90 on `90+`.
    Age,
    /// The year of a date as ISO 8601 writes it.
    Year,
    /// The first three digits of a US ZIP code; `000` where fewer than 20,000 people live.
    Zip3,
}

/// The first three digits with fewer than 20,000 inhabitants, by the census of 2000, as the
/// Office for Civil Rights lists them.
const SPARSE: [&str; 17] = [
    "036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878",
    "879", "884", "890", "893",
];

impl Generalizer {
    /// The generalised value; `None` of what is not of the kind, which then must not be shown.
    pub fn apply(self, value: &str) -> Option<String> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Age => {
                let age: u8 = value.parse().ok().filter(|age| *age <= 150)?;
                Some(if age >= 90 {
                    "90+".to_owned()
                } else {
                    age.to_string()
                })
            }
            Self::Year => {
                let (year, rest) = value.split_at_checked(4)?;
                let bounded = rest.is_empty() || rest.starts_with('-');
                (digits(year) && bounded).then(|| year.to_owned())
            }
            Self::Zip3 => {
                let (zip, rest) = value.split_at_checked(5)?;
                let plus4 = rest
                    .strip_prefix('-')
                    .is_some_and(|r| r.len() == 4 && digits(r));
                if !digits(zip) || !(rest.is_empty() || plus4) {
                    return None;
                }
                let (area, _) = zip.split_at_checked(3)?;
                let sparse = SPARSE.contains(&area);
                Some(if sparse { "000" } else { area }.to_owned())
            }
        }
    }
}

/// A value that logs do not show: `Debug` and `Display` print `[redacted]`.
///
/// For values that have to be plain and must not be printed. One that is stored belongs sealed.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides a value from logs.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value, given up.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn masks_show_what_they_say() {
        for (mask, value, shown) in [
            (Mask::Last4, "4111111111111111", "****1111"),
            (Mask::Last4, "078-05-1120", "****1120"),
            (Mask::Last4, "1234567", "****"),
            (Mask::Last4, "äöüßäöüß", "****äöüß"),
            (Mask::Email, "alice@example.com", "a***@example.com"),
            (Mask::Email, "a@example.com", "***@example.com"),
            (Mask::Email, "@example.com", "***@example.com"),
            (Mask::Email, "alice", "****"),
            (Mask::Email, "alice@", "****"),
            (Mask::All, "alice", "****"),
            (Mask::Custom(|value| value.len().to_string()), "alice", "5"),
        ] {
            assert_eq!(mask.apply(value), shown, "{mask:?} {value}");
        }
    }

    #[test]
    fn generalizers_say_less_or_nothing() {
        for (generalizer, value, shown) in [
            (Generalizer::Zip3, "90210", Some("902")),
            (Generalizer::Zip3, "90210-1234", Some("902")),
            (Generalizer::Zip3, "03601", Some("000")),
            (Generalizer::Zip3, "9021", None),
            (Generalizer::Zip3, "90210-12", None),
            (Generalizer::Zip3, "9021x", None),
            (Generalizer::Age, "89", Some("89")),
            (Generalizer::Age, "90", Some("90+")),
            (Generalizer::Age, "151", None),
            (Generalizer::Age, "-1", None),
            (Generalizer::Year, "1931-05-17", Some("1931")),
            (Generalizer::Year, "1931", Some("1931")),
            (Generalizer::Year, "19310517", None),
            (Generalizer::Year, "17.05.1931", None),
        ] {
            let found = generalizer.apply(value);
            assert_eq!(found.as_deref(), shown, "{generalizer:?} {value}");
        }
    }

    #[test]
    fn what_is_redacted_is_not_printed() {
        let secret = Redacted::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(secret.expose(), &"hunter2");
        assert_eq!(secret.into_exposed(), "hunter2");
    }

    proptest! {
        #[test]
        fn no_mask_shows_more_than_four_characters_or_a_domain(value in "\\PC{0,40}") {
            let shown = Mask::Last4.apply(&value);
            prop_assert!(shown.chars().count() <= 8);
            let _ = Mask::Email.apply(&value);
            for generalizer in [Generalizer::Zip3, Generalizer::Age, Generalizer::Year] {
                let shown = generalizer.apply(&value).unwrap_or_default();
                prop_assert!(shown.len() <= 4);
            }
        }
    }
}
