//! What the identity rules need to know of an X.509 certificate, read from its DER form.

use bartizan_core::WallTime;

use crate::der::{self, Malformed, Reader};

/// The most names that one certificate may carry, of all kinds together.
///
/// X509-SVIDs have one to three, and public issuers stop at 100. The limit bounds the work that a hostile certificate can ask for.
pub(crate) const MAX_NAMES: usize = 128;

/// A certificate's fields, borrowed from its DER form. Nothing here is verified.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    /// Big-endian, without leading zeros (a serial of zero is one zero byte).
    pub(crate) serial: &'a [u8],
    /// The content of the issuer's name.
    pub(crate) issuer: &'a [u8],
    pub(crate) not_before: WallTime,
    pub(crate) not_after: WallTime,
    pub(crate) subject_is_empty: bool,
    /// The content of the `AlgorithmIdentifier` of the public key.
    pub(crate) key_algorithm: &'a [u8],
    pub(crate) is_authority: bool,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) extended_key_usage: Option<ExtendedKeyUsage>,
    pub(crate) names: Option<Names<'a>>,
}

/// The key usage extension (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyUsage {
    first_byte: u8,
    pub(crate) critical: bool,
}

impl KeyUsage {
    pub(crate) fn digital_signature(self) -> bool {
        self.first_byte & 0x80 != 0
    }

    pub(crate) fn key_cert_sign(self) -> bool {
        self.first_byte & 0x04 != 0
    }

    pub(crate) fn crl_sign(self) -> bool {
        self.first_byte & 0x02 != 0
    }
}

/// Which of the two TLS purposes the extended key usage extension lists.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ExtendedKeyUsage {
    pub(crate) server_auth: bool,
    pub(crate) client_auth: bool,
}

/// The subject alternative name extension (RFC 5280 §4.2.1.6), checked as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    content: Reader<'a>,
    pub(crate) critical: bool,
}

const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;

impl<'a> Names<'a> {
    pub(crate) fn uris(self) -> impl Iterator<Item = &'a [u8]> {
        self.of_kind(URI)
    }

    pub(crate) fn dns_names(self) -> impl Iterator<Item = &'a [u8]> {
        self.of_kind(DNS_NAME)
    }

    fn of_kind(self, tag: u8) -> impl Iterator<Item = &'a [u8]> {
        let mut content = self.content;
        std::iter::from_fn(move || content.next().ok())
            .filter_map(move |(seen, name)| (seen == tag).then_some(name))
    }
}

impl<'a> Certificate<'a> {
    /// Reads a version 3 certificate.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for anything but strict DER of the shape of RFC 5280 §4.1, for an extension
    /// of interest that occurs twice, for issuer or subject unique identifiers (which path
    /// validation does not know either), and for more than [`MAX_NAMES`] names.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut certificate = Reader::new(Reader::only(der, der::SEQUENCE)?);
        let mut body = Reader::new(certificate.expect(der::SEQUENCE)?);
        certificate.expect(der::SEQUENCE)?;
        certificate.expect(der::BIT_STRING)?;
        certificate.finish()?;

        if body.expect(0xa0)? != [der::INTEGER, 1, 2] {
            return Err(Malformed); // version 3, as every certificate with extensions is
        }
        let serial = serial(body.expect(der::INTEGER)?)?;
        body.expect(der::SEQUENCE)?; // signature algorithm
        let issuer = body.expect(der::SEQUENCE)?;
        let mut validity = Reader::new(body.expect(der::SEQUENCE)?);
        let not_before = time(&mut validity)?;
        let not_after = time(&mut validity)?;
        validity.finish()?;
        let subject_is_empty = body.expect(der::SEQUENCE)?.is_empty();
        let mut key = Reader::new(body.expect(der::SEQUENCE)?);
        let key_algorithm = key.expect(der::SEQUENCE)?;
        key.expect(der::BIT_STRING)?;
        key.finish()?;

        let mut parsed = Self {
            serial,
            issuer,
            not_before,
            not_after,
            subject_is_empty,
            key_algorithm,
            is_authority: false,
            key_usage: None,
            extended_key_usage: None,
            names: None,
        };
        if let Some(extensions) = body.optional(0xa3)? {
            parsed.read_extensions(Reader::only(extensions, der::SEQUENCE)?)?;
        }
        body.finish()?;
        Ok(parsed)
    }

    fn read_extensions(&mut self, extensions: &'a [u8]) -> Result<(), Malformed> {
        let mut extensions = Reader::new(extensions);
        let mut basic_constraints = None;
        while !extensions.is_empty() {
            let mut extension = Reader::new(extensions.expect(der::SEQUENCE)?);
            let id = extension.expect(der::OBJECT_IDENTIFIER)?;
            let critical = extension.flag()?;
            let value = extension.expect(der::OCTET_STRING)?;
            extension.finish()?;
            // id-ce is 2.5.29, which is 55 1d.
            match id {
                [0x55, 0x1d, 15] => set_once(&mut self.key_usage, key_usage(value, critical)?)?,
                [0x55, 0x1d, 17] => set_once(&mut self.names, names(value, critical)?)?,
                [0x55, 0x1d, 19] => set_once(&mut basic_constraints, is_authority(value)?)?,
                [0x55, 0x1d, 37] => {
                    set_once(&mut self.extended_key_usage, extended_key_usage(value)?)?;
                }
                _ => {} // path validation refuses unknown critical ones
            }
        }
        self.is_authority = basic_constraints.unwrap_or(false);
        Ok(())
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed),
    }
}

