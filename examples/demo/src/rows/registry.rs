//! Services say where they are, and nobody says it for another.

use http::Method;

use super::Rows;
use crate::client::HttpCall;

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "The registry: who is where, on nobody else's word",
        "A name belongs to one SPIFFE ID, and the address is where the caller connects from.",
    );
    let (scene, registry) = (rows.scene, rows.scene.registry);
    let list = || HttpCall::new(Method::PUT, "/services/payments/instances/8444");
    let find = || HttpCall::get("/services/payments");
    let not_yours = ("403", "registry.not_yours");
    for (request, expected, who, call) in [
        (
            "HTTP: payments says where it is",
            ("200", "listed at 127.0.0.1:8444"),
            "/payments",
            list(),
        ),
        (
            "HTTP: web says that it is payments",
            not_yours,
            "/web",
            list(),
        ),
        (
            "HTTP: orders asks where payments is",
            ("200", "found at 127.0.0.1:8444"),
            "/orders",
            find(),
        ),
        (
            "HTTP: web asks, and need not know",
            not_yours,
            "/web",
            find(),
        ),
        (
            "HTTP: web asks for what there is not",
            not_yours,
            "/web",
            HttpCall::get("/services/treasury"),
        ),
    ] {
        rows.send(request, expected, &scene.workload(who)?, registry, call);
    }
    Ok(())
}
