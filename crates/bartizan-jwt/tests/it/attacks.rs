//! The known attacks on verifiers of tokens: header (H), encoding (E), claims (C), signature (S),
//! keys and state (K). Each has a test whose name begins with its number, and each test has a
//! request beside the attack that is accepted. Those that need more than one token and one layer
//! stand with their subject.
//!
//! | case | test |
//! |---|---|
//! | H1 | `attacks::header::h01_alg_none_in_any_case` |
//! | H2 | `attacks::header::h02_alg_missing_or_of_another_type_or_case` |
//! | H3 | `attacks::header::h03_a_public_key_as_the_secret_of_a_mac` |
//! | | `secrets::h03_a_public_key_in_any_spelling_is_no_secret` |
//! | H4 | `attacks::header::h04_a_symmetric_key_in_a_published_set` |
//! | H5 | `attacks::header::h05_an_algorithm_that_is_not_the_keys_or_not_the_services` |
//! | H6 | `attacks::header::h06_a_curve_that_is_not_the_algorithms` |
//! | H7 | `attacks::header::h07_a_key_that_the_token_brings_along` |
//! | H8 | `attacks::header::h08_a_key_that_the_token_points_to_is_never_fetched` |
//! | H9 | `attacks::header::h09_a_certificate_that_the_token_brings_is_never_trusted` |
//! | H10 | `attacks::header::h10_crit_whatever_it_says` |
//! | H11 | `attacks::header::h11_a_payload_that_is_not_encoded` |
//! | H12 | `attacks::header::h12_parameters_of_encryption_and_compression` |
//! | H13 | `attacks::header::h13_a_kid_is_looked_up_as_bytes_and_never_used_otherwise` |
//! | H14 | `attacks::header::h14_a_token_without_kid_tries_the_few_keys_that_fit` |
//! | H15 | `attacks::header::h15_a_member_of_the_header_twice` |
//! | H16 | `choices::h16_an_issuer_vouches_for_its_own_tokens_alone` |
//! | H17 | `attacks::header::h17_two_keys_of_one_name_are_both_tried` |
//! | H18 | `attacks::header::h18_a_key_for_another_use_verifies_nothing` |
//! | H19 | `attacks::header::h19_the_private_half_of_a_published_key_is_dropped_and_told` |
//! | H20 | `attacks::header::h20_a_token_in_a_token` |
//! | H21 | `attacks::header::h21_another_type_of_token` |
//! | H22 | `attacks::header::h22_only_the_compact_form_is_a_token` |
//! | E1 | `attacks::encoding::e01_another_number_of_parts` |
//! | E2 | `attacks::encoding::e02_another_spelling_of_the_same_bytes` |
//! | E3 | `attacks::encoding::e03_a_payload_that_is_not_one_object` |
//! | E4 | `attacks::encoding::e04_objects_within_objects` |
//! | E5 | `attacks::encoding::e05_a_token_or_a_header_that_is_too_large` |
//! | E6 | `attacks::encoding::e06_a_registered_claim_twice` |
//! | E7 | `attacks::encoding::e07_a_private_claim_twice` |
//! | E8 | `attacks::encoding::e08_more_than_one_token` |
//! | | `choices::e08_a_cookie_counts_where_that_was_chosen_and_never_beside_another_token` |
//! | E9 | `attacks::encoding::e09_the_scheme_in_other_spellings` |
//! | C1 | `attacks::claims::c01_another_issuer_or_none` |
//! | C2 | `attacks::claims::c02_another_audience_or_none` |
//! | C3 | `attacks::claims::c03_an_id_token_in_place_of_an_access_token` |
//! | C4 | `attacks::claims::c04_an_expiry_that_is_no_date` |
//! | C5 | `attacks::claims::c05_a_fraction_never_makes_a_token_live_longer` |
//! | C6 | `attacks::claims::c06_an_expiry_past_all_measure` |
//! | C7 | `attacks::claims::c07_the_last_second_of_a_token` |
//! | C8 | `attacks::claims::c08_a_token_that_is_not_valid_yet` |
//! | C9 | `attacks::claims::c09_a_token_that_was_issued_in_the_future` |
//! | C10 | `choices::c10_an_authentication_that_does_not_suffice_is_asked_for_again` |
//! | C11 | `attacks::claims::c11_a_subject_that_is_none` |
//! | C12 | `attacks::claims::c12_a_scope_is_compared_whole` |
//! | | `choices::c12_roles_are_read_where_keycloak_and_entra_write_them` |
//! | C13 | `attacks::claims::c13_a_client_or_an_identifier_that_is_missing` |
//! | C14 | `attacks::claims::c14_a_client_that_is_not_on_the_list` |
//! | C15 | `binding::c15_a_binding_that_is_not_understood_is_refused` |
//! | C16 | `binding::c16_a_token_passes_over_the_connection_of_its_certificate_alone` |
//! | | `binding::c16_a_proxy_tells_of_a_certificate_where_it_was_granted_that` |
//! | C17 | `proofs::c17_a_bound_token_never_passes_as_bearer` |
//! | S1 | `attacks::signature::s01_a_signature_of_zeros_or_out_of_range` |
//! | S2 | `attacks::signature::s02_a_signature_in_der_or_of_another_length` |
//! | S3 | `attacks::signature::s03_a_signature_that_is_cut_off_or_a_mac_with_an_empty_key` |
//! | S4 | `attacks::signature::s04_an_rsa_key_that_is_short_long_or_has_a_bad_exponent` |
//! | S5 | `attacks::signature::s05_an_ed25519_key_of_small_order` |
//! | S6 | `attacks::signature::s06_an_ed25519_key_of_another_length_or_that_is_no_point` |
//! | S7 | `attacks::signature::s07_a_point_that_is_not_on_its_curve` |
//! | S8 | `attacks::signature::s08_any_single_byte_of_a_token_changed` |
//! | | `attacks::signature::s08_the_signature_of_one_token_under_another` |
//! | K1 | `rotation::k01_ten_thousand_unknown_names_cause_one_fetch_per_cool_down` |
//! | K2 | `keys::k02_rotation_picks_up_a_new_key_at_once_and_keeps_the_old` |
//! | K3 | `cache::k03_a_remembered_token_is_refused_and_forgotten_once_its_key_left_the_set` |
//! | | `keys::k03_a_key_that_left_the_set_is_refused_once_the_set_was_fetched` |
//! | | `streams::k03_a_stream_ends_soon_after_its_key_is_withdrawn` |
//! | K4 | `keys::k04_an_issuer_that_is_down_leaves_known_keys_working` |
//! | | `rotation::k04_an_issuer_in_trouble_never_delays_a_request_whose_key_is_known` |
//! | K5 | `keys::k05_a_set_without_a_usable_key_leaves_the_old_one_in_force_and_is_told` |
//! | K6 | `keys::k06_one_malformed_key_does_not_spoil_the_set` |
//! | K7 | `discovery::k07_a_cold_start_without_the_issuer_fails_or_answers_503_as_chosen` |
//! | K8 | `discovery::k08_a_discovery_document_of_another_issuer_is_refused` |
//! | | `discovery::k08_keys_in_an_unsafe_place_are_not_fetched` |
//! | K9 | `attacks::state::k09_the_wall_clock_jumps` |
//! | | `keys::k09_a_wall_clock_that_jumps_does_not_age_the_keys` |
//! | K10 | `cache::k10_two_layers_never_share_what_they_verified` |
//! | | `proofs::k10_what_is_remembered_of_a_token_spares_it_no_check_but_the_signature` |
//! | K11 | `cache::k11_a_remembered_token_expires` |
//! | | `choices::k11_a_token_is_refused_once_it_is_revoked_also_when_it_is_remembered` |
//! | | `streams::k11_a_stream_ends_soon_after_its_token_is_revoked` |
//! | K12 | `introspection::answers::k12_a_token_that_is_not_active_is_refused_and_that_is_remembered_shortly` |
//! | | `introspection::answers::k12_a_token_expires_while_it_is_remembered` |
//! | | `introspection::answers::k12_layers_with_other_rules_do_not_share_what_they_know` |
//! | K13 | `proofs::k13_a_bound_token_passes_with_a_fresh_proof_and_once` |
//! | | `proofs::k13_a_full_store_lets_nothing_pass` |
//! | | `proofs::k13_two_clients_may_choose_one_identifier` |
//! | K14 | `proofs::k14_a_proof_for_another_request_is_refused` |
//! | K15 | `proofs::k15_a_request_with_no_proof_or_two_is_refused` |
//! | | `proofs::k15_a_proof_that_is_none_is_refused` |
//! | | `proofs::k15_a_nonce_is_handed_out_and_then_accepted` |
//! | K16 | `attacks::state::k16_nothing_of_a_token_gets_into_events` |
//! | K17 | `attacks::state::k17_what_a_client_sends_never_gets_into_a_challenge` |
//! | K18 | `choices::k18_a_token_in_the_query_is_never_taken` |
//!
//! K4 names DNS that is rebound to a private address: the certificate is held to the name that was
//! configured, and a redirect is never followed.

