//! What a submission would make and cost, before anything is queued.

mod text;

use pictor_common::{
    AssetKey, MicroUsd,
    batch::{Line, NewAsset},
    price::Estimate,
};
use serde::Serialize;

use crate::{
    manifest::{Fallback, RowSpecs},
    seen::Seen,
    vary::Matrix,
};

/// Kinds of image listed one by one; what is left goes to one more.
const MOST_KINDS: usize = 100;

/// How an asset stands before the submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody asked for it yet.
    New,
    /// It exists.
    Made,
    /// It waits or is being made.
    Queued,
    /// It ended without an image.
    Failed,
}

/// One row as it would be submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRow {
    /// The line.
    pub line: Line,
    /// Those of its assets that no earlier row asked for.
    pub assets: Vec<PlannedAsset>,
}

/// An asset that stands in the manifest for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedAsset {
    /// The asset.
    pub asset: NewAsset,
    /// What it costs.
    pub estimate: Estimate,
    /// The other model that makes it where its own cannot.
    pub fallback: Option<Fallback>,
}

/// The sums of a submission.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    /// Rows that ask for something.
    pub rows: u64,
    /// Lines they become; more than the rows where something varies.
    pub lines: u64,
    /// What multiplied the rows.
    #[serde(skip_serializing_if = "Matrix::is_empty")]
    pub matrix: Matrix,
    /// Bad rows, left out.
    pub skipped: u64,
    /// Images asked for, takes counted.
    pub takes: u64,
    /// Different images among them.
    pub assets: u64,
    /// Takes that repeat an earlier one, made and paid for once.
    pub duplicates: u64,
    /// Assets nobody asked for before.
    pub new: u64,
    /// Assets that exist.
    pub already_made: u64,
    /// Assets that wait or are being made.
    pub already_queued: u64,
    /// Assets that ended without an image.
    pub failed_before: u64,
    /// Whether those that failed before are made again; if so they are in the cost.
    pub retry_failed: bool,
    /// Images to be made: the new ones and, if wanted, those that failed.
    pub to_make: u64,
    /// What they will most likely cost, in micro-USD.
    pub expected: MicroUsd,
    /// The most they can cost, in micro-USD, one request each: by the dearer of their models.
    pub ceiling: MicroUsd,
    /// The other model that makes what their own cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// The same by model, quality and size, in the order of the manifest.
    pub kinds: Vec<Kind>,
    #[serde(skip)]
    seen: Seen<()>,
    #[serde(skip)]
    last_row: u64,
}

/// Images to be made of one model, quality and size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// The model; `other` for what found no place of its own.
    pub model: String,
    /// The quality, where one is asked.
    pub quality: Option<String>,
    /// The size, where one is asked.
    pub size: Option<String>,
    /// How many.
    pub images: u64,
    /// What they will most likely cost.
    pub expected: MicroUsd,
    /// The most they can cost.
    pub ceiling: MicroUsd,
}

impl Plan {
    /// A plan of nothing yet.
    #[must_use]
    pub fn new(retry_failed: bool) -> Self {
        Self { retry_failed, ..Self::default() }
    }

    /// The same, of a manifest some rows of which are left out or multiplied.
    #[must_use]
    pub fn of(self, matrix: &Matrix, skipped: u64) -> Self {
        Self { matrix: matrix.clone(), skipped, ..self }
    }

