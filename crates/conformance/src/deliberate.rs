//! The cases in which the family gives another answer than a file expects, on purpose.

/// One such case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deviation {
    /// The case, as it is printed.
    pub(crate) id: &'static str,
    /// What is answered.
    pub(crate) answer: Answer,
    /// Why the other answer is right for us.
    pub(crate) reason: &'static str,
    /// Where the decision is written down, under `docs/decisions`.
    pub(crate) document: &'static str,
}

/// Another answer than a file expects. Any third one is a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// The input is good, whatever it means.
    Accepted,
    /// The input is bad.
    Refused,
    /// The input is good, and means this.
    Value(&'static str),
}

/// Cases of one file that differ for one reason.
struct Group {
    file: &'static str,
    answer: Answer,
    reason: &'static str,
    document: &'static str,
    ids: &'static [&'static str],
}

/// The deviations from one file, by its path relative to the folder of vectors.
///
/// One whose case no longer differs is a failure of the run, so that the table stays true.
pub(crate) fn of(file: &str) -> impl Iterator<Item = Deviation> {
    GROUPS
        .iter()
        .filter(move |group| group.file == file)
        .flat_map(|group| {
            let Group {
                answer,
                reason,
                document,
                ..
            } = *group;
            group.ids.iter().map(move |id| Deviation {
                id,
                answer,
                reason,
                document,
            })
        })
}

const TOKEN_ENDPOINT_PROOFS: &str = "0015-proofs-without-ath.md";
const CLIENT_ADDRESS: &str = "0006-client-address.md";
const KEY_SETS: &str = "0007-key-sets.md";
const PATH_VALIDATION: &str = "0011-path-validation.md";
const REVOCATION: &str = "0010-revocation.md";
const STRICT_JSON: &str = "0009-strict-json.md";
const TOKEN_SIZE: &str = "0008-token-size.md";

const REALCLIENTIP: &str = "client-ip/realclientip.json";
const LIMBO: &str = "x509-limbo/limbo.json";

const MIXED_NETWORKS: &str = "1.1.1.1/32 2607:f8b0:4004:83f::200e/128 1.1.1.1/32 \
    2607:f8b0:4004:83f::200e/128 1.1.0.0/16 2607:f8b0:4004:800::/56 188.0.0.0/16 188.0.0.0/8 \
    188.0.0.0/16";

