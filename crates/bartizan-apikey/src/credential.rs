//! Takes the key out of a request: a field of its own, or `Authorization`.

use crate::error::{ApiKeyError, ApiKeyErrorKind};
use crate::format::KeyFormat;

/// The scheme of keys in `Authorization`.
const SCHEME: &[u8] = b"ApiKey";

/// The scheme of tokens, which keys may come under where that was chosen.
const BEARER: &[u8] = b"Bearer";

/// Where a key stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Authorization,
    Field,
}

/// A key as the request carries it, not looked at yet.
#[derive(Clone, Copy)]
pub(crate) struct Credential<'r> {
    pub(crate) place: Place,
    pub(crate) bytes: &'r [u8],
}

/// What is taken for a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extraction<'f> {
    /// Whose keys are recognised below `Bearer`; none are unless this is there.
    pub(crate) bearer: Option<&'f KeyFormat>,
}

impl Extraction<'_> {
    /// The one key of a request, of the values of the field for keys and of `Authorization`.
    ///
    /// `Authorization` of another scheme is no key. Two keys are an error, also if they are equal:
    /// two readers could take different ones.
    pub(crate) fn find<'r>(
        &self,
        fields: impl Iterator<Item = &'r [u8]>,
        authorization: impl Iterator<Item = &'r [u8]>,
    ) -> Result<Option<Credential<'r>>, ApiKeyError> {
        let fields = fields.map(|bytes| (Place::Field, bytes));
        let (mut count, mut found) = (0_usize, None);
        let authorization = authorization
            .inspect(|_| count += 1)
            .filter_map(|value| Some((Place::Authorization, self.below_scheme(value)?)));
        for credential in fields.chain(authorization) {
            if found.replace(credential).is_some() {
                return Err(ApiKeyError::new(ApiKeyErrorKind::MultipleKeys));
            }
        }
        let Some((place, bytes)) = found else {
            return Ok(None);
        };
        // A second field of any scheme beside the key's.
        if place == Place::Authorization && count > 1 {
            return Err(ApiKeyError::new(ApiKeyErrorKind::MultipleKeys));
        }
        if bytes.contains(&b',') {
            return Err(ApiKeyError::new(ApiKeyErrorKind::MultipleKeys));
        }
        if bytes.is_empty() {
            return Err(ApiKeyError::new(ApiKeyErrorKind::MalformedCredentials));
        }
        Ok(Some(Credential { place, bytes }))
    }

    /// What follows the scheme of keys, if it is that; empty if nothing does.
    fn below_scheme<'r>(&self, value: &'r [u8]) -> Option<&'r [u8]> {
        let below = |scheme: &[u8]| {
            let (head, rest) = value.split_at_checked(scheme.len())?;
            let parted = matches!(rest.first(), None | Some(b' ' | b'\t'));
            let is = head.eq_ignore_ascii_case(scheme) && parted;
            is.then(|| rest.trim_ascii_start())
        };
        below(SCHEME).or_else(|| {
            let format = self.bearer?;
            below(BEARER).filter(|bytes| format.is_of_product(bytes))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: Result<Option<(Place, &str)>, ApiKeyErrorKind> = Ok(None);

    #[track_caller]
    fn check_with(
        bearer: bool,
        fields: &[&str],
        authorization: &[&str],
        expected: Result<Option<(Place, &str)>, ApiKeyErrorKind>,
    ) {
        let format = KeyFormat::live();
        let extraction = Extraction {
            bearer: bearer.then_some(&format),
        };
        let bytes =
            |values: &[&'static str]| values.iter().map(|it| it.as_bytes()).collect::<Vec<_>>();
        let leaked = |values: &[&str]| -> Vec<&'static str> {
            values.iter().map(|it| &*it.to_string().leak()).collect()
        };
        let (fields, authorization) = (bytes(&leaked(fields)), bytes(&leaked(authorization)));
        let found = extraction.find(fields.into_iter(), authorization.into_iter());
        let found = found.map_err(|error| error.kind());
        let found =
            found.map(|found| found.map(|it| (it.place, std::str::from_utf8(it.bytes).unwrap())));
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn check(
        fields: &[&str],
        authorization: &[&str],
        expected: Result<Option<(Place, &str)>, ApiKeyErrorKind>,
    ) {
        check_with(false, fields, authorization, expected);
    }

    #[test]
    fn a_key_stands_in_its_field_or_below_its_scheme() {
        check(&["k"], &[], Ok(Some((Place::Field, "k"))));
        for value in ["ApiKey k", "apikey k", "APIKEY   k", "ApiKey\tk"] {
            check(&[], &[value], Ok(Some((Place::Authorization, "k"))));
        }
        check(&["k"], &["Bearer a.b.c"], Ok(Some((Place::Field, "k"))));
        check(
            &["k"],
            &["Basic x", "Basic y"],
            Ok(Some((Place::Field, "k"))),
        );
    }

    #[test]
    fn another_scheme_is_no_key() {
        for value in [
            "",
            "Bearer brt_live_x",
            "Basic x",
            "ApiKeyX k",
            "Api k",
            "X-ApiKey k",
        ] {
            check(&[], &[value], NONE);
        }
        check(&[], &[], NONE);
    }

    #[test]
    fn below_bearer_a_key_is_known_by_its_product() {
        let found = Ok(Some((Place::Authorization, "brt_live_x")));
        check_with(true, &[], &["Bearer brt_live_x"], found);
        check_with(true, &[], &["bearer   brt_live_x"], found);
        for value in [
            "Bearer eyJ.x.y",
            "Bearer brt",
            "Bearer",
            "Bearer xbrt_live_x",
        ] {
            check_with(true, &[], &[value], NONE);
        }
    }

    #[test]
    fn more_than_one_key_is_an_error_of_its_own() {
        let refused = Err(ApiKeyErrorKind::MultipleKeys);
        check(&["k", "k"], &[], refused);
        check(&["k"], &["ApiKey k"], refused);
        check(&[], &["ApiKey k", "ApiKey k"], refused);
        check(&[], &["ApiKey k", "Bearer a.b.c"], refused);
        check(&[], &["Bearer a.b.c", "ApiKey k"], refused);
        check(&["a, b"], &[], refused);
        check(&[], &["ApiKey a,b"], refused);
    }

    #[test]
    fn a_field_without_a_key_is_malformed() {
        let refused = Err(ApiKeyErrorKind::MalformedCredentials);
        check(&[""], &[], refused);
        check(&[], &["ApiKey"], refused);
        check(&[], &["ApiKey  "], refused);
    }

    proptest! {
        #[test]
        fn never_panics(
            fields in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..3),
            others in proptest::collection::vec("(?i)(ApiKey|Bearer)?[ -~]{0,20}", 0..3),
        ) {
            let format = KeyFormat::live();
            let extraction = Extraction { bearer: Some(&format) };
            let found = extraction.find(
                fields.iter().map(Vec::as_slice),
                others.iter().map(String::as_bytes),
            );
            if let Ok(Some(found)) = found {
                prop_assert!(!found.bytes.is_empty());
                prop_assert!(!found.bytes.contains(&b','));
            }
        }
    }
}