//= RFC 5280 §4.1.2.2: a positive integer of at most 20 octets.
fn serial(content: &[u8]) -> Result<&[u8], Malformed> {
    match content {
        [] | [0x80..=0xff, ..] | [0, 0..=0x7f, ..] => Err(Malformed),
        [0, rest @ ..] if !rest.is_empty() && rest.len() <= 20 => Ok(rest),
        _ if content.len() <= 20 => Ok(content),
        _ => Err(Malformed),
    }
}

//= RFC 5280 §4.2.1.3: KeyUsage ::= BIT STRING, bit 0 digitalSignature to bit 8 decipherOnly.
fn key_usage(value: &[u8], critical: bool) -> Result<KeyUsage, Malformed> {
    let (&unused, bits) = Reader::only(value, der::BIT_STRING)?
        .split_first()
        .ok_or(Malformed)?;
    let (first_byte, last) = match *bits {
        [] if unused == 0 => (0, 0),
        [only] => (only, only),
        [first, last] => (first, last),
        _ => return Err(Malformed),
    };
    if unused > 7 || last & ((1 << unused) - 1) != 0 {
        return Err(Malformed);
    }
    Ok(KeyUsage {
        first_byte,
        critical,
    })
}

//= RFC 5280 §4.2.1.12: ExtKeyUsageSyntax ::= SEQUENCE SIZE (1..MAX) OF KeyPurposeId.
fn extended_key_usage(value: &[u8]) -> Result<ExtendedKeyUsage, Malformed> {
    let mut purposes = Reader::new(Reader::only(value, der::SEQUENCE)?);
    let mut usage = ExtendedKeyUsage::default();
    if purposes.is_empty() {
        return Err(Malformed);
    }
    while !purposes.is_empty() {
        // id-kp is 1.3.6.1.5.5.7.3.
        match purposes.expect(der::OBJECT_IDENTIFIER)? {
            [0x2b, 6, 1, 5, 5, 7, 3, 1] => usage.server_auth = true,
            [0x2b, 6, 1, 5, 5, 7, 3, 2] => usage.client_auth = true,
            _ => {}
        }
    }
    Ok(usage)
}

//= RFC 5280 §4.2.1.9: BasicConstraints ::= SEQUENCE { cA DEFAULT FALSE, pathLen OPTIONAL }.
fn is_authority(value: &[u8]) -> Result<bool, Malformed> {
    let mut content = Reader::new(Reader::only(value, der::SEQUENCE)?);
    let is_authority = content.flag()?;
    content.optional(der::INTEGER)?;
    content.finish()?;
    Ok(is_authority)
}

//= RFC 5280 §4.2.1.6: GeneralNames ::= SEQUENCE SIZE (1..MAX) OF GeneralName.
fn names(value: &[u8], critical: bool) -> Result<Names<'_>, Malformed> {
    let content = Reader::new(Reader::only(value, der::SEQUENCE)?);
    let mut rest = content;
    let mut count = 0;
    while !rest.is_empty() {
        match rest.next()?.0 {
            0xa0 | 0x81..=0x82 | 0xa3..=0xa5 | 0x86..=0x88 => count += 1,
            _ => return Err(Malformed),
        }
    }
    if count == 0 || count > MAX_NAMES {
        return Err(Malformed);
    }
    Ok(Names { content, critical })
}

//= RFC 5280 §4.1.2.5: UTCTime or GeneralizedTime, in Zulu, with seconds and without fractions.
fn time(validity: &mut Reader<'_>) -> Result<WallTime, Malformed> {
    let (year, rest) = match validity.next()? {
        (der::UTC_TIME, content) => {
            let (year, rest) = digits(content, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (der::GENERALIZED_TIME, content) => digits(content, 4)?,
        _ => return Err(Malformed),
    };
    let (month, rest) = digits(rest, 2)?;
    let (day, rest) = digits(rest, 2)?;
    let (hour, rest) = digits(rest, 2)?;
    let (minute, rest) = digits(rest, 2)?;
    let (second, rest) = digits(rest, 2)?;
    if rest != b"Z" || hour > 23 || minute > 59 || second > 59 {
        return Err(Malformed);
    }
    let days = days_since_epoch(year, month, day).ok_or(Malformed)?;
    Ok(WallTime::from_unix_seconds(
        days * 86_400 + hour * 3_600 + minute * 60 + second,
    ))
}

fn digits(input: &[u8], count: usize) -> Result<(u64, &[u8]), Malformed> {
    let (digits, rest) = input.split_at_checked(count).ok_or(Malformed)?;
    let mut value = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Malformed);
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    Ok((value, rest))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, `None` if there is no such day or it
/// is earlier.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let (before, length) = match month {
        1 => (0, 31),
        2 => (31, if leap { 29 } else { 28 }),
        3 => (59, 31),
        4 => (90, 30),
        5 => (120, 31),
        6 => (151, 30),
        7 => (181, 31),
        8 => (212, 31),
        9 => (243, 30),
        10 => (273, 31),
        11 => (304, 30),
        12 => (334, 31),
        _ => return None,
    };
    if year < 1970 || day == 0 || day > length {
        return None;
    }
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some(years + before + u64::from(leap && month > 2) + day - 1)
}

#[cfg(test)]
mod tests;
