//! Takes the terminal, and gives it back however it ends.

use std::{
    io::{self, BufWriter, IsTerminal as _, Stdout, stdout},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{self, Event},
        execute,
        style::ResetColor,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
    layout::Rect,
};
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::mpsc;

use crate::output::Output;

pub(super) type Canvas = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// How long the thread that reads keys may outlive the screen.
const POLL: Duration = Duration::from_millis(50);

/// The terminal while it is ours.
pub(super) struct Taken {
    pub(super) canvas: Canvas,
    pub(super) keys: mpsc::Receiver<Event>,
    ended: Arc<AtomicBool>,
    reader: Option<thread::JoinHandle<()>>,
    output: Output,
}

impl Taken {
    /// Takes it; logs would be written over the screen, so they are not while it lasts.
    pub(super) fn new(output: &Output) -> io::Result<Self> {
        let canvas = Terminal::new(CrosstermBackend::new(BufWriter::new(stdout())))?;
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A task that panics is told as an error of what it did.
            if thread::current().name() == Some("main") {
                give_back();
                before(panic);
            }
        }));
        let ended = Arc::new(AtomicBool::new(false));
        let (sender, keys) = mpsc::channel(64);
        let reading = Arc::clone(&ended);
        let reader = thread::Builder::new().name("keys".to_owned()).spawn(move || read(&reading, &sender))?;
        output.hush(io::stderr().is_terminal());
        let mut taken = Self { canvas, keys, ended, reader: Some(reader), output: output.clone() };
        taken.take()?;
        Ok(taken)
    }

    /// Takes it again after a stop, and draws all of it anew.
    pub(super) fn take(&mut self) -> io::Result<()> {
        // What the shell has set meanwhile does not show in what crossterm remembers.
        let _was_not_raw = disable_raw_mode();
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        self.clear()?;
        self.canvas.hide_cursor()
    }

    /// Draws all of it anew next time. The canvas' own way asks where the cursor is, and fails where the answer is slow.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        let size = self.canvas.size()?;
        self.canvas.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Gives it back and stops this process; takes it again when somebody lets it go on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        kill_process(getpid(), Signal::STOP)?;
        self.take()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Whoever panics has given it back, and told why below.
        if !thread::panicking() {
            give_back();
        }
        // On a terminal that is gone crossterm's poll never returns; then the thread ends with the process.
        let reader = self.reader.take();
        let deadline = Instant::now() + 4 * POLL;
        while reader.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < deadline {
            thread::sleep(POLL / 10);
        }
        if !thread::panicking() {
            drop(std::panic::take_hook());
        }
        self.output.hush(false);
    }
}

/// Makes it as it was; whoever cannot be told has no terminal any more.
fn give_back() {
    let _gone = disable_raw_mode();
    let _gone = execute!(stdout(), ResetColor, LeaveAlternateScreen, Show);
}

fn read(ended: &AtomicBool, sender: &mpsc::Sender<Event>) {
    while !ended.load(Ordering::Acquire) {
        match event::poll(POLL) {
            Ok(false) => {}
            Ok(true) => {
                let Ok(event) = event::read() else { return };
                if sender.blocking_send(event).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}