    /// Takes a line in: computes keys and tells its first-seen assets, to be looked up and [added](Self::add).
    pub fn row(&mut self, row: RowSpecs) -> PlannedRow {
        let RowSpecs { row, line, id, cells, specs, route, estimate, fallback } = row;
        if self.fallback.is_none() {
            self.fallback = fallback.as_ref().map(|other| other.model.clone());
        }
        let mut keys = Vec::with_capacity(specs.len());
        let mut assets = Vec::new();
        self.rows += u64::from(row != self.last_row);
        self.lines += 1;
        self.last_row = row;
        for spec in specs {
            let key = AssetKey::of(&spec);
            keys.push(key.clone());
            self.takes += 1;
            if self.seen.key(&key, ()).is_some() {
                self.duplicates += 1;
                continue;
            }
            self.assets += 1;
            let Estimate { ceiling, tokens, .. } = estimate;
            let asset = NewAsset { key, spec, route: route.clone(), ceiling, tokens, made: None };
            assets.push(PlannedAsset { asset, estimate, fallback: fallback.clone() });
        }
        PlannedRow { line: Line { row: line, id, keys, cells }, assets }
    }

    /// Counts assets with how they stand.
    pub fn add<'a>(&mut self, chunk: impl IntoIterator<Item = (&'a PlannedAsset, Standing)>) {
        for (planned, standing) in chunk {
            match standing {
                Standing::New => self.new += 1,
                Standing::Made => self.already_made += 1,
                Standing::Queued => self.already_queued += 1,
                Standing::Failed => self.failed_before += 1,
            }
            if standing == Standing::New || (standing == Standing::Failed && self.retry_failed) {
                self.count_cost(planned);
            }
        }
    }

    /// Ends the taking in of rows: what was seen of them is forgotten.
    pub(crate) fn counted(self) -> Self {
        Self { seen: Seen::default(), ..self }
    }

    /// Says why the plan is not carried out when it may cost more than `most`.
    #[must_use]
    pub fn refuses(&self, most: MicroUsd) -> Option<String> {
        (self.ceiling > most).then(|| {
            format!(
                "the {} images to make may cost up to {} (expected {}), more than the {most} allowed; nothing was queued",
                self.to_make, self.ceiling, self.expected
            )
        })
    }

    /// The plan for people.
    #[must_use]
    pub fn text(&self) -> String {
        text::of(self)
    }

    /// Says, where the most it can cost is far from what is expected, what is left to the models.
    #[must_use]
    pub fn far_apart(&self) -> Option<String> {
        text::far_apart(self)
    }

    fn count_cost(&mut self, planned: &PlannedAsset) {
        let Estimate { expected, ceiling, .. } = planned.estimate;
        let ceiling = planned.fallback.as_ref().map_or(ceiling, |other| ceiling.max(other.ceiling));
        self.to_make += 1;
        self.expected = self.expected + expected;
        self.ceiling = self.ceiling + ceiling;
        let kind = self.kind_of(planned);
        kind.images += 1;
        kind.expected = kind.expected + expected;
        kind.ceiling = kind.ceiling + ceiling;
    }

    fn kind_of(&mut self, planned: &PlannedAsset) -> &mut Kind {
        let spec = &planned.asset.spec;
        let same =
            |kind: &Kind| kind.model == spec.model && kind.quality == spec.quality && kind.size == spec.size;
        let place = match self.kinds.iter().position(same) {
            Some(place) => place,
            None if self.kinds.len() < MOST_KINDS => {
                let (quality, size) = (spec.quality.clone(), spec.size.clone());
                self.kinds.push(Kind { model: spec.model.clone(), quality, size, ..Kind::default() });
                self.kinds.len() - 1
            }
            None => {
                if self.kinds.len() == MOST_KINDS {
                    self.kinds.push(Kind { model: "other".to_owned(), ..Kind::default() });
                }
                MOST_KINDS
            }
        };
        &mut self.kinds[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pictor_common::{Spec, batch::Route, spec::Operation};

    fn row(number: u64, specs: Vec<Spec>) -> RowSpecs {
        let estimate = Estimate { expected: MicroUsd(40_000), ceiling: MicroUsd(50_000), tokens: 0 };
        let route = Route::new("dall-e-3", Operation::Generate);
        let id = number.to_string();
        RowSpecs { row: number, line: number, id, cells: Vec::new(), specs, route, estimate, fallback: None }
    }

    fn spec(prompt: &str, take: u32) -> Spec {
        Spec { model: "dall-e-3".to_owned(), prompt: Some(prompt.to_owned()), take, ..Spec::default() }
    }

    #[test]
    fn an_asset_is_planned_once_however_often_it_is_asked_for() {
        let mut plan = Plan::new(false);
        let first = plan.row(row(1, vec![spec("mug", 0), spec("mug", 1)]));
        let second = plan.row(row(2, vec![spec("mug", 0)]));
        let explicit = Spec { size: Some("1024x1024".to_owned()), ..spec("mug", 1) };
        let third = plan.row(row(3, vec![explicit, spec("cup", 0)]));
        assert_eq!([first.assets.len(), second.assets.len(), third.assets.len()], [2, 0, 1]);
        assert_eq!(second.line.keys[0], first.line.keys[0]);
        assert_eq!(third.line.keys[0], first.line.keys[1]);
        assert_eq!((plan.rows, plan.takes, plan.assets, plan.duplicates), (3, 5, 3, 2));
    }

    #[test]
    fn only_what_is_made_costs() {
        for (retry_failed, to_make) in [(false, 1), (true, 2)] {
            let mut plan = Plan::new(retry_failed);
            let planned = plan.row(row(1, (0..4).map(|take| spec("mug", take)).collect()));
            let standings = [Standing::New, Standing::Made, Standing::Queued, Standing::Failed];
            plan.add(planned.assets.iter().zip(standings));
            assert_eq!((plan.new, plan.already_made, plan.already_queued, plan.failed_before), (1, 1, 1, 1));
            assert_eq!(plan.to_make, to_make);
            assert_eq!(
                (plan.expected, plan.ceiling),
                (MicroUsd(40_000 * to_make), MicroUsd(50_000 * to_make))
            );
            assert_eq!(plan.refuses(MicroUsd(50_000 * to_make)), None);
            assert!(plan.refuses(MicroUsd(50_000 * to_make - 1)).is_some());
        }
    }

    #[test]
    fn the_dearer_model_is_the_most_it_can_cost() {
        for (other, most) in [(70_000, 70_000), (30_000, 50_000)] {
            let route = Route::new("gpt-image", Operation::Generate);
            let fallback = Fallback { model: "gpt-image-2".to_owned(), route, ceiling: MicroUsd(other) };
            let mut plan = Plan::new(false);
            let planned = plan.row(RowSpecs { fallback: Some(fallback), ..row(1, vec![spec("mug", 0)]) });
            assert_eq!(
                planned.assets[0].asset.ceiling,
                MicroUsd(50_000),
                "that of its own model is reserved"
            );
            plan.add(planned.assets.iter().map(|asset| (asset, Standing::New)));
            assert_eq!((plan.expected, plan.ceiling), (MicroUsd(40_000), MicroUsd(most)));
            assert_eq!(plan.kinds[0].ceiling, MicroUsd(most));
            assert!(plan.text().contains("fallback         gpt-image-2"), "{}", plan.text());
        }
    }

    #[test]
    fn many_kinds_are_bounded_and_nothing_is_lost() {
        let mut plan = Plan::new(false);
        for i in 1..=250_u64 {
            let odd = Spec { size: Some(format!("{}x16", 16 * i)), ..spec("mug", 0) };
            let planned = plan.row(row(i, vec![odd]));
            plan.add(planned.assets.iter().map(|asset| (asset, Standing::New)));
        }
        assert_eq!(plan.kinds.len(), MOST_KINDS + 1);
        assert_eq!(plan.kinds.iter().map(|kind| kind.images).sum::<u64>(), 250);
        assert_eq!(plan.kinds.iter().map(|kind| kind.ceiling).sum::<MicroUsd>(), plan.ceiling);
        assert_eq!(plan.kinds[MOST_KINDS].model, "other");
    }
}
