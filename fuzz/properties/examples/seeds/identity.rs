//! Seeds of `bartizan-mtls` and of what `bartizan-core` reads of peers.

use bartizan_testkit::{DevelopmentCa, WorkloadUpdate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{Error, Seeds};

pub(super) fn add(seeds: &mut Seeds) -> Result<(), Error> {
    let ca = DevelopmentCa::new("example.org")?;
    let other = DevelopmentCa::new("partner.example")?;
    let svid = ca.workload("/orders")?;
    let dns = ca.leaf().add_dns("orders.example").issue()?;
    let root = ca.root_der().to_vec();
    seeds.add("certificate", "svid", svid.certificate_der().to_vec());
    seeds.add("certificate", "dns", dns.certificate_der().to_vec());
    seeds.add("certificate", "root", root.clone());
    let serials = [svid.serial(), dns.serial()];
    let list = ca.revoke(serials, 7)?;
    seeds.add("revocation_lists", "list", list.to_vec());
    let length = u16::try_from(root.len())?.to_be_bytes();
    seeds.add(
        "revocation_lists",
        "beside",
        [&length[..], &root, &list].concat(),
    );
    seeds.add(
        "pem",
        "roots",
        ca.certificate_pem() + &other.certificate_pem(),
    );
    seeds.add("pem", "chain", svid.chain_pem());
    let text = STANDARD.encode(&list);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    let pem = format!(
        "-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n",
        lines.join("\n")
    );
    seeds.add("pem", "list", pem);

    let x5c = STANDARD.encode(&root);
    let key =
        format!(r#"{{"kty":"EC","use":"x509-svid","crv":"P-256","x":"","y":"","x5c":["{x5c}"]}}"#);
    seeds.add(
        "spiffe_bundle",
        "document",
        format!(r#"{{"spiffe_sequence":7,"spiffe_refresh_hint":600,"keys":[{key}]}}"#),
    );
    seeds.add(
        "spiffe_bundle",
        "others",
        format!(r#"{{"keys":[{{"kty":"EC","use":"jwt-svid","kid":"a"}},{{"kty":"oct"}},{key}]}}"#),
    );
    let update = WorkloadUpdate::new("spiffe://example.org/orders", &svid, &ca);
    let more = update
        .clone()
        .add_federated(&other)
        .add_revocation_list(&list);
    seeds.add("workload_api", "one", update.encode());
    seeds.add("workload_api", "federated", more.encode());
    seeds.add(
        "workload_api",
        "withdrawn",
        WorkloadUpdate::withdrawn().encode(),
    );

    let der = STANDARD.encode(svid.certificate_der());
    seeds.add("forwarded_certificate", "client_cert", format!(":{der}:"));
    seeds.add(
        "forwarded_certificate",
        "chain",
        format!(":{der}:, :{}:", STANDARD.encode(&root)),
    );
    seeds.add_all("forwarded_certificate", &[
        ("elements", r#"By=spiffe://example.org/edge;Hash=00;Subject="CN=a\"b,c";URI=spiffe://example.org/x,URI=spiffe://example.org/y;DNS=a.example;DNS=b.example"#),
        ("escaped", "Cert=\"-----BEGIN%20CERTIFICATE-----%0A\";Chain=%41"),
    ]);
    let binary = b"\r\n\r\n\0\r\nQUIT\n";
    seeds.add(
        "proxy_protocol",
        "text",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n",
    );
    seeds.add(
        "proxy_protocol",
        "unknown",
        "PROXY UNKNOWN ffff::1 what ever\r\nGET",
    );
    let ends = [192, 0, 2, 1, 198, 51, 100, 2, 18, 103, 1, 187];
    seeds.add(
        "proxy_protocol",
        "binary",
        [&binary[..], &[0x21, 0x11, 0, 12], &ends].concat(),
    );
    seeds.add(
        "proxy_protocol",
        "local",
        [&binary[..], &[0x20, 0, 0, 0]].concat(),
    );
    let more = [1, 0, 2, b'h', b'2', 4, 0, 0];
    seeds.add(
        "proxy_protocol",
        "more",
        [&binary[..], &[0x21, 0x11, 0, 20], &ends, &more].concat(),
    );

    seeds.add_all(
        "spiffe_id",
        &[
            ("id", "spiffe://example.org/ns/shop/sa/orders"),
            ("pattern", "spiffe://example.org/ns/*/sa/**"),
            ("dots", "spiffe://example.org/ns/../admin"),
        ],
    );
    seeds.add_all(
        "client_address",
        &[
            (
                "forwarded",
                r#"for=192.0.2.43;proto=https, for="[2001:db8::17]:4711""#,
            ),
            ("list", "10.0.0.1, 192.0.2.1:80, unknown"),
            ("network", "2001:db8::/32"),
        ],
    );
    seeds.add_all(
        "path",
        &[
            ("plain", "/orders/7"),
            ("escaped", "/a%2fb/%2e%2E/c%41"),
            ("odd", "//a/./b/../%c3%a4"),
        ],
    );
    Ok(())
}
