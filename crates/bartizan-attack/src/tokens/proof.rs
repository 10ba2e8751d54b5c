//! Proofs of possession (RFC 9449) that prove nothing, or something else.

use bartizan_core::{Clock as _, SystemClock};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value, json};

use crate::draft::Draft;
use crate::given::{Given, Made, Need};
use crate::keys::Thief;
use crate::table::table;
use crate::token::Token;
use crate::volley::Volley;

table! { Tokens;
    "token.proof-missing" "a bound token by its own scheme, and no proof", "RFC 9449 §7.1" =>
        |given| proven(given, |bound| [bound.draft.clone().without("dpop")]);
    "token.proof-empty" "an empty proof, or one that is no token", "RFC 9449 §4.3" =>
        |given| proven(given, |bound| ["", "x", "a.b.c", ".."].map(|text| bound.draft.clone().field("dpop", text)));
    "token.proof-twice" "two proofs", "RFC 9449 §4.3" =>
        |given| proven(given, |bound| { let other = bound.proof().by(bound.thief); [bound.draft.clone().and_field("dpop", other)] });
    "token.proof-joined" "two proofs in one field", "RFC 9449 §4.3" =>
        |given| proven(given, |bound| {
            let both = [bound.proof().by(bound.thief), bound.proof().by(bound.thief)].join(", ");
            [bound.draft.clone().field("dpop", both)]
        });
    "token.proof-for-another-method" "a proof for another method", "RFC 9449 §4.3" =>
        |given| proofs(given, |it| ["PATCH", "get", ""].map(|htm| it.clone().claim("htm", htm)).to_vec());
    "token.proof-for-another-path" "a proof for another path", "RFC 9449 §4.3" =>
        |given| proofs(given, |it| {
            let own = it.claims.get("htu").and_then(Value::as_str).unwrap_or_default().to_owned();
            [format!("{own}/other"), format!("{own}/../other"), own + "x"].map(|htu| it.clone().claim("htu", htu)).to_vec()
        });
    "token.proof-for-another-host" "a proof for another host", "RFC 9449 §4.3" =>
        |given| proofs(given, |it| ["https://other.invalid/", "https://127.0.0.1.invalid/"].map(|htu| it.clone().claim("htu", htu)).to_vec());
    "token.proof-for-no-address" "a proof for what is no address", "RFC 9449 §4.3" =>
        |given| proofs(given, |it| ["", "/", "*", "http"].map(|htu| it.clone().claim("htu", htu)).to_vec());
    "token.proof-old" "a proof of an hour ago", "RFC 9449 §11.1" =>
        |given| proofs(given, |it| [-3600, -1_000_000_000].map(|age| it.clone().moved("iat", age)).to_vec());
    "token.proof-of-the-future" "a proof of the next day", "RFC 9449 §11.1" =>
        |given| proofs(given, |it| vec![it.moved("iat", 86_400)]);
    "token.proof-without-time" "a proof that does not say when it was made", "RFC 9449 §4.2" =>
        |given| proofs(given, |it| vec![it.clone().without_claim("iat"), it.claim("iat", "now")]);
    "token.proof-without-identifier" "a proof that cannot be told from another", "RFC 9449 §4.2" =>
        |given| proofs(given, |it| vec![it.clone().without_claim("jti"), it.claim("jti", 1)]);
    "token.proof-replayed" "the same proof again", "RFC 9449 §11.1" =>
        |given| {
            let bound = Bound::new(given)?;
            let volley = Volley::new("proof", bound.draft.clone(), [bound.draft]);
            // The control request is made first, with the proof that the attack then repeats.
            Ok(Volley { kind: "a proof that is replayed", ..volley })
        };
    "token.proof-without-token-hash" "a proof that is not about the token", "RFC 9449 §4.3" =>
        |given| proofs(given, |it| vec![it.without_claim("ath")]);
    "token.proof-of-another-token" "a proof about another token", "RFC 9449 §4.3" =>
        |given| proofs(given, |it| vec![it.clone().claim("ath", hash("other")), it.claim("ath", "")]);
    "token.proof-unsigned" "a proof that says it needs no signature", "RFC 9449 §4.3" =>
        |given| made(given, |bound| ["none", "None"].map(|alg| bound.proof().header("alg", alg).unsigned()).to_vec());
    "token.proof-by-mac" "a proof by a MAC", "RFC 9449 §4.3" =>
        |given| made(given, |bound| vec![bound.proof().mac("HS256", b""), bound.proof().mac("HS256", b"secret")]);
    "token.proof-by-another-key" "a proof by a key that the token is not bound to", "RFC 9449 §4.3" =>
        |given| {
            let other = Thief::generate()?;
            made(given, |bound| vec![bound.proof().header("jwk", other.jwk()).by(&other)])
        };
    "token.proof-signature-of-another-key" "the right key in the proof, and the signature of another", "RFC 9449 §4.3" =>
        |given| { let other = Thief::generate()?; made(given, |bound| vec![bound.proof().by(&other)]) };
    "token.proof-without-key" "a proof without the key that it proves", "RFC 9449 §4.3" =>
        |given| made(given, |bound| vec![
            bound.proof().without_header("jwk").by(bound.thief), bound.proof().header("jwk", Value::Null).by(bound.thief),
        ]);
    "token.proof-with-private-key" "a proof with the private half of a key", "RFC 9449 §4.3" =>
        |given| made(given, |bound| {
            let mut jwk = bound.thief.jwk();
            if let Some(jwk) = jwk.as_object_mut() { jwk.insert("d".to_owned(), "AAAA".into()); }
            vec![bound.proof().header("jwk", jwk).by(bound.thief)]
        });
    "token.proof-of-another-type" "a proof that does not say that it is one", "RFC 9449 §4.3" =>
        |given| made(given, |bound| vec![
            bound.proof().without_header("typ").by(bound.thief), bound.proof().header("typ", "JWT").by(bound.thief),
        ]);
    "token.proof-as-bearer" "a bound token as a bearer token, with a proof beside it", "RFC 9449 §7.2" =>
        |given| proven(given, |bound| { let token = bound.token.clone(); [bound.draft.clone().field("authorization", format!("Bearer {token}"))] });
    "token.proof-with-unbound-token" "a token that is bound to nothing, by the scheme of bound ones", "RFC 9449 §7.1" =>
        |given| {
            let unbound = given.minted()?.sign();
            proven(given, |bound| {
                let proof = bound.proof_for(&unbound).by(bound.thief);
                [bound.draft.clone().field("authorization", format!("DPoP {unbound}")).field("dpop", proof)]
            })
        };
}

