//! Writes the page: its head, a card for each image with the picture in it, and behind them what search and the large
//! view read.
//!
//! The cards alone are a page that can be read: the script only adds to it. The policy lets the page load nothing from
//! anywhere, and run and style nothing but what has these digests.

use std::{
    fs::File,
    io::{self, BufWriter, Seek as _, Write as _},
    time::SystemTime,
};

use anyhow::Context as _;
use pictor_common::queue::BatchState;
use pictor_worker::verdict::FailureClass;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    card::{Card, State},
    escape::{Html, in_script},
    full::FullImages,
    picture::Picture,
    place::Place,
};
use crate::commands::{failed::advice, when};

/// How every gallery begins, and no other file.
pub(super) const BEGINS: &str = "<!doctype html>\n<html lang=\"en\" data-made-by=\"pictor gallery\">";
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const TOOLS: &str = include_str!("tools.html");
const BOX: &str = include_str!("box.html");
/// Characters of a prompt, or of a provider's words, that stand on a card; the large view has the whole.
const SHOWN: usize = 280;

/// What stands above the cards.
pub(super) struct Head<'a> {
    batch: &'a BatchState,
    now: u64,
    shows_files: bool,
}

impl<'a> Head<'a> {
    pub(super) fn of(batch: &'a BatchState, full: &FullImages, now: SystemTime) -> anyhow::Result<Self> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).context("the clock stands before 1970")?;
        let now = u64::try_from(now.as_micros()).context("the clock is far ahead")?;
        Ok(Self { batch, now, shows_files: full.are_files() })
    }

    fn text(&self) -> String {
        let batch = self.batch;
        let title = Html(&batch.id);
        let mut when_told = format!("submitted {}", when(batch.created));
        if let Some(completed) = batch.completed {
            let word = if batch.state == "cancelled" { "cancelled" } else { "complete" };
            when_told += &format!(", {word} {}", when(completed));
        }
        let written = when(self.now);
        let going_on = if batch.ended() {
            String::new()
        } else {
            format!(
                "<p class=note>The batch was still going on at {written}: write the page again for the rest.</p>\n"
            )
        };
        format!(
            "{BEGINS}\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title} – gallery</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <a class=skip href=\"#cards\">Skip to the images</a>\n\
             <header class=top><div class=name><p class=brand>Pictor gallery</p><h1><bdi>{title}</bdi></h1>\n\
             <p class=about><bdi>{source}</bdi> · tenant <bdi>{tenant}</bdi> · {when_told}</p></div>\n{tiles}{going_on}</header>\n\
             {TOOLS}<main>\n<ol id=cards>\n",
            policy = self.policy(),
            source = Html(&batch.source),
            tenant = Html(&batch.tenant),
            tiles = self.tiles(),
        )
    }

    fn policy(&self) -> String {
        let images = if self.shows_files { "data: file: 'self'" } else { "data:" };
        format!(
            "default-src 'none'; img-src {images}; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
            digest(STYLE),
            digest(SCRIPT)
        )
    }

    fn tiles(&self) -> String {
        let batch = self.batch;
        let counts = &batch.counts;
        let mut tiles = vec![
            ("made", "made".to_owned(), format!("{} <small>of {}</small>", counts.done, batch.assets)),
            ("spent", "spent".to_owned(), batch.spent.to_string()),
        ];
        let more = [
            ("failed", "failed", counts.failed),
            ("parked", "parked", counts.parked),
            ("waiting", "waiting", batch.open_assets()),
            ("substituted", "substituted", batch.substituted),
        ];
        for (class, word, count) in more.into_iter().filter(|(.., count)| *count > 0) {
            tiles.push((class, word.to_owned(), count.to_string()));
        }
        if batch.unknown.0 > 0 {
            tiles.push(("unknown", "perhaps billed, no image".to_owned(), batch.unknown.to_string()));
        }
        let tile = |(class, word, value): &(&str, String, String)| {
            format!("<div class=\"tile {class}\"><dt>{word}</dt><dd>{value}</dd></div>\n")
        };
        format!("<dl class=tiles>\n{}</dl>\n", tiles.iter().map(tile).collect::<String>())
    }
}

/// What a policy knows a script or a style by.
fn digest(text: &str) -> String {
    format!("sha256-{}", base64_simd::STANDARD.encode_to_string(Sha256::digest(text.as_bytes())))
}

/// A page that is being written.
pub(super) struct Page {
    place: Place,
    out: BufWriter<File>,
    data: BufWriter<File>,
    cards: u64,
}

impl Page {
    pub(super) fn begin(place: Place, head: &Head<'_>) -> anyhow::Result<Self> {
        let told = || format!("cannot write {}", place.path().display());
        let mut out = BufWriter::new(place.page().with_context(told)?);
        let data = BufWriter::new(place.data().with_context(told)?);
        out.write_all(head.text().as_bytes()).with_context(told)?;
        Ok(Self { place, out, data, cards: 0 })
    }

    /// Adds a card.
    pub(super) fn card(&mut self, card: &Card, picture: &Picture) -> anyhow::Result<()> {
        let written = self.write_card(card, picture);
        written.with_context(|| format!("cannot write {}", self.place.path().display()))
    }

