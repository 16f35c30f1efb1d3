//! Reckons a month: so many images of each kind, what each costs, and the sum.

use pictor_common::{
    MicroUsd, Spec,
    catalogue::{Catalogue, Model},
    price::{self, Counted, Estimate, Terms},
    spec::Operation,
};
use serde::Serialize;

use super::{
    known,
    part::{Count, Part},
};
use crate::exit::refused;

/// What is taken to be so.
#[derive(Debug)]
pub(super) struct Assumed<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) terms: Terms,
    /// Of the month.
    pub(super) days: u64,
    /// Characters of each prompt.
    pub(super) prompt_chars: u64,
    /// Of each request; with one it is an edit.
    pub(super) input_images: u64,
}

/// Images of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Entry {
    pub(super) model: String,
    pub(super) quality: String,
    pub(super) size: String,
    pub(super) per_day: Option<u64>,
    /// In the month.
    pub(super) images: u64,
    /// What one costs.
    pub(super) each: Estimate,
    pub(super) expected: MicroUsd,
    pub(super) ceiling: MicroUsd,
    /// Tokens of one, where they are what is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tokens: Option<Counted>,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Month {
    pub(super) entries: Vec<Entry>,
    pub(super) images: u64,
    pub(super) expected: MicroUsd,
    pub(super) ceiling: MicroUsd,
}

impl Assumed<'_> {
    /// Reckons the parts; what a later one leaves out is as in the first, unless it is of another model.
    pub(super) fn month(&self, first: &Part, more: &[Part]) -> anyhow::Result<Month> {
        let whole = more.iter().map(|part| completed(part, first));
        let entries: anyhow::Result<Vec<Entry>> =
            std::iter::once(first.clone()).chain(whole).map(|part| self.entry(part)).collect();
        let entries = entries?;
        let too_much = || refused("that is more money than can be counted");
        let mut sum = Estimate::default();
        for Entry { expected, ceiling, .. } in &entries {
            let part = Estimate { expected: *expected, ceiling: *ceiling, tokens: 0 };
            sum = sum.plus(part).ok_or_else(too_much)?;
        }
        let images = entries.iter().map(|entry| entry.images).sum();
        Ok(Month { entries, images, expected: sum.expected, ceiling: sum.ceiling })
    }

    fn entry(&self, part: Part) -> anyhow::Result<Entry> {
        let id = part.model.as_deref().unwrap_or_else(|| self.catalogue.default_model());
        let model = known(self.catalogue, id)?;
        let spec = self.spec(model, &part);
        if let Some(problem) = model.check(&spec).into_iter().next() {
            return Err(refused(format!("{}: {}", problem.field, problem.message)));
        }
        let unpriced = |error: price::Unpriced| refused(error.to_string());
        let each = price::estimate(model, &spec, self.terms).map_err(unpriced)?;
        let tokens = price::counted(model, &spec).map_err(unpriced)?;
        let (per_day, count, days) = match part.count {
            Count::PerDay(count) => (Some(count.get()), count.get(), self.days),
            Count::PerMonth(count) => (None, count.get(), 1),
        };
        let sum = price::monthly(each, count, days);
        let sum = sum.ok_or_else(|| refused("that is more money than can be counted"))?;
        let otherwise = |asked: Option<String>, default: &str| {
            asked.unwrap_or_else(|| if tokens.is_some() { "auto" } else { default }.to_owned())
        };
        Ok(Entry {
            model: id.to_owned(),
            quality: otherwise(spec.quality, price::DEFAULT_QUALITY),
            size: otherwise(spec.size, price::DEFAULT_SIZE),
            per_day,
            images: count * days,
            each,
            expected: sum.expected,
            ceiling: sum.ceiling,
            tokens,
        })
    }

    fn spec(&self, model: &Model, part: &Part) -> Spec {
        let input = "0".repeat(64);
        let edit = self.input_images > 0;
        Spec {
            model: model.id.clone(),
            operation: if edit { Operation::Edit } else { Operation::Generate },
            prompt: Some((0..self.prompt_chars).map(|_| 'x').collect()),
            inputs: (0..self.input_images).map(|_| input.clone()).collect(),
            size: part.size.clone(),
            quality: part.quality.clone(),
            ..Spec::default()
        }
    }
}