/// A bound token, and a request that proves its possession.
struct Bound<'a> {
    thief: &'a Thief,
    token: String,
    draft: Draft,
    htu: String,
}

impl<'a> Bound<'a> {
    fn new(given: &'a Given<'_>) -> Result<Self, Need> {
        let origin = given.origin()?;
        let thief = &given.thief;
        let cnf = json!({ "jkt": thief.thumbprint() });
        let token = given.minted()?.claim("cnf", cnf).sign();
        let draft = given
            .control()
            .field("authorization", format!("DPoP {token}"));
        let htu = format!("{origin}{}", draft.path());
        let mut bound = Self {
            thief,
            token,
            draft,
            htu,
        };
        let proof = bound.proof().by(thief);
        bound.draft = bound.draft.field("dpop", proof);
        Ok(bound)
    }

    /// A good proof, to be signed or changed.
    fn proof(&self) -> Token {
        self.proof_for(&self.token)
    }

    fn proof_for(&self, token: &str) -> Token {
        let mut id = [0; 16];
        // Without random bytes proofs look alike, and the control request is refused.
        let _ = SystemRandom::new().fill(&mut id);
        let token_hash = hash(token);
        Token::new(Map::new(), Map::new(), None)
            .header("typ", "dpop+jwt")
            .header("alg", "ES256")
            .header("jwk", self.thief.jwk())
            .claim("jti", URL_SAFE_NO_PAD.encode(id))
            .claim("htm", self.draft.method.as_str())
            .claim("htu", self.htu.as_str())
            .claim("iat", SystemClock.wall().unix_seconds())
            .claim("ath", token_hash)
    }
}

fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(
        &ring::digest::SHA256,
        token.as_bytes(),
    ))
}

/// Requests that differ from a proven one.
fn proven<I: IntoIterator<Item = Draft>>(
    given: &Given<'_>,
    make: impl FnOnce(&Bound<'_>) -> I,
) -> Made {
    let control = Bound::new(given)?.draft;
    let bound = Bound::new(given)?;
    Ok(Volley::new("proof", control, make(&bound)))
}

/// Requests with other proofs.
fn made(given: &Given<'_>, make: impl FnOnce(&Bound<'_>) -> Vec<String>) -> Made {
    proven(given, |bound| {
        let proofs = make(bound).into_iter();
        let drafts = proofs.map(|proof| bound.draft.clone().field("dpop", proof));
        drafts.collect::<Vec<_>>()
    })
}

/// Requests with other proofs by the right key.
fn proofs(given: &Given<'_>, make: impl FnOnce(Token) -> Vec<Token>) -> Made {
    made(given, |bound| {
        let proofs = make(bound.proof()).into_iter();
        proofs.map(|proof| proof.by(bound.thief)).collect()
    })
}
