//! Looks a batch through before anything is written: how many images, and whether each gets a name.

use pictor_common::{
    batch::BatchId,
    queue::{BatchState, Queue},
};
use pictor_producer::results::{Clash, Names, With};

use super::{guard::Guard, laying::Laying, pages::Pages};
use crate::{exit::refused, output::Output};

/// Problems that are told one by one.
const TOLD: usize = 10;

/// What is known of a batch beforehand.
#[derive(Debug)]
pub(super) struct Survey {
    /// What is told beside the usual.
    pub(super) with: With,
    /// Images of all lines.
    pub(super) images: u64,
}

impl Survey {
    async fn of(queue: &Queue, id: &BatchId) -> anyhow::Result<Self> {
        let with = With { original_key: queue.has_stand_ins(id).await?, ..With::default() };
        Ok(Self { with, images: 0 })
    }
}

pub(super) async fn survey(queue: &Queue, batch: &BatchState, id: &BatchId) -> anyhow::Result<Survey> {
    let mut survey = Survey::of(queue, id).await?;
    let mut pages = Pages::new(queue, id, batch.sealed);
    while let Some(lines) = pages.next().await? {
        survey.with.take |= lines.iter().any(|line| line.keys.len() > 1);
        survey.images += lines.iter().map(|line| line.keys.len() as u64).sum::<u64>();
    }
    Ok(survey)
}

/// Also gives every image its name, and refuses when one cannot be given.
pub(super) async fn names(
    queue: &Queue,
    batch: &BatchState,
    id: &BatchId,
    laying: &Laying,
    guard: &Guard,
    output: &Output,
) -> anyhow::Result<Survey> {
    let mut survey = Survey::of(queue, id).await?;
    let mut found = Found::default();
    let mut names = Names::default();
    let mut pages = Pages::new(queue, id, batch.sealed);
    while let Some(items) = pages.items().await? {
        for item in items {
            survey.with.take |= item.take > 0;
            survey.images += 1;
            let (row, take) = (item.line.row, item.take);
            let name = match laying.name(&item) {
                Ok(name) => name,
                Err(why) => {
                    found.problem(format!("row {row}: {why}"));
                    continue;
                }
            };
            if let Some(why) = guard.forbids(&name.text) {
                found.problem(format!("row {row}: {:?} {why}", name.text));
            }
            if name.altered {
                found.altered += 1;
                found.example.get_or_insert_with(|| format!("row {row} is {:?}", name.text));
            }
            if let Err(clash) = names.take(&name.text, row, take, &item.key) {
                found.clash(&clash, laying.target.folds_case());
            }
        }
    }
    found.end(output)?;
    Ok(survey)
}

#[derive(Debug, Default)]
struct Found {
    problems: Vec<String>,
    count: u64,
    takes: bool,
    rows: bool,
    altered: u64,
    example: Option<String>,
    case_only: u64,
}

impl Found {
    fn problem(&mut self, text: String) {
        self.count += 1;
        if self.problems.len() < TOLD {
            self.problems.push(text);
        }
    }

    fn clash(&mut self, clash: &Clash, folds_case: bool) {
        if clash.case_only && !folds_case {
            self.case_only += 1;
            return;
        }
        let ((row, take), (other, other_take)) = (clash.first, clash.second);
        let name = &clash.name;
        let who = if row == other {
            self.takes = true;
            format!("row {row}, takes {take} and {other_take}")
        } else {
            self.rows = true;
            format!("rows {row} and {other}")
        };
        self.problem(if clash.case_only {
            format!(
                "{who}: both {name:?} but for upper and lower case, which is one file on macOS and Windows"
            )
        } else {
            format!("{who}: both {name:?}")
        });
    }

    fn end(self, output: &Output) -> anyhow::Result<()> {
        if self.count > 0 {
            let mut text = format!("--layout: nothing was written\n  {}", self.problems.join("\n  "));
            let more = self.count - self.problems.len() as u64;
            if more > 0 {
                text += &format!("\n  and {more} more");
            }
            let advice = match (self.takes, self.rows) {
                (true, true) => "add {take} and {row} to the pattern",
                (true, false) => "add {take} to the pattern",
                (false, true) => "add {row}, or a column that differs, to the pattern",
                (false, false) => return Err(refused(text)),
            };
            return Err(refused(format!("{text}\n{advice}")));
        }
        if let Some(example) = self.example {
            let count = self.altered;
            output.note(&format!("{count} names were made safe for file systems: {example}"));
        }
        if self.case_only > 0 {
            output.note(&format!(
                "{} names differ from others only in case: one file each on macOS and Windows",
                self.case_only
            ));
        }
        Ok(())
    }
}
