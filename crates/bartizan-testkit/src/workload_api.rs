//! A SPIFFE agent: the real Workload API on a unix socket.

mod serve;
mod update;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Code;

use crate::error::TestkitError;
use crate::workload_api::serve::{Agent, Answer};

pub use self::update::WorkloadUpdate;

/// An agent that serves the [SPIFFE Workload API] to whoever connects to its socket, with what the
/// test tells it to say.
///
/// It speaks the real protocol, `FetchX509SVID` of it: each stream is told the present state at
/// once, and each change of it. It attests nobody.
///
/// Programs whose gRPC library is written in C send `:authority` as an escaped socket path, which
/// the HTTP/2 implementation here refuses; they can be told another authority.
///
/// ```
/// use bartizan_testkit::{DevelopmentCa, WorkloadApiAgent, WorkloadUpdate};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bartizan_testkit::TestkitError> {
/// # let folder = std::env::temp_dir().join(format!("bartizan-agent-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(|source| bartizan_testkit::TestkitError::Io { action: "make folder".into(), source })?;
/// let ca = DevelopmentCa::new("example.org")?;
/// let agent = WorkloadApiAgent::start(&folder.join("agent.sock"))?;
/// let id = "spiffe://example.org/ns/shop/sa/orders";
/// agent.publish(&WorkloadUpdate::new(id, &ca.workload("/ns/shop/sa/orders")?, &ca));
/// assert!(agent.endpoint().starts_with("unix:///"));
/// # drop(agent);
/// # let _ = std::fs::remove_dir_all(&folder);
/// # Ok(())
/// # }
/// ```
///
/// [SPIFFE Workload API]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_API.md
#[derive(Debug)]
pub struct WorkloadApiAgent {
    socket: PathBuf,
    answers: watch::Sender<Answer>,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl WorkloadApiAgent {
    /// Serves on this socket, which must not exist. Until something is published, callers are
    /// refused with `PERMISSION_DENIED`, as an agent does with workloads that it does not know.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Io`] if the socket cannot be made.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(socket: &Path) -> Result<Self, TestkitError> {
        let (answers, _) = watch::channel(Answer::Refusal(Code::PermissionDenied));
        let requests = Arc::new(AtomicUsize::new(0));
        let task = listen(socket, &answers, &requests)?;
        Ok(Self {
            socket: socket.to_owned(),
            answers,
            requests,
            task,
        })
    }

    /// The socket as `SPIFFE_ENDPOINT_SOCKET` names it.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// How many streams were asked for, whatever came of them.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Says this from now on, also to those who are listening.
    pub fn publish(&self, update: &WorkloadUpdate) {
        self.publish_bytes(update.encode());
    }

    /// Sends these bytes as the message, right or wrong.
    pub fn publish_bytes(&self, message: Vec<u8>) {
        self.answers
            .send_replace(Answer::Message(Bytes::from(message)));
    }

    /// Ends all streams with this status, and answers new ones with it.
    pub fn refuse(&self, code: Code) {
        self.answers.send_replace(Answer::Refusal(code));
    }

    /// Dies: every connection breaks off and the socket is gone.
    pub async fn kill(&mut self) {
        self.task.abort();
        // It was told to end; that it did is all there is to know.
        let _ = (&mut self.task).await;
        let _ = std::fs::remove_file(&self.socket);
    }

    /// Comes back to life on the same socket, with what was published last.
    ///
    /// # Errors
    ///
    /// [`TestkitError::Io`] if the socket cannot be made, as while the agent is alive.
    pub fn restart(&mut self) -> Result<(), TestkitError> {
        self.task = listen(&self.socket, &self.answers, &self.requests)?;
        Ok(())
    }
}

impl Drop for WorkloadApiAgent {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn listen(
    socket: &Path,
    answers: &watch::Sender<Answer>,
    requests: &Arc<AtomicUsize>,
) -> Result<JoinHandle<()>, TestkitError> {
    let listener = UnixListener::bind(socket)
        .map_err(TestkitError::io(format!("listen on {}", socket.display())))?;
    let agent = Agent {
        answers: answers.subscribe(),
        requests: Arc::clone(requests),
    };
    Ok(tokio::spawn(agent.serve(listener)))
}