mod claims;
mod encoding;
mod header;
mod signature;
mod state;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

use bartizan_jwt::JwtLayer;
use bartizan_testkit::{RsaKey, SigningAlgorithm, TokenBuilder};

use crate::support::{Offline, outcome, passed, refused};

/// An issuer, and a service that trusts it.
struct Target {
    offline: Offline,
    layer: JwtLayer,
}

impl Target {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let offline = Offline::new(algorithm);
        let layer = offline.layer();
        Self { offline, layer }
    }

    fn token(&self) -> TokenBuilder {
        self.offline.token()
    }

    #[track_caller]
    fn accepts(&self, token: &str) -> impl Future<Output = ()> {
        let layer = self.layer.clone();
        let token = token.to_owned();
        async move { assert_eq!(outcome(&layer, &token).await, passed(), "{token}") }
    }

    /// The attack is refused with this code, and a good token passes as ever.
    async fn refuses(&self, token: &str, code: &str) {
        assert_eq!(
            outcome(&self.layer, token).await,
            refused(401, code),
            "{token}"
        );
        let control = self.token().sign().unwrap();
        assert_eq!(outcome(&self.layer, &control).await, passed());
    }
}

/// How many cases there are of each kind.
const CASES: [(char, usize); 5] = [('h', 22), ('e', 9), ('c', 17), ('s', 8), ('k', 18)];

