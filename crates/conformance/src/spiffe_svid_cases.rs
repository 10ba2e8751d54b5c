//! `spiffe-svid-cases`: X.509-SVIDs and what a server makes of them.

mod handshake;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bartizan_core::{PeerIdentity, TrustDomain, WallTime};
use bartizan_mtls::{
    Identity, IdentityError, Material as TlsMaterial, RevocationLists, Role, Roots, Trust,
    TrustBundles, verify_svid,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

use crate::material::{Material, Members};
use crate::tally::{Expected, Observed, Tally, reason};

use self::handshake::{Handshakes, NoHandshake};

/// Each chain twice: by the pure function, and in a TLS 1.3 handshake with a listener whose clock
/// stands at the time of the file.
pub(crate) fn chains(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    let now = WallTime::from_unix_seconds(document.number("unix")?);
    // One list for all: it is asked about what its issuer has issued, and tells nothing of others.
    // The file's own is refused when it is loaded, which `deliberate` says.
    let lists = RevocationLists::from_pem(document.text("crl_pem")?.as_bytes())
        .map(RevocationLists::allow_unknown_status)
        .ok();
    let bundles = bundles(document.member("bundles")?, lists.as_ref())?;
    let cases = document.list("cases")?;
    let server = cases
        .iter()
        .find_map(identity)
        .context("no case has an identity for a server")?;
    let handshakes = Handshakes::new(now)?;
    let mut made = 0;
    for case in cases {
        let trusted = bundles
            .get(case.text("bundles")?)
            .context("a bundle that is not there")?;
        let chain = chain(case)?;
        let expected = match case.text("expect")? {
            "accept" => Expected::value(case.text("spiffe_id")?),
            "reject" => Expected::Refused,
            _ => Expected::Either,
        };
        let id = case.text("id")?;
        let mut fault = None;
        tally.judge(id, expected, || {
            let pure = verify_svid(&chain, trusted, Role::Client, now)
                .map(|certificate| name(&certificate.identity))
                .map_err(reason);
            let material = TlsMaterial::new(server.clone(), Trust::spiffe(trusted.clone()));
            let key = case.maybe_text("key_pem").unwrap_or_default();
            match handshakes.run(material, &chain, key.as_bytes()) {
                Ok(real) => {
                    made += 1;
                    agree(pure, real, has_foreign_key(case)).unwrap_or_else(|both| {
                        fault = Some(both.clone());
                        Err(both)
                    })
                }
                // ring cannot sign with a key of this kind: the function speaks alone.
                Err(NoHandshake::UnusableKey) => pure,
                Err(NoHandshake::Harness(error)) => {
                    fault = Some(format!("no handshake: {error:#}"));
                    pure
                }
            }
        });
        if let Some(fault) = fault {
            tally.fault(id, "one answer by function and handshake", fault);
        }
    }
    tally.notes.push(format!(
        "{made} of {} by function and by TLS 1.3 handshake",
        cases.len()
    ));
    Ok(())
}

/// Function and handshake decide alike, but for a key that is not the leaf's, of which only the
/// handshake can know.
fn agree(pure: Observed, real: Observed, foreign_key: bool) -> Result<Observed, String> {
    match (&pure, &real) {
        (Ok(one), Ok(other)) if one == other => Ok(real),
        (Err(_), Err(_)) => Ok(pure),
        (Ok(_), Err(_)) if foreign_key => Ok(real),
        _ => Err(format!("function: {pure:?}, handshake: {real:?}")),
    }
}

fn bundles(
    sets: &Value,
    lists: Option<&RevocationLists>,
) -> Result<BTreeMap<String, TrustBundles>> {
    let mut all = BTreeMap::new();
    for (name, set) in sets.as_object().context("bundles is not an object")? {
        let mut bundles = TrustBundles::new();
        for (domain, _) in set.as_object().context("a bundle set is not an object")? {
            let roots = Roots::from_pem(set.texts(domain)?.concat().as_bytes())?;
            let roots = lists.iter().fold(roots, |roots, &lists| {
                roots.with_revocation_lists(lists.clone())
            });
            bundles = bundles.with_bundle(TrustDomain::parse(domain)?, roots);
        }
        all.insert(name.clone(), bundles);
    }
    Ok(all)
}

fn chain(case: &Value) -> Result<Vec<CertificateDer<'static>>> {
    let pem = case.texts("chain_pem")?.concat();
    Ok(CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?)
}

fn load(case: &Value) -> Option<Result<Identity, IdentityError>> {
    let chain = case.texts("chain_pem").ok()?.concat();
    Some(Identity::from_pem(
        chain.as_bytes(),
        case.maybe_text("key_pem")?.as_bytes(),
    ))
}

fn identity(case: &Value) -> Option<Identity> {
    load(case)?.ok()
}

fn has_foreign_key(case: &Value) -> bool {
    matches!(load(case), Some(Err(IdentityError::ForeignKey)))
}

fn name(identity: &PeerIdentity) -> String {
    match identity {
        PeerIdentity::Spiffe(id) => id.to_string(),
        other => format!("{other:?}"),
    }
}