fn completed(part: &Part, first: &Part) -> Part {
    if part.model.is_some() && part.model != first.model {
        return part.clone();
    }
    Part {
        count: part.count,
        model: first.model.clone(),
        size: part.size.clone().or_else(|| first.size.clone()),
        quality: part.quality.clone().or_else(|| first.quality.clone()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use pictor_common::price::DAYS_OF_A_MONTH;

    use super::*;

    fn reckoned(first: &str, more: &[&str], change: impl Fn(&mut Assumed<'_>)) -> Result<Month, String> {
        let catalogue = Catalogue::embedded();
        let mut assumed = Assumed {
            catalogue: &catalogue,
            terms: Terms::on(date(2026, 11, 21)),
            days: DAYS_OF_A_MONTH,
            prompt_chars: 400,
            input_images: 0,
        };
        change(&mut assumed);
        let more: Vec<Part> = more.iter().map(|part| Part::parse(part).unwrap()).collect();
        assumed.month(&Part::parse(first).unwrap(), &more).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_part_leaves_out_is_as_in_the_first_unless_the_model_is_another() {
        let first = "per-day=40,model=dall-e-3,quality=hd,size=1024x1024";
        let month = reckoned(first, &["per-day=10,size=1024x1792", "per-month=5,model=dall-e-2"], |_| {});
        let month = month.unwrap();
        let told: Vec<_> = month
            .entries
            .iter()
            .map(|it| {
                (it.model.as_str(), it.quality.as_str(), it.size.as_str(), it.images, it.expected.to_string())
            })
            .collect();
        assert_eq!(
            told,
            [
                ("dall-e-3", "hd", "1024x1024", 1200, "$96.00".to_owned()),
                ("dall-e-3", "hd", "1024x1792", 300, "$36.00".to_owned()),
                ("dall-e-2", "standard", "1024x1024", 5, "$0.10".to_owned()),
            ]
        );
        assert_eq!((month.images, month.expected.to_string()), (1505, "$132.10".to_owned()));
    }

    #[test]
    fn prompts_and_input_images_count_where_tokens_do() {
        let first = "per-month=1000,model=gpt-image-2,quality=low,size=1024x1024";
        let plain = reckoned(first, &[], |_| {}).unwrap();
        assert_eq!(plain.expected, MicroUsd(1000 * (196 * 30 + 100 * 5)));
        let longer = reckoned(first, &[], |it| it.prompt_chars = 800).unwrap();
        assert_eq!(longer.expected.0 - plain.expected.0, 1000 * 100 * 5);
        let edits = reckoned(first, &[], |it| it.input_images = 2).unwrap();
        assert_eq!(edits.expected.0 - plain.expected.0, 1000 * (2 * 4500 * 8 + 32 * 5));
        assert!(edits.ceiling > edits.expected);
        let batch = reckoned(first, &[], |it| it.terms = it.terms.through_batch_api()).unwrap();
        assert_eq!(batch.expected.0 * 2, plain.expected.0);
        let flat = reckoned("per-day=300,model=dall-e-2,size=1024x1024", &[], |it| it.prompt_chars = 900);
        assert_eq!(flat.unwrap().ceiling.to_string(), "$180.00");
    }

    #[test]
    fn what_a_model_would_refuse_has_no_price() {
        let told = |first: &str| reckoned(first, &[], |_| {}).unwrap_err();
        assert_eq!(told("per-day=1,model=dalle-2"), "unknown model \"dalle-2\"; did you mean \"dall-e-2\"?");
        let size = "size: dall-e-2 makes 256x256, 512x512 or 1024x1024, not 9x9";
        assert_eq!(told("per-day=1,model=dall-e-2,size=9x9"), size);
        assert!(told("per-day=1,model=dall-e-3,quality=low").starts_with("quality: "));
        let edit = reckoned("per-day=1,model=dall-e-3", &[], |it| it.input_images = 1).unwrap_err();
        assert!(edit.starts_with("operation: dall-e-3 can generate"), "{edit}");
        let batch = reckoned("per-day=1,model=dall-e-2", &[], |it| it.terms = it.terms.through_batch_api());
        assert!(batch.unwrap_err().contains("no price for standard 1024x1024 through the provider's batch"));
    }
}
