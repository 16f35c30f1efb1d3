//! Renews the leases of all that this worker holds, on a thread of its own, so that neither
//! a busy runtime nor a long decode lets them lapse.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use pictor_common::queue::{HeldAsset, Hold, Layout, Queue};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::{
    engine::{EXTEND_EVERY, Engine, LEASE},
    health::Loop,
};

const RETRY: Duration = Duration::from_millis(500);

/// Tells when leases were last renewed.
#[derive(Clone, Debug)]
pub(crate) struct Renewals(watch::Receiver<Option<Instant>>);

impl Renewals {
    /// Waits until leases were renewed once.
    pub(crate) async fn first(&mut self) {
        let _ended = self.0.wait_for(Option::is_some).await;
    }

    /// Waits until leases were renewed after a moment: live work is re-asserted before new is claimed.
    pub(crate) async fn after(&mut self, moment: Instant) {
        // The sender goes only when the worker ends, and then nothing is claimed any more.
        let _ended = self.0.wait_for(|at| at.is_some_and(|at| at > moment)).await;
    }
}

/// Starts the lease thread; it ends when the engine is gone.
pub(crate) fn start(engine: &Arc<Engine>) -> std::io::Result<Renewals> {
    let (renewed, receiver) = watch::channel(None);
    let engine = Arc::downgrade(engine);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name("leases".to_owned())
        .spawn(move || runtime.block_on(renew(&engine, &renewed)))?;
    Ok(Renewals(receiver))
}

async fn renew(engine: &Weak<Engine>, renewed: &watch::Sender<Option<Instant>>) {
    let mut queue: Option<Queue> = None;
    let mut away = false;
    let mut doubted = HashSet::new();
    loop {
        let Some(live) = engine.upgrade() else { return };
        if queue.is_none() {
            queue = Some(live.queue.own());
        }
        let held = live.held.all();
        live.health.beat(Loop::Leases);
        drop(live);
        let began = Instant::now();
        let answer = match &queue {
            Some(queue) => Some(queue.extend(&held, LEASE).await),
            None => None,
        };
        if let Some(live) = engine.upgrade() {
            live.health.renewed(match &answer {
                Some(Ok(_)) => Ok(()),
                Some(Err(error)) => Err(error.to_string()),
                None => Err("no connection".to_owned()),
            });
        }
        match answer {
            Some(Ok(answers)) => {
                if away {
                    info!("Redis is back");
                }
                away = false;
                doubted = report(engine, &held, &answers, &doubted);
                renewed.send_replace(Some(began));
                // A word that gets no answer must not delay the next renewal.
                let said = tokio::time::timeout(EXTEND_EVERY, say_alive(engine, queue.as_ref()));
                let (_said, ()) = tokio::join!(said, tokio::time::sleep(EXTEND_EVERY));
            }
            Some(Err(error)) => {
                if !away {
                    warn!(%error, held = held.len(), "cannot renew leases: Redis is away; what was sent goes on");
                }
                away = true;
                tokio::time::sleep(RETRY).await;
            }
            None => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Lets people who watch know that this worker is alive, and how full its hands are.
async fn say_alive(engine: &Weak<Engine>, queue: Option<&Queue>) {
    let Some((incarnation, beat)) =
        engine.upgrade().map(|engine| (engine.incarnation.clone(), engine.beat()))
    else {
        return;
    };
    let Some(queue) = queue else { return };
    let mut answer = queue.beat(&incarnation, &beat).await;
    let ordered = answer.as_ref().ok().map(|heard| heard.drain.clone());
    if let (Some(order), Some(engine)) = (ordered, engine.upgrade())
        && engine.heed_drain(order).await
    {
        // Whoever told it looks for this.
        let told = queue.beat(&incarnation, &engine.beat()).await;
        answer = answer.and(told);
    }
    match answer {
        Ok(Layout { from: Some(from), layout, .. }) => {
            info!(
                from,
                to = layout,
                "no older version of Pictor works here any more: the namespace has the new layout"
            );
        }
        Ok(_as_it_was) => {}
        Err(error) => debug!(%error, "cannot say that this worker is alive"),
    }
}

/// Tells what was restored, and what is lost now as it was by the last renewal: what has just ended is let go meanwhile.
/// Returns what is lost now.
fn report(
    engine: &Weak<Engine>,
    held: &[HeldAsset],
    answers: &[Hold],
    doubted: &HashSet<String>,
) -> HashSet<String> {
    let Some(engine) = engine.upgrade() else { return HashSet::new() };
    let restored = answers.iter().filter(|&&answer| answer == Hold::Restored).count();
    if restored > 0 {
        warn!(restored, "Redis had forgotten assets in our hands; they are ours again");
    }
    let lost = held.iter().zip(answers).filter(|(_, hold)| **hold == Hold::Lost).map(|(asset, _)| asset);
    let lost: Vec<&HeldAsset> = lost.filter(|asset| engine.held.has(&asset.token)).collect();
    for asset in lost.iter().filter(|asset| doubted.contains(&asset.token)) {
        warn!(key = %asset.key, token = asset.token, phase = ?asset.phase, "lost the lease; what was sent is finished all the same");
    }
    lost.into_iter().map(|asset| asset.token.clone()).collect()
}
