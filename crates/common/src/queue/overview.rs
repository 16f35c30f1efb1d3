//! Everything that decides why batches wait, in five round trips however many assets there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{
    BatchState, Counter, LaneState, Queue, QueueError, TENANT_CAP, TENANT_DAY_CAP, TenantMoney, Totals,
    WorkerState, batches::take_batch, budget::counters, read::totals_of, replies::Replies, workers::alive,
};
use crate::{
    AssetKey, MicroUsd,
    batch::{Band, BatchId, Route},
};

/// Retries and doubts that are looked at to find a batch's own.
const LOOKED_AT: isize = 100;
/// Waiting assets whose ceilings stand for those of all.
const SAMPLED: usize = 32;
/// Tenants of a route, and flows of a tenant, that are counted.
const RIVALS: isize = 64;

/// Which batches are looked at.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// So many of the newest.
    Newest(usize),
    /// These.
    These(&'a [BatchId]),
}

/// The queue at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overview {
    /// When, µs since 1970 by Redis' clock.
    pub now: u64,
    /// Until when nothing is claimed, so that live workers re-assert their leases first.
    pub grace_until: Option<u64>,
    /// Nothing is claimed: it is not known what was spent before the namespace began.
    pub books_open: bool,
    /// Batches, newest first or as asked for.
    pub batches: Vec<BatchView>,
    /// Every lane ever declared, by name.
    pub lanes: Vec<LaneState>,
    /// Workers that are alive.
    pub workers: Vec<WorkerState>,
    /// Money in the namespace.
    pub money: Totals,
    /// Money of today, and what it is capped by.
    pub today: Counter,
    /// When the next day begins, µs since 1970.
    pub resets_at: u64,
    /// Money of the tenants whose caps hold a batch.
    pub tenants: Vec<TenantMoney>,
    /// How many failed and parked assets are listed.
    pub failures: u64,
    /// Assets that wait for another try.
    pub retries: u64,
}

/// A batch and what decides why it waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BatchView {
    /// The batch.
    pub state: BatchState,
    /// Where its assets wait; empty when it has ended.
    pub routes: Vec<RouteView>,
    /// Its assets among those that are tried again soonest.
    pub retries: Sample,
    /// Its assets among those whose outcome is in doubt longest.
    pub doubts: Sample,
}

/// A batch's place on one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteView {
    /// The route.
    pub route: String,
    /// Its assets that wait there.
    pub waiting: u64,
    /// What one of them takes, by a sample.
    pub head: Option<Head>,
    /// An earlier batch of the same tenant and band that goes first.
    pub behind: Option<String>,
    /// Waiting assets of all that go first.
    pub ahead: u64,
    /// Waiting assets of other tenants and bands, at most as many as are counted.
    pub rivals: u64,
    /// Tenants and bands that take turns here.
    pub sharers: u64,
    /// Its part of what the lanes can send while all of them have work: 0 to 1.
    pub share: f64,
}

/// What one asset of a batch takes, by a sample of those that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Head {
    /// The most that one request can cost, on average.
    pub ceiling: MicroUsd,
    /// The most among them.
    pub highest: MicroUsd,
    /// Tokens expected of one request, at most.
    pub tokens: u64,
}

/// Some of a batch's assets, found by looking at a bounded number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// How many were found.
    pub count: u64,
    /// The earliest moment among them, µs since 1970.
    pub first: Option<u64>,
    /// Whether more may exist than were looked at.
    pub more: bool,
}

impl BatchView {
    /// Assets that wait in the queue.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.routes.iter().map(|route| route.waiting).sum::<u64>().min(self.state.open_assets())
    }
}

impl Overview {
    /// Lanes that serve a route: those of the workers alive, or by their name when there are none.
    pub fn lanes_of<'a>(&'a self, route: &'a str) -> impl Iterator<Item = &'a LaneState> {
        let family = route.rsplit_once('.').map_or(route, |(family, _)| family);
        let told = self.workers.iter().flat_map(|worker| &worker.beat.lanes);
        let serving: BTreeSet<&str> = told
            .filter(|lane| lane.routes.iter().any(|served| served == route))
            .map(|lane| lane.lane.as_str())
            .collect();
        let nobody = self.workers.is_empty();
        self.lanes.iter().filter(move |lane| {
            let named = lane.name.strip_suffix(family).is_some_and(|account| account.ends_with('.'));
            if nobody { named } else { serving.contains(lane.name.as_str()) }
        })
    }

