//! `client-ip`: the client's address behind proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use bartizan_core::{ForwardingHeader, IpNetwork, TrustedProxies};
use serde_json::Value;

use crate::material::{Material, Members, items};
use crate::tally::{Expected, Observed, Tally};

/// The far end of the connection where a case has none: a proxy that is trusted. That it comes
/// out means that the header told nothing.
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));

/// The tables of settings that we do not have, and why.
const NOT_OFFERED: [(&str, &str); 8] = [
    (
        "chain",
        "no fallback from one source to another: the client would choose the source",
    ),
    ("good_ip", "no parser of single addresses is public"),
    (
        "is_private_or_local",
        "no notion of private addresses: which proxies are trusted is said",
    ),
    (
        "leftmost_non_private",
        "the leftmost address is not offered: the client writes it",
    ),
    ("parse_ip", "no parser of single addresses is public"),
    (
        "remote_addr",
        "the far end of a connection is an address here, never text",
    ),
    (
        "rightmost_non_private",
        "private is not the same as trusted: networks are named",
    ),
    (
        "single_ip_header",
        "no header of a single address is offered",
    ),
];

/// Tables of the library realclientip.
pub(crate) fn realclientip(material: &Material, tally: &mut Tally) -> Result<()> {
    let document = material.json()?;
    for (table, cases) in document
        .as_object()
        .context("the document is not an object")?
    {
        let not_offered = NOT_OFFERED.iter().find(|(name, _)| name == table);
        for case in items(cases)? {
            let id = format!("{table}: {}", case.text("name")?);
            match (table.as_str(), not_offered) {
                (_, Some((name, reason))) => tally.skip(format!("{name}: {reason}")),
                ("forwarded_list_item", _) => list_item(&id, case, tally)?,
                ("forwarded_rfc7239_deviations", _) => deviation(&id, case, tally)?,
                ("parse_ranges", _) => ranges(&id, case, tally)?,
                ("rightmost_trusted_count", _) => trusted_count(&id, case, tally)?,
                ("rightmost_trusted_range", _) => trusted_range(&id, case, tally)?,
                _ => tally.skip(format!("{table}: an unknown table")),
            }
        }
    }
    Ok(())
}

/// The rule of the rightmost trusted address, over `X-Forwarded-For`.
pub(crate) fn xff(material: &Material, tally: &mut Tally) -> Result<()> {
    for case in items(&material.json()?)? {
        let header = ForwardingHeader::XForwardedFor;
        let remote = case.text("peer")?.parse()?;
        let lines = case.texts("x_forwarded_for")?;
        let hops = case.member("trusted_hops")?.as_u64();
        let proxies = match hops {
            Some(hops) => TrustedProxies::insecure_hops(header, count(hops.try_into()?)?),
            None => TrustedProxies::networks(header, networks(&case.texts("trusted_cidrs")?)?),
        };
        let expected = match case.text("client")? {
            "either" => Expected::Either,
            // We have no error here: too few elements give the far end.
            client => Expected::value(client.trim_end_matches(" or error")),
        };
        tally.judge(case.text("note")?, expected, || {
            Ok(client(&proxies, remote, &lines))
        });
    }
    Ok(())
}

fn list_item(id: &str, case: &Value, tally: &mut Tally) -> Result<()> {
    let proxies = TrustedProxies::insecure_hops(ForwardingHeader::Forwarded, NonZeroUsize::MIN);
    let line = case.text("fwd")?;
    tally.judge(id, wanted(case.maybe_text("want")), || {
        told(client(&proxies, PROXY, &[line]))
    });
    Ok(())
}

/// What is wanted is what that library does against the RFC, so that either is right.
fn deviation(id: &str, case: &Value, tally: &mut Tally) -> Result<()> {
    let proxies = TrustedProxies::insecure_hops(ForwardingHeader::Forwarded, NonZeroUsize::MIN);
    let headers = case.member("args")?.member("headers")?;
    let lines = headers.texts("Forwarded")?;
    tally.judge(id, Expected::Either, || {
        told(client(&proxies, PROXY, &lines))
    });
    Ok(())
}

