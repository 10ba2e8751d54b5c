//! `x509-limbo`: path validation, by the rules for certificates that carry DNS names.

use anyhow::Result;
use bartizan_core::{Clock, PeerIdentity, SystemClock, VerifiedCertificate, WallTime};
use bartizan_mtls::{AllowedPeers, RevocationLists, Role, Roots, SvidError, verify_dns};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::material::{Material, Members};
use crate::tally::{Expected, Observed, Tally, reason};

/// Chains of servers and clients. Left out are those whose result hangs on a setting that the
/// family does not offer, and good ones that identify by something else than a DNS name.
pub(crate) fn chains(material: &Material, tally: &mut Tally) -> Result<()> {
    for case in material.json()?.list("testcases")? {
        let now = moment(case)?;
        let is_good = case.text("expected_result")? == "SUCCESS";
        if let Some(reason) = not_offered(case, is_good, now) {
            tally.skip(reason);
            continue;
        }
        let expected = if is_good {
            Expected::ACCEPTED
        } else {
            Expected::Refused
        };
        tally.judge(case.text("id")?, expected, || run(case, now));
    }
    Ok(())
}

fn run(case: &Value, now: WallTime) -> Observed {
    let verified = verified(case, now)?.map_err(reason)?;
    has_expected_name(case, &verified.identity)
}

/// What the function says of a chain; before that, what is wrong with the roots or the PEM text.
fn verified(case: &Value, now: WallTime) -> Result<Result<VerifiedCertificate, SvidError>, String> {
    let texts = |name| case.texts(name).map_err(|error| error.to_string());
    let der = |pem: &str| {
        CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("no PEM: {error:?}"))
    };
    let roots = texts("trusted_certs")?
        .into_iter()
        .map(der)
        .collect::<Result<Vec<_>, _>>()?;
    let mut roots = Roots::from_der(&roots).map_err(|error| error.to_string())?;
    if case.list("crls").is_ok_and(|lists| !lists.is_empty()) {
        let lists = RevocationLists::from_pem(texts("crls")?.concat().as_bytes());
        roots = roots.with_revocation_lists(lists.map_err(|error| error.to_string())?);
    }
    let leaf = case
        .text("peer_certificate")
        .map_err(|error| error.to_string())?;
    let chain = std::iter::once(leaf).chain(texts("untrusted_intermediates")?);
    let chain = chain.map(der).collect::<Result<Vec<_>, _>>()?;
    let role = if case.maybe_text("validation_kind") == Some("CLIENT") {
        Role::Client
    } else {
        Role::Server
    };
    Ok(verify_dns(&chain, &roots, role, now))
}

/// As the connector compares: a server must be the one that was asked for.
fn has_expected_name(case: &Value, identity: &PeerIdentity) -> Observed {
    let Some(name) = case
        .get("expected_peer_name")
        .filter(|name| !name.is_null())
    else {
        return Ok(String::new());
    };
    let value = name.text("value").map_err(|error| error.to_string())?;
    if name.maybe_text("kind") != Some("DNS") {
        return Err("the name is not a DNS name".to_owned());
    }
    let wanted = AllowedPeers::dns_name(value).map_err(|error| error.to_string())?;
    if wanted.admits(identity) {
        Ok(value.to_owned())
    } else {
        Err(format!("{value} is none of its names"))
    }
}

/// Why a case cannot be asked for.
fn not_offered(case: &Value, is_good: bool, now: WallTime) -> Option<&'static str> {
    let name = case
        .get("expected_peer_name")
        .filter(|name| !name.is_null());
    let is_ip = name.is_some_and(|name| name.maybe_text("kind") == Some("IP"));
    if case
        .get("max_chain_depth")
        .is_some_and(|depth| !depth.is_null())
    {
        Some("the depth of a chain is not a setting")
    } else if is_good && is_ip {
        Some("IP addresses are no identity")
    } else if is_good
        && name.is_none()
        && matches!(verified(case, now), Ok(Err(SvidError::NoDnsName)))
    {
        Some("a certificate without a DNS name identifies nobody")
    } else {
        None
    }
}

fn moment(case: &Value) -> Result<WallTime> {
    let Some(text) = case.maybe_text("validation_time") else {
        return Ok(SystemClock.wall());
    };
    let seconds = OffsetDateTime::parse(text, &Rfc3339)?.unix_timestamp();
    Ok(WallTime::from_unix_seconds(seconds.try_into()?))
}