#[test]
fn every_case_has_a_test_and_every_test_stands_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let mut tests = BTreeSet::new();
    let mut folders = vec![(PathBuf::from(folder), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let name = format!("{prefix}{stem}::");
            if path.is_dir() {
                folders.push((path, name));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let functions = text.lines().filter_map(|line| {
                let line = line.strip_prefix("async ").unwrap_or(line);
                line.strip_prefix("fn ")?.split('(').next()
            });
            tests.extend(
                functions
                    .filter(|f| case_of(f).is_some())
                    .map(|f| format!("{name}{f}")),
            );
        }
    }
    let table: BTreeSet<String> = include_str!("attacks.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! |")?.split('`').nth(1))
        .map(str::to_owned)
        .collect();
    assert_eq!(table, tests);
    for (kind, count) in CASES {
        for number in 1..=count {
            let of_case = |test: &&String| {
                let name = test.rsplit("::").next().unwrap_or_default();
                case_of(name) == Some((kind, number))
            };
            assert!(
                tests.iter().find(of_case).is_some(),
                "{kind}{number} has no test"
            );
        }
    }
}

/// The number that a test's name begins with.
fn case_of(test: &str) -> Option<(char, usize)> {
    let (number, _) = test.split_once('_')?;
    let kind = number.chars().next()?;
    let number = number.strip_prefix(kind)?.parse().ok()?;
    CASES
        .iter()
        .any(|case| case.0 == kind)
        .then_some((kind, number))
}

fn target() -> Target {
    Target::new(SigningAlgorithm::Es256)
}

fn rsa() -> &'static RsaKey {
    static KEY: OnceLock<RsaKey> = OnceLock::new();
    KEY.get_or_init(|| RsaKey::generate(2048).unwrap())
}