    fn write_card(&mut self, card: &Card, picture: &Picture) -> io::Result<()> {
        let json = serde_json::to_string(card)?;
        let comma = if self.cards == 0 { "" } else { "," };
        write!(self.data, "{comma}\n{}", in_script(&json))?;
        self.out.write_all(card_html(self.cards, card, picture).as_bytes())?;
        self.cards += 1;
        Ok(())
    }

    /// Ends the page and gives it its name; tells its length.
    pub(super) fn end(self, head: &Head<'_>, left_out: u64) -> anyhow::Result<u64> {
        let told = format!("cannot write {}", self.place.path().display());
        let Self { place, mut out, data, .. } = self;
        let ended = || -> io::Result<u64> {
            let mut data = data.into_inner().map_err(io::IntoInnerError::into_error)?;
            data.rewind()?;
            if left_out > 0 {
                writeln!(out, "</ol>\n<p class=note>{left_out} more images are left out of this page.</p>")?;
            } else {
                out.write_all(b"</ol>\n")?;
            }
            let of_batch = json!({
                "batch": head.batch.id, "source": head.batch.source, "tenant": head.batch.tenant,
                "state": head.batch.state, "written": head.now / 1_000, "left_out": left_out,
                "advice": advices(),
            });
            let of_batch = in_script(&of_batch.to_string());
            write!(
                out,
                "</main>\n{BOX}<script type=\"application/json\" id=data>\n{{\"about\":{of_batch},\"cards\":["
            )?;
            io::copy(&mut data, &mut out)?;
            write!(out, "\n]}}\n</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n")?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            let length = file.metadata()?.len();
            place.arrive()?;
            Ok(length)
        };
        ended().context(told)
    }
}

fn advices() -> serde_json::Map<String, serde_json::Value> {
    FailureClass::ALL.iter().map(|class| (class.to_string(), advice::on_page(*class).into())).collect()
}

/// A card as it can be read without the script.
fn card_html(number: u64, card: &Card, picture: &Picture) -> String {
    let state = card.state.as_str();
    let to = card.link.clone().unwrap_or_else(|| format!("#c{number}"));
    let id = Html(&card.id).to_string();
    let take = card.take.map(|take| format!(" <span class=take>take {take}</span>")).unwrap_or_default();
    let cost = card.cost.map(|cost| format!("<span class=cost>{cost}</span>")).unwrap_or_default();
    let prompt = card.prompt.as_deref().map(shortened).unwrap_or_default();
    format!(
        "<li class=\"card {state}\" id=c{number}><a class=open href=\"{to}\" rel=\"noopener noreferrer\">\
         <span class=pic>{}</span>{}<span class=words><b dir=auto>{id}</b>{take}\
         <span class=prompt dir=auto>{}</span><span class=facts><bdi>{}</bdi>{cost}</span></span></a></li>\n",
        inside(card, picture, &id),
        badges(card),
        Html(&prompt),
        Html(&card.model),
        to = Html(&to),
    )
}

/// What stands where the picture is.
fn inside(card: &Card, picture: &Picture, id: &str) -> String {
    if let Picture::Small(small) = picture {
        let encoded = base64_simd::STANDARD.encode_to_string(&small.bytes);
        let (width, height) = (small.width, small.height);
        return format!(
            "<img alt=\"{id}\" width={width} height={height} loading=lazy decoding=async src=\"data:image/jpeg;base64,{encoded}\">"
        );
    }
    let words = |head: &str, text: &str| {
        format!(
            "<span class=why><span class=head>{}</span><span dir=auto>{}</span></span>",
            Html(head),
            Html(&shortened(text))
        )
    };
    match (card.state, &card.failure) {
        (State::Made, _) => words("No picture", card.problem.as_deref().unwrap_or_default()),
        (State::Failed | State::Parked, Some(failure)) => {
            words(&failure.class.replace('_', " "), &failure.message)
        }
        (State::Failed, None) => words("Failed", card.phase.unwrap_or_default()),
        (State::Parked, None) => words("Parked", "perhaps paid, outcome unknown"),
        (State::Removed, _) => words("Removed", card.phase.unwrap_or_default()),
        (State::Waiting, _) => words("Waiting", card.phase.unwrap_or_default()),
    }
}

fn badges(card: &Card) -> String {
    let mut badges = Vec::new();
    match card.state {
        State::Made if card.problem.is_some() => badges.push(("problem", "no picture")),
        State::Made => {}
        State::Failed | State::Parked | State::Removed | State::Waiting => {
            badges.push((card.state.as_str(), card.state.as_str()))
        }
    }
    if card.instead_of.is_some() {
        badges.push(("substituted", "substituted"));
    }
    if card.how.is_some() {
        badges.push(("substituted", "replaced"));
    }
    if card.mismatch.is_some() {
        badges.push(("mismatch", "not as asked"));
    }
    let badge = |(class, word): &(&str, &str)| format!("<span class=\"badge {class}\">{word}</span>");
    format!("<span class=badges>{}</span>", badges.iter().map(badge).collect::<String>())
}

fn shortened(text: &str) -> String {
    crate::table::shortened(text, SHOWN)
}
