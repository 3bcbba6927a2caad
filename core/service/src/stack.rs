//! Documents and expressions recurse, so they are read on threads with the engine's stack.

use conveyor_engine::STACK_BYTES;
use tokio::sync::oneshot;
use tonic::Status;

/// Does something on a thread of its own with the engine's stack, without blocking the runtime.
///
/// # Errors
/// INTERNAL when it panics, RESOURCE_EXHAUSTED when the system gives no thread.
pub(crate) async fn on_stack<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let (reply, answer) = oneshot::channel();
    std::thread::Builder::new()
        .name("conveyor-control".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            // Nobody may wait any more: that is their business.
            let _ = reply.send(work());
        })
        .map_err(|error| Status::resource_exhausted(format!("no thread to work on: {error}")))?;
    answer
        .await
        .map_err(|_| Status::internal("a panic while working on the request; see the log"))
}