    /// A lane that serves a route, and for which a worker's API key was refused.
    #[must_use]
    pub fn refused_for(&self, route: &str) -> Option<&str> {
        let mut refused = self.workers.iter().flat_map(|worker| {
            worker.beat.lanes.iter().filter(|lane| worker.beat.refused.contains(&lane.lane))
        });
        let lane = refused.find(|lane| lane.routes.iter().any(|served| served == route))?;
        Some(&lane.lane)
    }

    /// Workers that take new work for a route.
    pub fn takers<'a>(&'a self, route: &'a str) -> impl Iterator<Item = &'a WorkerState> {
        self.workers.iter().filter(move |worker| {
            let serves = |lane: &super::LaneOffer| {
                lane.routes.iter().any(|served| served == route) && !worker.beat.refused.contains(&lane.lane)
            };
            !worker.beat.draining
                && !worker.beat.disk_full
                && worker.beat.other_profile.is_none()
                && worker.beat.lanes.iter().any(serves)
        })
    }
}

/// Assets by a time, as two of the queue's sets keep them.
type ByTime = Vec<(AssetKey, u64)>;

/// What the first round trip tells.
struct Base {
    overview: Overview,
    ids: Vec<BatchId>,
    lanes: Vec<String>,
    later: ByTime,
    doubt: ByTime,
}

impl Queue {
    /// Reads what decides why batches wait; the cost does not depend on how many assets there are.
    pub async fn overview(&self, which: Which<'_>) -> Result<Overview, QueueError> {
        let mut base = self.base(which).await?;
        self.states(&mut base).await?;
        let Base { mut overview, later, doubt, .. } = base;
        self.capped_tenants(&mut overview).await?;
        let sampled = self.places(&mut overview.batches).await?;
        self.samples(&mut overview.batches, &later, &doubt).await?;
        self.heads(&mut overview.batches, &sampled).await?;
        self.turns(&mut overview.batches).await?;
        Ok(overview)
    }

