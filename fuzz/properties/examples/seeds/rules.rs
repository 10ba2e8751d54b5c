//! Seeds of policies and configuration.

use crate::{Error, Seeds};

const CONFIGURED: &str = include_str!("../../../../examples/invoices/invoices.toml");
const GATEWAY: &str = include_str!("../../../../examples/gateway/policy.toml");

pub(super) fn add(seeds: &mut Seeds) -> Result<(), Error> {
    seeds.add("configuration", "invoices", CONFIGURED);
    seeds.add(
        "configuration",
        "misspelled",
        CONFIGURED.replace("issuer", "isuer"),
    );
    seeds.add_all("configuration", &[(
        "yaml",
        "tokens:\n  - issuer: https://issuer.example\n    audience: orders\nlimits:\n  - by: address\n    rate: 100/s\n",
    )]);
    seeds.add("policy", "gateway", GATEWAY);
    seeds.add_all("policy", &[(
        "rules",
        "[[rule]]\nname = \"web reads\"\npeers = [\"spiffe://example.org/web\"]\nmethods = [\"GET\"]\n\
         paths = [\"/orders/{id}\"]\n\n[[rule]]\nname = \"no admin\"\neffect = \"deny\"\npaths = [\"/admin/**\"]\n",
    )]);
    seeds.add_all("cedar", &[
        ("reads", "@id(\"web reads\")\npermit (principal, action == Action::\"GET\", resource == Route::\"/orders/{id}\")\nwhen { context has peer && context.peer == Peer::\"spiffe://example.org/web\" };"),
        ("all", "permit (principal, action, resource);"),
        ("claim", "forbid (principal, action in Action::\"grpc\", resource) unless { context has tenant && context.tenant.contains(\"a\") };"),
        ("wrong", "permit (principal, action, resource) when { context.pear };"),
    ]);
    seeds.add_all("yaml", &[
        ("json", r#"{"a":[1,-2.5e3,true,null,"x\ny"],"b":{}}"#),
        ("block", "name: orders\nports: [80, 0x1f]\ntext: |\n  two\n  lines\n# why\nlist:\n- a\n- - b\n"),
        ("refused", "a: &b 1\nc: *b\nd: yes\ne: 010\n"),
        ("documents", "---\na: 1\n...\n---\n- b\n"),
    ]);
    seeds.add_all(
        "fetch_url",
        &[
            ("https", "https://issuer.example:8443/keys?x=1#f"),
            ("loopback", "http://[::1]:8080/"),
            ("user", "https://trusted.example@other.example/"),
            ("backslash", "https://a.example\\@b.example/"),
        ],
    );
    Ok(())
}
