//! The apalis backend: a channel of claimed work, and a layer that lets go of what has ended.
//!
//! All Redis I/O is in tasks of its own, so no Redis error ever reaches the apalis worker.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    layers::{Layer, Service},
    task::Task,
    worker::context::WorkerContext,
};
use pictor_common::queue::Grant;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};

use crate::engine::Engine;

/// One claimed asset on its way to a handler.
#[derive(Debug)]
pub(crate) struct Work {
    /// The right to make it.
    pub(crate) grant: Grant,
    /// When its slot comes.
    pub(crate) slot: Instant,
    /// The place it takes in this process.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Hands claimed work to apalis.
#[derive(Debug)]
pub(crate) struct Source {
    work: mpsc::Receiver<Work>,
    engine: Arc<Engine>,
}

impl Source {
    pub(crate) const fn new(work: mpsc::Receiver<Work>, engine: Arc<Engine>) -> Self {
        Self { work, engine }
    }
}

impl Backend for Source {
    type Task = Task<Work>;
    type Error = Infallible;

    fn poll_ready(&mut self, _cx: &mut Context<'_>, _worker: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        if worker.is_shutting_down() || self.engine.draining.is_cancelled() {
            return Poll::Ready(None);
        }
        self.work.poll_recv(cx).map(|work| work.map(|work| Ok(Task::new(work))))
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>, _worker: &WorkerContext) -> Poll<Result<(), Infallible>> {
        // What is left in the channel is still claimed; the drain gives all of that back at once.
        self.work.close();
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Source {
    type Args = Work;
    type Id = ();
    type Kind = Ephemeral;
    type Config = ();
    type Layer = LetGo;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _worker: &mut WorkerContext) -> LetGo {
        LetGo(Arc::clone(&self.engine))
    }
}

/// Ends the holding of an asset when its handler has ended, however that was.
#[derive(Clone, Debug)]
pub(crate) struct LetGo(Arc<Engine>);

impl<S> Layer<S> for LetGo {
    type Service = LetGoService<S>;

    fn layer(&self, inner: S) -> LetGoService<S> {
        LetGoService { inner, engine: Arc::clone(&self.0) }
    }
}

/// The service [`LetGo`] makes.
#[derive(Clone, Debug)]
pub(crate) struct LetGoService<S> {
    inner: S,
    engine: Arc<Engine>,
}

impl<S> Service<Task<Work>> for LetGoService<S>
where
    S: Service<Task<Work>>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Work>) -> Self::Future {
        let token = task.args.grant.token.clone();
        let engine = Arc::clone(&self.engine);
        let ended = self.inner.call(task);
        Box::pin(async move {
            let result = ended.await;
            engine.held.ended(&token);
            result
        })
    }
}
