//! Whose lines are meant: the batches that ask for what failed, and their tenants.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pictor_common::{AssetKey, batch::BatchId, queue::Queue};

use super::which::Filter;
use crate::{commands::batch_id, exit::refused};

/// Batches that are named, and tenants.
const NAMED: usize = 3;

/// Batches that ask, and their tenants; none for those that take nothing any more.
#[derive(Default)]
pub(super) struct Askers(HashMap<BatchId, Option<String>>);

impl Askers {
    /// The batches whose lines are meant, of those that ask for assets; in the order given.
    pub(super) async fn of(
        &mut self,
        keys: &[AssetKey],
        filter: &Filter,
        queue: &Queue,
    ) -> anyhow::Result<Vec<Vec<BatchId>>> {
        let mut all: Vec<Vec<BatchId>> = if let Some(batch) = &filter.batch {
            let batch = batch_id(batch)?;
            let asks = queue.asks(&batch, keys).await?;
            asks.into_iter().map(|asks| if asks { vec![batch.clone()] } else { Vec::new() }).collect()
        } else {
            let asking = queue.asking(keys).await?;
            asking.iter().map(|ids| ids.iter().filter_map(|id| id.parse().ok()).collect()).collect()
        };
        self.learn(&all, queue).await?;
        for batches in &mut all {
            batches.retain(|batch| {
                let tenant = self.0.get(batch).and_then(Option::as_ref);
                tenant.is_some_and(|tenant| filter.tenant.as_ref().is_none_or(|wanted| wanted == tenant))
            });
        }
        Ok(all)
    }

    async fn learn(&mut self, all: &[Vec<BatchId>], queue: &Queue) -> anyhow::Result<()> {
        let new: BTreeSet<&BatchId> = all.iter().flatten().filter(|id| !self.0.contains_key(id)).collect();
        let new: Vec<BatchId> = new.into_iter().cloned().collect();
        for state in queue.batch_states(&new).await? {
            let takes = state.state == "open" || state.state == "complete";
            self.0.insert(state.id.parse()?, takes.then_some(state.tenant));
        }
        Ok(())
    }

    /// The batches of each tenant, of those given.
    pub(super) fn by_tenant<'a>(
        &self,
        batches: impl Iterator<Item = &'a BatchId>,
    ) -> BTreeMap<String, BTreeSet<&'a BatchId>> {
        let mut by = BTreeMap::<String, BTreeSet<&BatchId>>::new();
        for batch in batches {
            if let Some(Some(tenant)) = self.0.get(batch) {
                by.entry(tenant.clone()).or_default().insert(batch);
            }
        }
        by
    }
}

/// What is meant for one tenant may not be wanted, nor paid for, by another: refused unless it was said for whom.
pub(super) fn only_one(tenants: &BTreeMap<String, BTreeSet<&BatchId>>, said: bool) -> anyhow::Result<()> {
    if said || tenants.len() < 2 {
        return Ok(());
    }
    let names: Vec<&str> = tenants.keys().map(String::as_str).collect();
    Err(refused(format!(
        "{} tenants ask for these ({}): say --tenant or --batch for those whose lines are to change; nothing was changed",
        names.len(),
        some(&names)
    )))
}

/// Batches and tenants, for people.
pub(super) fn told(tenants: &BTreeMap<String, BTreeSet<&BatchId>>) -> String {
    let of = |(tenant, batches): (&String, &BTreeSet<&BatchId>)| {
        let names: Vec<&str> = batches.iter().map(|batch| batch.as_str()).collect();
        let word = if names.len() == 1 { "batch" } else { "batches" };
        format!("{word} {} of tenant {tenant}", some(&names))
    };
    tenants.iter().map(of).collect::<Vec<_>>().join("; ")
}

fn some(names: &[&str]) -> String {
    let text = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_lines_change_is_said_and_asked_for_where_it_is_not_one_tenant() {
        let id = |text: &str| text.parse::<BatchId>().unwrap();
        let ids: Vec<BatchId> = ["a", "b", "c", "d", "mine", "gone"].map(id).into();
        let tenant = |n: usize| ["rival", "rival", "rival", "rival", "shop"].get(n).map(ToString::to_string);
        let askers = Askers(ids.iter().cloned().enumerate().map(|(n, id)| (id, tenant(n))).collect());
        let all = askers.by_tenant(ids.iter());
        assert_eq!(told(&all), "batches a, b, c and 1 more of tenant rival; batch mine of tenant shop");
        let error = only_one(&all, false).unwrap_err().to_string();
        assert!(
            error.starts_with("2 tenants ask for these (rival, shop): say --tenant or --batch"),
            "{error}"
        );
        only_one(&all, true).unwrap();
        only_one(&askers.by_tenant(ids[..4].iter()), false).unwrap();
    }
}
