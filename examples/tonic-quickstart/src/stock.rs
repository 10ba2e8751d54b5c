//! The service itself. Who asks is proven before it is called.

use std::pin::Pin;

use bartizan::prelude::*;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use tonic_quickstart::proto::stock_server::Stock;
use tonic_quickstart::proto::{LevelReply, LevelRequest, TakeRequest};

/// One article, of which there are ten.
#[derive(Debug)]
pub(crate) struct Shelf(watch::Sender<u32>);

impl Default for Shelf {
    fn default() -> Self {
        Self(watch::Sender::new(10))
    }
}

/// Who asks, for whom. Refused with `UNAUTHENTICATED` if nobody is proven, and `INTERNAL` if no
/// layer stands in front: never an anonymous pass.
fn asked_by<T>(request: &Request<T>) -> Result<String, Status> {
    let caller = request.security_caller()?;
    Ok(format!(
        "{} for {}",
        caller.peer,
        caller.principal.subject()
    ))
}

#[tonic::async_trait]
impl Stock for Shelf {
    async fn level(&self, request: Request<LevelRequest>) -> Result<Response<LevelReply>, Status> {
        let asked_by = asked_by(&request)?;
        let left = *self.0.borrow();
        Ok(Response::new(LevelReply { left, asked_by }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<LevelReply, Status>> + Send>>;

    /// The stream ends when the caller's token or certificate does: the layers see to it.
    async fn watch(
        &self,
        request: Request<LevelRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let asked_by = asked_by(&request)?;
        let levels = WatchStream::new(self.0.subscribe()).map(move |left| {
            let asked_by = asked_by.clone();
            Ok(LevelReply { left, asked_by })
        });
        Ok(Response::new(Box::pin(levels)))
    }

    async fn take(&self, request: Request<TakeRequest>) -> Result<Response<LevelReply>, Status> {
        let asked_by = asked_by(&request)?;
        let count = request.into_inner().count;
        let taken = self.0.send_if_modified(|left| {
            let enough = *left >= count;
            if enough {
                *left -= count;
            }
            enough
        });
        if !taken {
            return Err(Status::failed_precondition("not so many are left"));
        }
        let left = *self.0.borrow();
        Ok(Response::new(LevelReply { left, asked_by }))
    }
}