static GROUPS: &[Group] = &[
    Group {
        file: "dpop/rfc9449-examples.json",
        answer: Answer::Refused,
        reason: "a proof for the token endpoint has no ath, which a resource server must demand",
        document: TOKEN_ENDPOINT_PROOFS,
        ids: &[
            "POST https://server.example.com/token 1562262616",
            "POST https://server.example.com/token 1562265296",
        ],
    },
    Group {
        file: REALCLIENTIP,
        answer: Answer::Refused,
        reason: "an address with a zone means something to the proxy's own host alone",
        document: CLIENT_ADDRESS,
        ids: &[
            "forwarded_list_item: IPv6 with port, quotes, and zone",
            "forwarded_list_item: IPv6 with zone, no quotes, no port",
        ],
    },
    Group {
        file: REALCLIENTIP,
        answer: Answer::Value("188.0.2.128"),
        reason: "64:ff9b::/96 is folded into the IPv4 address inside, so that one client is one",
        document: CLIENT_ADDRESS,
        ids: &["forwarded_list_item: NAT64 IPv4-mapped IPv6"],
    },
    Group {
        file: REALCLIENTIP,
        answer: Answer::Value(MIXED_NETWORKS),
        reason: "networks of 64:ff9b::/96 are folded as their addresses are",
        document: CLIENT_ADDRESS,
        ids: &["parse_ranges: Mixed input"],
    },
    Group {
        file: REALCLIENTIP,
        answer: Answer::Value("0.0.0.0"),
        reason: "a far end of the connection that no trusted network holds is never passed over",
        document: CLIENT_ADDRESS,
        ids: &["rightmost_trusted_range: Peer unspecified IP: walks header as normal"],
    },
    Group {
        file: "envoy-jwt-verify/jwks_parse.json",
        answer: Answer::Refused,
        reason: "crv must be present (RFC 7518 section 6.2.1.1); a curve is not guessed from alg",
        document: KEY_SETS,
        ids: &[
            "JwksECMissingBothAlgCrvES256",
            "JwkECMissingCrv",
            "JwksECUnspecifiedCrv",
        ],
    },
    Group {
        file: "envoy-jwt-verify/jwks_parse.json",
        answer: Answer::Refused,
        reason: "the Ed25519 key is no point of its curve: nothing would verify under it",
        document: KEY_SETS,
        ids: &["GoodOKP", "JwksIgnoreUnsupportedKey"],
    },
    Group {
        file: "envoy-jwt-verify/jwks_parse.json",
        answer: Answer::Value("1 keys"),
        reason: "the Ed25519 key is no point of its curve: nothing would verify under it",
        document: KEY_SETS,
        ids: &["JwksIgnoreUnsupportedKeyInMiddle"],
    },
    Group {
        file: "envoy-jwt-verify/jwt_parse.json",
        answer: Answer::Refused,
        reason: "a token is at most 8 KiB unless said, which is what servers take as a field",
        document: TOKEN_SIZE,
        ids: &["GoodJwtLongClaim", "GoodJwtLongCustomClaims"],
    },
    Group {
        file: "http-attacks/json-test-suite.json",
        answer: Answer::Refused,
        reason: "a member that occurs twice has two meanings: the document is refused",
        document: STRICT_JSON,
        ids: &[
            "y_object_duplicated_key.json",
            "y_object_duplicated_key_and_value.json",
        ],
    },
    Group {
        file: "spiffe-id/go-spiffe/bundle/x509bundle/testdata/cert.pem",
        answer: Answer::Refused,
        reason: "a certificate of version 1 does not say that it is an authority",
        document: PATH_VALIDATION,
        ids: &["roots"],
    },
    Group {
        file: "spiffe-id/go-spiffe/bundle/x509bundle/testdata/certs.pem",
        answer: Answer::Refused,
        reason: "a certificate of version 1 does not say that it is an authority",
        document: PATH_VALIDATION,
        ids: &["roots"],
    },
    Group {
        file: "spiffe-svid-cases/cases.json",
        answer: Answer::Accepted,
        reason: "the file's list has no CRL number (RFC 5280 section 5.2.3): no such list is loaded",
        document: REVOCATION,
        ids: &["revoked"],
    },
    Group {
        file: "wycheproof/json_web_signature_test.json",
        answer: Answer::Refused,
        reason: "the key says PS256 and the token PS384: a key is used with its own alg alone",
        document: KEY_SETS,
        ids: &["346 Figure20", "350 Figure20"],
    },
    Group {
        file: "wycheproof/json_web_signature_test.json",
        answer: Answer::Accepted,
        reason: "byte by byte the token of case 357, which the file calls valid: the padding is lost",
        document: STRICT_JSON,
        ids: &[
            "367 invalidBase64Padding",
            "370 invalidBase64PaddingInPayload",
        ],
    },
    Group {
        file: "wycheproof/json_web_signature_test.json",
        answer: Answer::Refused,
        reason: "a character that is not of base64url makes the token malformed",
        document: STRICT_JSON,
        ids: &[
            "372 InvalidCharacterInsertedInHeader",
            "373 InvalidCharacterInsertedInPayload",
        ],
    },
    Group {
        file: LIMBO,
        answer: Answer::Refused,
        reason: "a wildcard names no single workload",
        document: PATH_VALIDATION,
        ids: &[
            "online::docs.python.org",
            "webpki::nc::nc-permits-dns-san-pattern",
            "webpki::san::leftmost-wildcard-san",
        ],
    },
    Group {
        file: LIMBO,
        answer: Answer::Refused,
        reason: "more names than are read: a workload has few",
        document: PATH_VALIDATION,
        ids: &["online::google.com", "online::microsoft.com"],
    },
    Group {
        file: LIMBO,
        answer: Answer::Refused,
        reason: "a certificate authority identifies nobody, whatever its path",
        document: PATH_VALIDATION,
        ids: &[
            "pathlen::validation-ignores-pathlen-in-leaf",
            "rfc5280::ca-as-leaf",
        ],
    },
    Group {
        file: LIMBO,
        answer: Answer::Refused,
        reason: "webpki takes what an authority issued to its own name like any other certificate: stricter",
        document: PATH_VALIDATION,
        ids: &[
            "pathlen::self-issued-certs-pathlen",
            "rfc5280::nc::permitted-self-issued",
        ],
    },
    Group {
        file: LIMBO,
        answer: Answer::Accepted,
        reason: "names of workloads have underscores, and resolvers take them",
        document: PATH_VALIDATION,
        ids: &["rfc5280::san::underscore-dns"],
    },
    Group {
        file: LIMBO,
        answer: Answer::Accepted,
        reason: "a root is trusted for its name and key; what else it says is not looked at",
        document: PATH_VALIDATION,
        ids: &[
            "crl::issuer-missing-crlsign",
            "rfc5280::ca-empty-subject",
            "rfc5280::root-non-critical-basic-constraints",
            "rfc5280::ski::root-missing-ski",
            "rfc5280::unknown-critical-extension-root",
            "webpki::aki::root-with-aki-all-fields",
            "webpki::aki::root-with-aki-authoritycertissuer",
            "webpki::aki::root-with-aki-authoritycertserialnumber",
            "webpki::aki::root-with-aki-missing-keyidentifier",
            "webpki::aki::root-with-aki-ski-mismatch",
            "webpki::eku::root-has-eku",
            "webpki::forbidden-rsa-not-divisible-by-8-in-root",
        ],
    },
    Group {
        file: LIMBO,
        answer: Answer::Accepted,
        reason: "a rule for those who issue: breaking it widens nobody's identity",
        document: PATH_VALIDATION,
        ids: &[
            "crl::crlnumber-critical",
            "crl::crlnumber-missing",
            "rfc5280::aki::critical-aki",
            "rfc5280::aki::cross-signed-root-missing-aki",
            "rfc5280::aki::intermediate-missing-aki",
            "rfc5280::aki::leaf-missing-aki",
            "rfc5280::nc::invalid-dnsname-leading-period",
            "rfc5280::nc::not-allowed-in-ee-critical",
            "rfc5280::nc::not-allowed-in-ee-noncritical",
            "rfc5280::nc::permitted-dns-match-noncritical",
            "rfc5280::pc::ica-noncritical-pc",
            "rfc5280::serial::zero",
            "rfc5280::ski::critical-ski",
            "rfc5280::ski::intermediate-missing-ski",
            "webpki::malformed-aia",
            "webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences",
            "webpki::nc::intermediate-permitted-excluded-subtrees-both-null",
            "webpki::san::san-critical-with-nonempty-subject",
        ],
    },
    Group {
        file: LIMBO,
        answer: Answer::Accepted,
        reason: "a rule for the public web's authorities, which private ones need not follow",
        document: PATH_VALIDATION,
        ids: &[
            "webpki::cn::case-mismatch",
            "webpki::cn::not-in-san",
            "webpki::cn::punycode-not-in-san",
            "webpki::cn::utf8-vs-punycode-mismatch",
            "webpki::eku::ee-anyeku",
            "webpki::eku::ee-critical-eku",
            "webpki::eku::ee-without-eku",
        ],
    },
    Group {
        file: LIMBO,
        answer: Answer::Accepted,
        reason: "the holder's own RSA key is judged where it signs, in the handshake",
        document: PATH_VALIDATION,
        ids: &[
            "webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf",
            "webpki::forbidden-weak-rsa-in-leaf",
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lists_each_case_once_and_says_why() {
        let mut seen = BTreeSet::new();
        for group in GROUPS {
            assert!(group.reason.len() > 20 && group.document.ends_with(".md"));
            for id in group.ids {
                assert!(seen.insert((group.file, id)), "{} {id}", group.file);
            }
        }
    }

    #[test]
    fn gives_those_of_one_file() {
        assert_eq!(
            of("spiffe-svid-cases/cases.json")
                .map(|d| d.id)
                .collect::<Vec<_>>(),
            ["revoked"]
        );
        assert_eq!(of("unknown.json").count(), 0);
    }
}
