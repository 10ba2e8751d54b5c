//! Certificates are replaced and revoked while requests go on.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_testkit::{DevelopmentCa, IssuedCertificate};

use super::Rows;
use crate::client::{BoxError, Got, HttpCall, Line, measured};
use crate::scene::Dialler;
use crate::wire::{Alert, Wire};

/// How many times the service's certificate is replaced.
const ROTATIONS: usize = 3;
/// Between two requests; all rotations must be seen within the patience of a row.
const PAUSE: Duration = Duration::from_millis(10);
/// An address of this row's own, so that its requests count against nobody else.
const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

pub(super) fn add(rows: &mut Rows<'_>) -> anyhow::Result<()> {
    rows.group(
        "While certificates change",
        "New ones are followed without a lost request; a revoked one ends what it has opened.",
    );
    let scene = rows.scene;
    let token = scene.customer_token().sign()?;
    let visit = Visit {
        dialler: scene.workload("/web")?,
        customers: scene.customers,
        call: HttpCall::get("/customers/7").token(Some(token)).from(FROM),
    };

    let (ca, folder) = (scene.ca.clone(), scene.folder.clone());
    let rotating = visit.clone();
    rows.add(
        "HTTP: three new certificates in traffic",
        ("200", "0 lost, 3 rotations seen"),
        measured(Alert::default(), async move {
            rotating.through_rotations(&ca, &folder).await
        }),
    );

    let stolen = scene.ca.workload("/web")?;
    let thief = Visit {
        dialler: scene.dialler(Some(&stolen))?,
        ..visit
    };
    let revocation = Revocation {
        ca: scene.ca.clone(),
        folder: scene.folder.clone(),
        stolen,
    };
    rows.add(
        "HTTP: over a connection of a thief",
        ("200, then end", "TLS: CertificateRevoked"),
        revoked(thief, revocation),
    );
    Ok(())
}

/// A request that is sent again and again.
#[derive(Clone)]
struct Visit {
    dialler: Dialler,
    customers: SocketAddr,
    call: HttpCall,
}

impl Visit {
    async fn dial(&self, alert: Alert) -> std::io::Result<Wire> {
        let way = (FROM.into(), self.customers);
        Wire::dial(self.dialler.clone(), way, alert).await
    }

    /// Sends requests over a connection that stays and over new ones, while the files of the
    /// service's certificate are replaced; a rotation counts once a new connection shows it.
    async fn through_rotations(
        &self,
        ca: &DevelopmentCa,
        folder: &Path,
    ) -> Result<(String, String), BoxError> {
        let mut kept = Line::over(self.dial(Alert::default()).await?).await?;
        let (mut answer, mut lost, mut seen) = ("nothing".to_owned(), 0, 0);
        let mut count = |sent: Result<(String, String), BoxError>| match sent {
            Ok((status, _)) => answer = status,
            Err(_) => lost += 1,
        };
        while seen < ROTATIONS {
            let new = ca.workload("/customers")?;
            new.write_pem(folder, "customers")?;
            loop {
                count(kept.send(self.call.clone()).await);
                let wire = self.dial(Alert::default()).await?;
                let is_new = wire.server_certificate() == Some(new.certificate_der());
                count(Line::over(wire).await?.send(self.call.clone()).await);
                if is_new {
                    seen += 1;
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok((answer, format!("{lost} lost, {seen} rotations seen")))
    }
}

/// What it takes to revoke a certificate.
struct Revocation {
    ca: DevelopmentCa,
    folder: PathBuf,
    stolen: IssuedCertificate,
}

/// Uses a certificate, has it revoked, and goes on using the open connection until it ends; then
/// tries a new one.
async fn revoked(thief: Visit, revocation: Revocation) -> Got {
    measured(Alert::default(), async move {
        let alert = Alert::default();
        let mut open = Line::over(thief.dial(alert.clone()).await?).await?;
        let (before, _) = open.send(thief.call.clone()).await?;
        let Revocation { ca, folder, stolen } = revocation;
        let list = ca.revoke([stolen.serial()], 2)?;
        ca.write_crl_pem(&folder, "crl", &list)?;
        // It may answer until the list has been read, and then no more.
        while open.send(thief.call.clone()).await.is_ok() {
            tokio::time::sleep(PAUSE).await;
        }
        let again = Alert::default();
        let refused = async {
            let wire = thief.dial(again.clone()).await?;
            Line::over(wire).await?.send(thief.call.clone()).await
        };
        let said = match (refused.await, again.name()) {
            (_, Some(alert)) => format!("TLS: {alert}"),
            (Ok((status, _)), None) => format!("{status} again"),
            (Err(error), None) => error.to_string(),
        };
        Ok((format!("{before}, then end"), said))
    })
    .await
}
