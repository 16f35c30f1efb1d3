//! `pictor asset remove`: takes an image out of the store for good, with all that was made of it.

mod stored;
mod told;

use clap::Args;
use pictor_common::{
    AssetKey, Spec,
    batch::{BatchId, Made},
    queue::{AssetState, Forgotten, Note, Queue, Removal},
    stamp::Stamp,
    store::{Store, StoreError, StoreErrorKind, sidecar_name},
};

use super::find;
use crate::{
    commands::{Context, failed, reason, verify},
    config::who,
    exit::{Exit, refused},
    parts,
};
use {stored::Stored, told::Facts};

/// Looks at the store, and clearings of what is there; more than two mean that somebody keeps writing.
const ROUNDS: usize = 5;

#[derive(Debug, Args)]
#[command(
    after_help = "What was paid stays paid, and in the ledger. Batches go on counting the image; results, gallery and verify call \
    it removed. Submitted again, by hand, by run or by a schedule, its row is made, and PAID FOR, again; a line that had it as \
    another take or in place of a failure stays without. asset redo gives either another picture.\n\n\
    Other namespaces and profiles on the same store lose it, too. Copies elsewhere are not looked for: folders of results --to, \
    galleries, backups, caches, earlier versions in a bucket that keeps them. Prompts stay in the batch's lines and in archives. The command can be repeated: it finishes what was left."
)]
pub(crate) struct RemoveArgs {
    /// The id of a line, or the asset key, or at least 8 of its first digits
    asset: String,
    /// Look for the id in this batch alone [default: the newest twenty]
    #[arg(long)]
    batch: Option<String>,
    /// Which of several images of the line: 0, 1, 2, …
    #[arg(long, value_name = "NUMBER")]
    take: Option<usize>,
    /// Why, for others to read
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// Say what would go, and stop
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What is removed.
struct Subject<'a> {
    key: AssetKey,
    /// What Redis knows of it.
    state: AssetState,
    store: &'a dyn Store,
    queue: &'a Queue,
    stored: Stored,
    /// Why, as the person said.
    why: &'a str,
}

/// How it ended.
enum Ended {
    /// So many objects are gone.
    Gone(u64),
    /// Another image came meanwhile, and stays.
    Another,
    /// It is in this phase by now; whether the image before is forgotten, and gone.
    Busy(String, bool),
    /// An older version may be at work.
    Older,
}

pub(super) async fn run(args: &RemoveArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let wanted = find::Wanted { text: &args.asset, batch: args.batch.as_deref(), take: args.take };
    let key = wanted.find_surely(context, queue).await?;
    let state = queue.assets(std::slice::from_ref(&key)).await?.pop().flatten().unwrap_or_default();
    may_go(&key, &state.phase)?;
    let url = parts::store_url(&context.settings, None);
    let store = verify::open(context, url).await?;
    let stored = Stored::look(&*store, &key, state.made.as_ref()).await?;
    let subject = Subject {
        key,
        state,
        store: &*store,
        queue,
        stored,
        why: args.reason.as_deref().unwrap_or_default(),
    };
    let facts = Facts::of(&subject).await?;
    if subject.state.phase != "done" && subject.stored.is_empty() {
        if !args.dry_run {
            queue.end_removal(&subject.key).await?;
        }
        return nothing(&subject, &facts, context).await;
    }
    if args.dry_run {
        context.output.result(&facts.value("would be removed"), || facts.text() + "\nnothing was removed")?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        context.output.note(&facts.text());
    }
    if !args.yes && !failed::act::is_wanted(&context.output, &facts.question(), true)? {
        return Err(refused("nothing was removed"));
    }
    match Box::pin(subject.clear(facts.spec.as_ref())).await? {
        Ended::Gone(objects) => {
            context.output.result(&facts.value("removed"), || facts.done(objects))?;
            Ok(Exit::Done)
        }
        Ended::Another => {
            let why = "has another image since just now, which stays: look at it, and remove it in turn";
            Err(refused(format!("asset {} {why}", subject.key)))
        }
        Ended::Busy(phase, true) => {
            let since = if phase == "done" { "another one was made since" } else { "it is asked for again" };
            let words = format!("the image of asset {} is gone; {since} ({phase})", subject.key.short());
            context.output.result(&facts.value("removed"), || words)?;
            Ok(Exit::Done)
        }
        Ended::Busy(phase, false) => may_go(&subject.key, &phase).and_then(|()| {
            let many = "not all batches that asked for it have counted it yet";
            Err(refused(format!("{many}: try again in a minute; nothing was removed")))
        }),
        Ended::Older => Err(refused(
            "a worker of an older version is at work in the namespace: upgrade it first (pictor workers list); nothing was removed",
        )),
    }
}

/// Refuses what has no image yet, or will never have one: that is cancelled or discarded instead.
fn may_go(key: &AssetKey, phase: &str) -> anyhow::Result<()> {
    let why = match phase {
        "ready" => "waits to be made: pictor batch cancel BATCH gives up what waits",
        "claimed" | "sent" | "received" | "orphan" => {
            "is being made: wait for it, or have pictor batch cancel BATCH give up what is not sent"
        }
        "failed" | "substituted" => "failed, and has no image: pictor failed discard takes it off the list",
        "parked" => "is parked, and has no image: pictor failed discard --parked takes it off the list",
        _ => return Ok(()),
    };
    Err(refused(format!("asset {} {why}; nothing was removed", key.short())))
}

