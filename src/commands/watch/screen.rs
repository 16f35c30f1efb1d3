//! The live screen: a loop around what it knows, what is seen of the queue, and what keys ask for.

mod act;
mod draw;
mod keys;
mod panes;
mod sheet;
mod start;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod thumbs;
mod view;
mod words;

use std::time::{Duration, Instant};

use pictor_common::{
    batch::BatchId,
    queue::{Queue, QueueError},
};
use ratatui::crossterm::event::Event;
use rustix::process::Signal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{EVERY, GONE, Moment, WatchArgs};
use crate::{commands::Context, parts::OpenQueue};
use act::Act;
use keys::Effect;
use panes::{Pane, clock};
pub(super) use start::{dumb, fits};
use state::Screen;
use terminal::Taken;
use thumbs::{Thumb, Thumbs};
use view::{Looker, View, Wish};
pub(crate) use words::shown;

/// A look that takes longer than this is told.
const SLOW: Duration = Duration::from_secs(4);
/// How long an act may go on after the screen was left.
const PATIENCE: Duration = Duration::from_secs(60);
/// Small pictures that are kept.
const KEPT: usize = 120;

/// How the screen was left.
pub(super) enum Left {
    /// With this on it.
    At(Option<Moment>),
    /// The run that was watched has ended, and its server with it.
    Behind,
}

/// What comes in from elsewhere.
enum News {
    Seen(Result<Box<View>, QueueError>),
    /// What was to be counted, and the same counted.
    Counted(Act, Result<Act, String>),
    Did(Result<String, String>),
    Thumb(String, Thumb),
}

/// Shows the screen until it is left, or what was chosen has ended and nobody has pressed a key.
pub(super) async fn run(
    args: &WatchArgs,
    chosen: &[BatchId],
    context: &Context,
    opened: &OpenQueue,
) -> anyhow::Result<Left> {
    let mut screen = start::screen(args);
    if let Some(first) = chosen.first() {
        screen.choose(Pane::Batches, first.as_str());
    }
    let (news, coming) = mpsc::channel(64);
    let (wish, wished) = watch::channel(screen.wish());
    let looking = tokio::spawn(look(opened.queue.clone(), chosen.to_vec(), wished, news.clone()));
    let mut running = Running {
        screen,
        taken: Taken::new(&context.output)?,
        queue: opened.queue.clone(),
        stop: context.signals.stop.clone(),
        chosen: chosen.iter().map(ToString::to_string).collect(),
        borrowed: opened.is_borrowed(),
        was_open: false,
        answered: Instant::now(),
        thumbs: Thumbs::new(&context.settings),
        doing: None,
        news,
        wish,
    };
    let left = running.until_left(coming).await;
    looking.abort();
    let doing = running.doing.take();
    drop(running);
    if let Some(doing) = doing {
        // What was asked for is done whole.
        let _slow = tokio::time::timeout(PATIENCE, doing).await;
    }
    left
}

/// Looks every second, and at once when something else is to be seen.
async fn look(
    queue: Queue,
    chosen: Vec<BatchId>,
    mut wished: watch::Receiver<Wish>,
    news: mpsc::Sender<News>,
) {
    let mut looker = Looker::new(queue, chosen);
    loop {
        let wish = *wished.borrow_and_update();
        if !wish.frozen && news.send(News::Seen(looker.look(wish).await.map(Box::new))).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            changed = wished.changed() => if changed.is_err() { return },
        }
    }
}

struct Running {
    screen: Screen,
    taken: Taken,
    queue: Queue,
    stop: CancellationToken,
    chosen: Vec<String>,
    borrowed: bool,
    /// Something of what was chosen was open once.
    was_open: bool,
    answered: Instant,
    thumbs: Thumbs,
    /// The last act, which may go on while the screen is left.
    doing: Option<JoinHandle<()>>,
    news: mpsc::Sender<News>,
    wish: watch::Sender<Wish>,
}

