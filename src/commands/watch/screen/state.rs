//! What the screen knows, and how keys and looks change it. Nothing here draws, waits or asks Redis.

use std::collections::BTreeMap;

use super::{
    act::{Act, Question},
    panes::{self, Pane},
    sheet::Sheet,
    thumbs::Thumb,
    view::{View, Wish},
};

/// What is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tab {
    #[default]
    Overview,
    One(Pane),
}

pub(super) const TABS: [(Tab, &str); 6] = [
    (Tab::Overview, "Overview"),
    (Tab::One(Pane::Batches), "Batches"),
    (Tab::One(Pane::Lanes), "Lanes"),
    (Tab::One(Pane::Workers), "Workers"),
    (Tab::One(Pane::Failures), "Failures"),
    (Tab::One(Pane::Images), "Images"),
];

/// What keys mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Looking,
    /// A filter is typed.
    Filtering,
    Help,
    /// Everything of what is chosen, from this line on.
    Details(usize),
    /// What an act would touch is being counted.
    Counting(Act),
    Asking(Question),
}

/// What became of the last act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) bad: bool,
}

/// What the person who started it wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways {
    pub(super) read_only: bool,
    pub(super) colour: bool,
    /// 24 bits a colour, not the 256 of a palette.
    pub(super) true_colour: bool,
    /// `pictor` and the options that select this queue.
    pub(super) program: String,
}

/// The screen.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pub(super) tab: Tab,
    pub(super) mode: Mode,
    pub(super) view: Option<View>,
    pub(super) filter: String,
    pub(super) said: Option<Said>,
    pub(super) ways: Ways,
    pub(super) previews: bool,
    /// Looks are paused.
    pub(super) frozen: bool,
    /// Since when Redis does not answer, and what it says.
    pub(super) away: Option<(String, String)>,
    /// Somebody has pressed a key.
    pub(super) touched: bool,
    /// Acts that were done.
    pub(super) done: u32,
    /// The row that is chosen in each pane, by its id and its place.
    chosen: BTreeMap<Pane, (String, usize)>,
    pub(super) thumbs: BTreeMap<String, Thumb>,
}

impl Screen {
    pub(super) fn new(ways: Ways, previews: bool) -> Self {
        Self { ways, previews, ..Self::default() }
    }

    /// The pane that keys act on.
    pub(super) const fn pane(&self) -> Pane {
        match self.tab {
            Tab::Overview => Pane::Batches,
            Tab::One(pane) => pane,
        }
    }

    /// The rows of a pane; a filter holds where keys act.
    pub(super) fn sheet(&self, pane: Pane) -> Sheet {
        let Some(view) = &self.view else { return Sheet::default() };
        let sheet = panes::sheet(pane, view);
        if pane == self.pane() { sheet.filtered(&self.filter) } else { sheet }
    }

    /// The place of the row that is chosen: that of its id, or else near where it was.
    pub(super) fn place(&self, pane: Pane, sheet: &Sheet) -> usize {
        let Some((id, place)) = self.chosen.get(&pane) else { return 0 };
        let found = sheet.rows.iter().position(|row| row.id == *id);
        found.unwrap_or_else(|| (*place).min(sheet.rows.len().saturating_sub(1)))
    }

    /// The id of the row that is chosen where keys act.
    pub(super) fn chosen(&self) -> Option<String> {
        let sheet = self.sheet(self.pane());
        sheet.rows.get(self.place(self.pane(), &sheet)).map(|row| row.id.clone())
    }

    /// Chooses a row by its id.
    pub(super) fn choose(&mut self, pane: Pane, id: &str) {
        self.chosen.insert(pane, (id.to_owned(), 0));
    }

    /// Chooses another row, so many below.
    pub(super) fn step(&mut self, by: isize) {
        let pane = self.pane();
        let sheet = self.sheet(pane);
        let last = sheet.rows.len().saturating_sub(1);
        let place = self.place(pane, &sheet).saturating_add_signed(by).min(last);
        if let Some(row) = sheet.rows.get(place) {
            self.chosen.insert(pane, (row.id.clone(), place));
        }
    }

    /// Takes a new look in.
    pub(super) fn seen(&mut self, mut view: View) {
        self.away = None;
        if let Some(before) = self.view.take()
            && view.images.is_empty()
        {
            view.images = before.images;
        }
        self.view = Some(view);
        // From now on it is this row, wherever it moves to; of images the newest, until one is chosen.
        for pane in panes::ALL {
            if pane == Pane::Images && !self.chosen.contains_key(&pane) {
                continue;
            }
            let sheet = self.sheet(pane);
            if let Some(row) = sheet.rows.get(self.place(pane, &sheet)) {
                self.chosen.insert(pane, (row.id.clone(), self.place(pane, &sheet)));
            }
        }
    }

    /// Redis did not answer.
    pub(super) fn lost(&mut self, since: &str, why: &str) {
        match &mut self.away {
            Some((_, said)) => why.clone_into(said),
            None => self.away = Some((since.to_owned(), why.to_owned())),
        }
    }

    /// Asks, once it is known what an act would touch, unless it is not wanted any more.
    pub(super) fn counted(&mut self, wanted: Act, counted: Result<Act, String>) {
        if self.mode != Mode::Counting(wanted) {
            return;
        }
        self.mode = Mode::Looking;
        match (counted, &self.view) {
            (Ok(act), Some(view)) => self.mode = Mode::Asking(act.question(view)),
            (Err(error), _) => self.say(&error, true),
            (Ok(_), None) => {}
        }
    }

    pub(super) fn say(&mut self, text: &str, bad: bool) {
        self.said = Some(Said { text: super::words::shown(text), bad });
    }

    /// What has to be looked at for what is seen.
    pub(super) fn wish(&self) -> Wish {
        let pane = |pane| matches!(self.tab, Tab::Overview) || self.tab == Tab::One(pane);
        Wish {
            failures: pane(Pane::Failures),
            images: pane(Pane::Images),
            frozen: self.frozen,
            done: self.done,
        }
    }

    /// The command that shows what is chosen, or does what is asked about.
    pub(super) fn command(&self) -> String {
        let command = match &self.mode {
            Mode::Asking(question) => question.act.command(),
            Mode::Counting(act) => act.command(),
            _ => panes::command(self.pane(), self.chosen().as_deref()),
        };
        format!("{} {command}", self.ways.program)
    }
}