async fn nothing(subject: &Subject<'_>, facts: &Facts, context: &Context) -> anyhow::Result<Exit> {
    let Some(at) = subject.queue.removed_at(&subject.key).await? else {
        return Err(refused(format!("asset {} is unknown, and the store has nothing of it", subject.key)));
    };
    let at = crate::commands::when(at);
    context.output.result(&facts.value("nothing"), || {
        format!("nothing to do: it was removed at {at}, and the store has nothing of it any more")
    })?;
    Ok(Exit::Done)
}

impl Subject<'_> {
    /// What stands on the image in the store.
    fn stamp(&self) -> Option<Stamp> {
        self.stored.images.iter().find_map(Stamp::of)
    }

    /// Has Redis forget the image, so that nobody relies on it, and empties the store; looks again until nothing of it is
    /// there. Killed anywhere between, it is finished by the next call.
    async fn clear(&self, spec: Option<&Spec>) -> anyhow::Result<Ended> {
        let stamp = self.stamp();
        let known = self.state.made.as_ref().or(self.state.removed.as_ref().map(|removed| &removed.made));
        let made: Made = known.or(stamp.as_ref().map(|stamp| &stamp.made)).cloned().unwrap_or_default();
        let payer = stamp.as_ref().and_then(|stamp| stamp.attempt.payer.parse::<BatchId>().ok());
        let from_stamp = stamp.as_ref().map(|stamp| stamp.attempt.model.as_str());
        let removal = Removal {
            key: &self.key,
            made: &made,
            spec,
            model: Some(self.state.model.as_str())
                .filter(|model| !model.is_empty())
                .or(from_stamp)
                .unwrap_or(""),
            payer: payer.as_ref(),
            tenant: stamp.as_ref().map(|stamp| stamp.attempt.tenant.as_str()).filter(|name| !name.is_empty()),
        };
        // Who may not delete is told so before anything is forgotten.
        let nothing = sidecar_name(&self.key) + ".none";
        self.store.delete(&nothing).await.map_err(|error| self.left(error, false))?;
        let (mut objects, mut forgotten) = (0, false);
        for _round in 0..ROUNDS {
            match self.queue.remove(&removal).await? {
                // From now on it is missed: whoever looks finds out who did it, also where this ends half-way.
                Forgotten::Now | Forgotten::Before if !forgotten => self.note().await?,
                Forgotten::Now | Forgotten::Before => {}
                Forgotten::Changed => return self.ended(Ended::Another, forgotten).await,
                Forgotten::Busy(phase) => return self.ended(Ended::Busy(phase, forgotten), forgotten).await,
                Forgotten::Older => return Ok(Ended::Older),
            }
            forgotten = true;
            let now = Stored::look(self.store, &self.key, Some(&made)).await?;
            if now.images.iter().any(|image| !self.stored.has(image)) {
                return self.ended(Ended::Another, true).await;
            }
            let names: Vec<String> = now.names().filter(|name| self.stored.may_delete(name)).collect();
            if names.is_empty() {
                return self.ended(Ended::Gone(objects), true).await;
            }
            for name in &names {
                // Where two remove it at once, the other one's is gone by now, and may be made again.
                if self.stored.images.iter().any(|image| image.name == *name)
                    && self.store.head(name).await?.is_some_and(|image| !self.stored.has(&image))
                {
                    return self.ended(Ended::Another, true).await;
                }
                self.store.delete(name).await.map_err(|error| self.left(error, true))?;
                objects += 1;
            }
        }
        anyhow::bail!(
            "somebody keeps writing images of asset {}: is a worker deriving from it? Run it again",
            self.key
        )
    }

    /// What stands now is not to be removed: Redis hears it, where it was told of a removal.
    async fn ended(&self, how: Ended, forgotten: bool) -> anyhow::Result<Ended> {
        if forgotten {
            self.queue.end_removal(&self.key).await?;
        }
        Ok(how)
    }

    async fn note(&self) -> anyhow::Result<()> {
        let (who, of) = (who(), format!("asset {}", self.key));
        self.queue.note(&Note { who: &who, what: "removed", of: &of, count: 1, why: self.why }).await?;
        Ok(())
    }

    /// What a person does about a store that does not delete.
    fn left(&self, error: StoreError, forgotten: bool) -> anyhow::Error {
        let s3 = self.store.location("").starts_with("s3://");
        let todo = match error.kind {
            StoreErrorKind::Denied if s3 => "allow s3:DeleteObject on the bucket, and run it again",
            StoreErrorKind::Denied => "run it again as somebody who may delete there",
            _ => "run it again",
        };
        let so_far = if forgotten {
            "the queue has forgotten it, and the store still has some of it"
        } else {
            "nothing was removed"
        };
        anyhow::Error::new(error).context(format!("asset {} is not gone ({so_far}): {todo}", self.key))
    }
}