fn ranges(id: &str, case: &Value, tally: &mut Tally) -> Result<()> {
    let texts = case.texts("ranges")?;
    let expected = if case.member("wantErr")? == &Value::Bool(true) {
        Expected::Refused
    } else {
        Expected::value(case.texts("want")?.join(" "))
    };
    tally.judge(id, expected, || {
        let networks = networks(&texts).map_err(|error| error.to_string())?;
        Ok(networks
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "))
    });
    Ok(())
}

fn trusted_count(id: &str, case: &Value, tally: &mut Tally) -> Result<()> {
    let setting = case.member("args")?;
    let hops = setting
        .member("trustedCount")?
        .as_i64()
        .context("trustedCount is no number")?;
    judge(id, case, tally, |header| {
        Ok((
            TrustedProxies::insecure_hops(header, count(hops)?),
            vec![proxy_alone()?],
        ))
    })
}

fn trusted_range(id: &str, case: &Value, tally: &mut Tally) -> Result<()> {
    let texts = case.member("args")?.texts("trustedRanges")?;
    judge(id, case, tally, |header| {
        let mut trusted = networks(&texts)?;
        trusted.push(proxy_alone()?);
        Ok((
            TrustedProxies::networks(header, trusted.iter().copied()),
            trusted,
        ))
    })
}

/// Runs one case of a table with settings, which `settle` makes together with what is trusted.
///
/// That library answers "" where no address can be trusted to be the client's. We answer with the
/// last address that a trusted proxy vouched for, which is itself a trusted one.
fn judge(
    id: &str,
    case: &Value,
    tally: &mut Tally,
    settle: impl Fn(ForwardingHeader) -> Result<(TrustedProxies, Vec<IpNetwork>)>,
) -> Result<()> {
    let setting = case.member("args")?;
    let name = setting.text("headerName")?;
    let lines = setting.member("headers")?.as_object().into_iter().flatten();
    let lines = lines.filter(|(header, _)| header.eq_ignore_ascii_case(name));
    let lines: Vec<_> = lines
        .filter_map(|(_, lines)| lines.as_array())
        .flatten()
        .collect();
    let lines: Vec<_> = lines.into_iter().filter_map(Value::as_str).collect();
    let remote = far_end(setting.text("remoteAddr")?);
    let expected = if case.member("wantErr")? == &Value::Bool(true) {
        Expected::Refused
    } else {
        // The zone of the far end is no part of an address here.
        Expected::value(case.text("want")?.split('%').next().unwrap_or_default())
    };
    tally.judge(id, expected, || {
        let header = header(name).ok_or("no such header can be set")?;
        let (proxies, trusted) = settle(header).map_err(|error| error.to_string())?;
        let client = proxies.client(remote, lines.iter().map(|line| line.as_bytes()));
        let nobody = trusted.iter().any(|network| network.contains(client));
        Ok(if nobody {
            String::new()
        } else {
            client.to_string()
        })
    });
    Ok(())
}

fn header(name: &str) -> Option<ForwardingHeader> {
    [ForwardingHeader::Forwarded, ForwardingHeader::XForwardedFor]
        .into_iter()
        .find(|header| header.name().eq_ignore_ascii_case(name))
}

/// The far end of the connection. What is no address (empty, a Unix socket) is a local proxy.
fn far_end(text: &str) -> IpAddr {
    let zone = text.find('%');
    let end = zone.and_then(|start| text.get(start..)?.find(']').map(|length| start + length));
    let text = match (zone, end) {
        (Some(start), Some(end)) => {
            format!(
                "{}{}",
                text.get(..start).unwrap_or_default(),
                text.get(end..).unwrap_or_default()
            )
        }
        _ => text.to_owned(),
    };
    let socket = text.parse::<SocketAddr>().map(|socket| socket.ip());
    socket.or_else(|_| text.parse()).unwrap_or(PROXY)
}

fn client(proxies: &TrustedProxies, remote: IpAddr, lines: &[&str]) -> String {
    proxies
        .client(remote, lines.iter().map(|line| line.as_bytes()))
        .to_string()
}

/// What the header told: nothing if the far end came out.
fn told(client: String) -> Observed {
    if client == PROXY.to_string() {
        Err("no address".to_owned())
    } else {
        Ok(client)
    }
}

fn wanted(address: Option<&str>) -> Expected {
    address.map_or(Expected::Refused, Expected::value)
}

fn networks(texts: &[&str]) -> Result<Vec<IpNetwork>> {
    texts
        .iter()
        .map(|text| Ok(text.parse::<IpNetwork>()?))
        .collect()
}

fn count(hops: i64) -> Result<NonZeroUsize> {
    let hops = usize::try_from(hops).ok().and_then(NonZeroUsize::new);
    hops.context("a count of hops is 1 or more")
}

/// The network of [`PROXY`] alone.
fn proxy_alone() -> Result<IpNetwork> {
    Ok(IpNetwork::new(PROXY, 32)?)
}