    async fn base(&self, which: Which<'_>) -> Result<Base, QueueError> {
        let newest = if let Which::Newest(limit) = which { limit } else { 0 };
        let keys = &self.keys;
        let mut pipe = redis::pipe();
        pipe.cmd("TIME")
            .hget(keys.meta(), "grace_until")
            .hexists(keys.meta(), "books")
            .hgetall(keys.budget())
            .hgetall(keys.workers());
        pipe.zcard(keys.failures()).zcard(keys.later()).smembers(keys.lanes());
        pipe.zrange_withscores(keys.later(), 0, LOOKED_AT - 1);
        pipe.zrange_withscores(keys.doubt(), 0, LOOKED_AT - 1);
        if let Some(last) = newest.checked_sub(1) {
            pipe.zrevrange(keys.batches(), 0, isize::try_from(last).unwrap_or(isize::MAX));
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let (seconds, micros): (u64, u64) = replies.take()?;
        let now = seconds * 1_000_000 + micros;
        let grace: Option<u64> = replies.take()?;
        let books: bool = replies.take()?;
        let purse: HashMap<String, String> = replies.take()?;
        let money = totals_of(&purse);
        let (day, resets_at) = self.today(now);
        let today = counters(&purse, &day).today;
        let workers = alive(&replies.take()?, now);
        let (failures, retries) = (replies.take()?, replies.take()?);
        let mut lanes: Vec<String> = replies.take()?;
        lanes.sort();
        let later = times(replies.take()?);
        let doubt = times(replies.take()?);
        let ids = match which {
            Which::These(ids) => ids.to_vec(),
            Which::Newest(0) => Vec::new(),
            Which::Newest(_) => {
                replies.take::<Vec<String>>()?.iter().filter_map(|id| id.parse().ok()).collect()
            }
        };
        let grace_until = grace.filter(|until| *until > now);
        let overview = Overview {
            now,
            grace_until,
            books_open: !books,
            workers,
            money,
            today,
            resets_at,
            failures,
            retries,
            ..Overview::default()
        };
        Ok(Base { overview, ids, lanes, later, doubt })
    }

    async fn states(&self, base: &mut Base) -> Result<(), QueueError> {
        let mut pipe = redis::pipe();
        for id in &base.ids {
            self.ask_batch(&mut pipe, id);
        }
        for lane in &base.lanes {
            pipe.hgetall(self.keys.lane(lane)).zcount(self.keys.inflight(lane), base.overview.now, "+inf");
        }
        let mut replies = Replies::of(&pipe, self).await?;
        for id in &base.ids {
            let state = take_batch(&mut replies, id)?;
            base.overview.batches.extend(state.map(|state| BatchView { state, ..BatchView::default() }));
        }
        for name in &base.lanes {
            let fields = replies.take()?;
            base.overview.lanes.push(LaneState::of(name.clone(), &fields, replies.take()?));
        }
        Ok(())
    }

    /// Money of tenants whose caps hold one of the batches.
    async fn capped_tenants(&self, overview: &mut Overview) -> Result<(), QueueError> {
        let held = |view: &&BatchView| {
            view.state.held.as_deref().is_some_and(|held| held == TENANT_CAP || held == TENANT_DAY_CAP)
        };
        let capped = overview.batches.iter().filter(held).map(|view| view.state.tenant.clone());
        let tenants: BTreeSet<String> = capped.collect();
        let mut pipe = redis::pipe();
        for tenant in &tenants {
            pipe.hgetall(self.keys.tenant(tenant));
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let (day, _) = self.today(overview.now);
        for tenant in tenants {
            overview.tenants.push(TenantMoney { tenant, money: counters(&replies.take()?, &day) });
        }
        Ok(())
    }

    /// How much waits where; returns some of the assets that do, a list for each place.
    async fn places(&self, batches: &mut [BatchView]) -> Result<Vec<Vec<AssetKey>>, QueueError> {
        let mut pipe = redis::pipe();
        for (view, id) in open(batches) {
            for route in &view.state.routes {
                let flow = self.keys.flow(&Route::named(route), &id);
                pipe.zcard(&flow).cmd("ZRANDMEMBER").arg(&flow).arg(SAMPLED);
            }
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let mut sampled = Vec::new();
        for (view, _) in open(batches) {
            for route in view.state.routes.clone() {
                let waiting = replies.take()?;
                let some: Vec<String> = replies.take()?;
                sampled.push(some.into_iter().filter_map(|key| AssetKey::try_from(key).ok()).collect());
                view.routes.push(RouteView { route, waiting, ..RouteView::default() });
            }
        }
        Ok(sampled)
    }

    /// Whose the assets are that are tried again soonest, or are in doubt longest.
    async fn samples(
        &self,
        batches: &mut [BatchView],
        later: &ByTime,
        doubt: &ByTime,
    ) -> Result<(), QueueError> {
        if batches.iter().all(|view| view.state.ended()) {
            return Ok(());
        }
        let keys: Vec<AssetKey> = later.iter().chain(doubt).map(|(key, _)| key.clone()).collect();
        let askers = self.asking(&keys).await?;
        let (of_later, of_doubt) = askers.split_at(later.len());
        for (view, id) in open(batches) {
            view.retries = sample(later, of_later, &id);
            view.doubts = sample(doubt, of_doubt, &id);
        }
        Ok(())
    }

    async fn heads(&self, batches: &mut [BatchView], sampled: &[Vec<AssetKey>]) -> Result<(), QueueError> {
        let mut pipe = redis::pipe();
        for key in sampled.iter().flatten() {
            pipe.hmget(self.keys.asset(key), &["ceiling", "tokens"]);
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let places = batches.iter_mut().flat_map(|view| &mut view.routes);
        for (place, keys) in places.zip(sampled) {
            let mut found = Vec::with_capacity(keys.len());
            for _ in keys {
                let (ceiling, tokens): (Option<u64>, Option<u64>) = replies.take()?;
                found.extend(ceiling.map(|ceiling| (ceiling, tokens.unwrap_or(0))));
            }
            let all: u64 = found.iter().map(|(ceiling, _)| ceiling).sum();
            place.head = (!found.is_empty()).then(|| Head {
                ceiling: MicroUsd(all / found.len() as u64),
                highest: MicroUsd(found.iter().map(|(ceiling, _)| *ceiling).max().unwrap_or(0)),
                tokens: found.iter().map(|(_, tokens)| *tokens).max().unwrap_or(0),
            });
        }
        Ok(())
    }

    /// Who takes turns with whom, and who goes first.
    async fn turns(&self, batches: &mut [BatchView]) -> Result<(), QueueError> {
        let routes = batches.iter().flat_map(|view| &view.routes).map(|place| place.route.clone()).collect();
        let flows = self.flows_on(&routes).await?;
        for view in batches {
            let member = format!("{}|{}", view.state.tenant, view.state.band);
            for place in &mut view.routes {
                place.take_turns(&view.state.id, &member, &flows);
            }
        }
        Ok(())
    }

    async fn flows_on(&self, routes: &BTreeSet<String>) -> Result<Flows, QueueError> {
        let mut pipe = redis::pipe();
        for route in routes {
            pipe.zrange(self.keys.route(&Route::named(route)), 0, RIVALS - 1);
        }
        let mut replies = Replies::of(&pipe, self).await?;
        let mut flows = Flows::new();
        for route in routes {
            let members: Vec<String> = replies.take()?;
            flows.extend(members.into_iter().map(|member| ((route.clone(), member), Vec::new())));
        }
        let mut pipe = redis::pipe();
        for (route, member) in flows.keys() {
            pipe.zrange(self.keys.flows(route, member), 0, RIVALS - 1);
        }
        let mut replies = Replies::of(&pipe, self).await?;
        for list in flows.values_mut() {
            let batches: Vec<String> = replies.take()?;
            list.extend(batches.iter().filter_map(|id| Some((id.parse().ok()?, 0))));
        }
        let mut pipe = redis::pipe();
        for ((route, _), list) in &flows {
            for (batch, _) in list {
                pipe.zcard(self.keys.flow(&Route::named(route), batch));
            }
        }
        let mut replies = Replies::of(&pipe, self).await?;
        for (_, count) in flows.values_mut().flatten() {
            *count = replies.take()?;
        }
        Ok(flows)
    }
}

/// Flows and what waits in them, in their order, by route and `tenant|band`.
type Flows = BTreeMap<(String, String), Vec<(BatchId, u64)>>;

impl RouteView {
    fn take_turns(&mut self, batch: &str, own: &str, flows: &Flows) {
        let mut weights = weight(own);
        self.sharers = 1;
        for ((route, member), list) in flows {
            let waiting: u64 = list.iter().map(|(_, count)| count).sum();
            if *route != self.route || waiting == 0 {
                continue;
            }
            if member != own {
                weights += weight(member);
                self.sharers += 1;
                self.rivals += waiting;
            } else if list.iter().any(|(id, _)| id.as_str() == batch) {
                let earlier = list.iter().take_while(|(id, _)| id.as_str() != batch);
                let earlier: Vec<_> = earlier.filter(|(_, count)| *count > 0).collect();
                self.behind = earlier.first().map(|(id, _)| id.to_string());
                self.ahead = earlier.iter().map(|(_, count)| count).sum();
            }
        }
        self.share = weight(own) / weights;
    }
}

/// Weight of a tenant's band, as the fair queue has it.
fn weight(member: &str) -> f64 {
    let band = member.rsplit_once('|').map_or("", |(_, band)| band);
    let known = [Band::Interactive, Band::Normal, Band::Bulk].into_iter().find(|b| b.as_str() == band);
    known.unwrap_or_default().weight()
}

fn open(batches: &mut [BatchView]) -> impl Iterator<Item = (&mut BatchView, BatchId)> {
    batches.iter_mut().filter(|view| !view.state.ended()).filter_map(|view| {
        let id = view.state.id.parse().ok()?;
        Some((view, id))
    })
}

/// Assets with their times; of `token key` the key.
fn times(scored: Vec<(String, f64)>) -> ByTime {
    let key = |name: &str| AssetKey::try_from(name.rsplit(' ').next()?.to_owned()).ok();
    scored.iter().filter_map(|(name, at)| Some((key(name)?, *at as u64))).collect()
}

fn sample(among: &ByTime, askers: &[Vec<String>], batch: &BatchId) -> Sample {
    let asked = among.iter().zip(askers).filter(|(_, ids)| ids.iter().any(|id| id == batch.as_str()));
    let mine: Vec<u64> = asked.map(|((_, at), _)| *at).collect();
    Sample { count: mine.len() as u64, first: mine.first().copied(), more: among.len() >= LOOKED_AT as usize }
}