impl Running {
    async fn until_left(&mut self, mut coming: mpsc::Receiver<News>) -> anyhow::Result<Left> {
        let stop = self.stop.clone();
        let mut stopped = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            self.draw()?;
            let left = tokio::select! {
                event = self.taken.keys.recv() => match event {
                    Some(event) => self.event(event)?,
                    // The terminal is gone.
                    None => Some(self.left()),
                },
                Some(news) = coming.recv() => self.take(news)?,
                () = stop.cancelled() => Some(self.left()),
                _ = stopped.recv() => { self.taken.suspend()?; None }
                _ = continued.recv() => { self.taken.take()?; None }
                _ = ticks.tick() => { self.tick(); None }
            };
            if let Some(left) = left {
                return Ok(left);
            }
        }
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        self.wish.send_if_modified(|wish| {
            let before = std::mem::replace(wish, self.screen.wish());
            before != *wish
        });
        self.picture()?;
        let screen = &self.screen;
        self.taken.canvas.draw(|frame| draw::draw(frame, screen))?;
        Ok(())
    }

    fn event(&mut self, event: Event) -> anyhow::Result<Option<Left>> {
        let Event::Key(key) = event else { return Ok(None) };
        match keys::press(&mut self.screen, key) {
            Effect::Nothing => {}
            Effect::Leave => return Ok(Some(self.left())),
            Effect::Suspend => self.taken.suspend()?,
            Effect::Redraw => self.taken.clear()?,
            Effect::Count(act) => {
                let (queue, news) = (self.queue.clone(), self.news.clone());
                tokio::spawn(async move {
                    let counted = act.clone().count(&queue).await.map_err(|error| format!("{error:#}"));
                    let _left = news.send(News::Counted(act, counted)).await;
                });
            }
            Effect::Do(act) => {
                self.screen.say("doing it …", false);
                let (queue, news) = (self.queue.clone(), self.news.clone());
                let doing = tokio::spawn(async move {
                    let did = act.perform(&queue).await.map_err(|error| format!("{error:#}"));
                    let _left = news.send(News::Did(did)).await;
                });
                self.doing = Some(doing);
            }
        }
        Ok(None)
    }

    fn take(&mut self, news: News) -> anyhow::Result<Option<Left>> {
        match news {
            News::Seen(Ok(view)) => {
                self.answered = Instant::now();
                if !self.screen.frozen {
                    self.screen.seen(*view);
                }
                return Ok(self.ended().then(|| self.left()));
            }
            News::Seen(Err(QueueError::Redis(error))) => {
                if self.borrowed && self.answered.elapsed() > GONE {
                    return Ok(Some(Left::Behind));
                }
                self.lost(&error.to_string());
            }
            News::Seen(Err(error)) => return Err(error.into()),
            News::Counted(wanted, counted) => self.screen.counted(wanted, counted),
            News::Did(did) => {
                self.screen.done += 1;
                match did {
                    Ok(did) => self.screen.say(&did, false),
                    Err(error) => self.screen.say(&error, true),
                }
            }
            News::Thumb(key, thumb) => {
                self.screen.thumbs.insert(key, thumb);
            }
        }
        Ok(None)
    }

    fn tick(&mut self) {
        if !self.screen.frozen && self.answered.elapsed() > SLOW {
            self.lost("no answer");
        }
    }

    fn lost(&mut self, why: &str) {
        let now = jiff::Timestamp::now().as_microsecond();
        let ago = u64::try_from(self.answered.elapsed().as_micros()).unwrap_or(0);
        self.screen.lost(&clock(u64::try_from(now).unwrap_or(0).saturating_sub(ago)), why);
    }

    /// Whether what was chosen has ended meanwhile, and nobody is here to look at it.
    fn ended(&mut self) -> bool {
        let Some(view) = &self.screen.view else { return false };
        let mut chosen = view.moment.batches.iter().filter(|frame| self.chosen.contains(&frame.batch));
        let open = chosen.any(|frame| frame.state == "open");
        self.was_open |= open;
        !open && self.was_open && !self.screen.touched
    }

    fn left(&mut self) -> Left {
        let Some(mut moment) = self.screen.view.take().map(|view| view.moment) else { return Left::At(None) };
        moment.batches.retain(|frame| self.chosen.contains(&frame.batch));
        Left::At(Some(moment))
    }

    /// Has small pictures made of what is seen.
    fn picture(&mut self) -> anyhow::Result<()> {
        let size = self.taken.canvas.size()?;
        let wanted = draw::pictured(&self.screen, (size.width, size.height));
        let thumbs = &mut self.screen.thumbs;
        if thumbs.len() > KEPT {
            thumbs.retain(|key, _| wanted.contains(key));
        }
        let images = self.screen.view.iter().flat_map(|view| &view.images);
        for image in images.filter(|image| wanted.iter().any(|key| key == image.key.as_str())) {
            if thumbs.contains_key(image.key.as_str()) {
                continue;
            }
            thumbs.insert(image.key.to_string(), Thumb::Coming);
            let (image, maker) = (image.clone(), self.thumbs.clone());
            let news = self.news.clone();
            tokio::spawn(async move {
                let thumb = maker.of(&image).await;
                let _left = news.send(News::Thumb(image.key.to_string(), thumb)).await;
            });
        }
        Ok(())
    }
}
