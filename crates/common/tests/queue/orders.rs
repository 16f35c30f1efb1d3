//! Whatever happens in whatever order: no cap is exceeded, each micro-dollar is counted once, every batch ends.

use std::{collections::BTreeMap, time::Duration};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{BatchHead, NewAsset},
    queue::{
        Begun, Billed, CapOf, Failure, FailureAction, Grant, HeldAsset, HeldPhase, LedgerEntry, MODERATION,
        Offer, Outcome, Parted, Redo, Replacement, Retired, Unmade,
    },
};
use redis::AsyncCommands as _;

use crate::{
    ending::{doubt, settle},
    swapping::{OTHER, other, other_grants},
    world::{LEASE, World, asset, attempt, head, held, id, line, unmade},
};

const ROWS: u64 = 4;
const NOW: Outcome = Outcome::Retry(Duration::ZERO);

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// What a worker has in hand.
#[derive(Clone, Debug)]
struct Hand {
    grant: Grant,
    sent: bool,
}

struct Tale {
    world: World,
    dice: Dice,
    hands: Vec<Hand>,
    batches: Vec<(BatchHead, Vec<NewAsset>)>,
    submitted: u64,
    /// Renewals under way.
    renewals: Vec<HeldAsset>,
    /// What happened, for whoever reads a failure.
    told: Vec<String>,
}

type Fields = BTreeMap<String, String>;

fn amount(fields: &Fields, name: &str) -> i64 {
    fields.get(name).map_or(0, |text| text.parse().unwrap())
}

impl Tale {
    async fn begin(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let world = World::new().await;
        for (of, least) in [
            (CapOf::Total, 60_000),
            (CapOf::Day, 60_000),
            (CapOf::Tenant("shop".into()), 40_000),
            (CapOf::TenantDay("rival".into()), 40_000),
        ] {
            if dice.once_in(2) {
                let more = 1_000 * u64::try_from(dice.below(80)).unwrap();
                world.cap(of, Some(MicroUsd(least + more))).await;
            }
        }
        let (hands, batches, renewals) = (Vec::new(), Vec::new(), Vec::new());
        Self { world, dice, hands, batches, submitted: 0, renewals, told: Vec::new() }
    }

    async fn hash(&self, name: &str) -> Fields {
        let name = format!("{}{name}", self.world.queue.keys().prefix());
        self.world.redis.clone().hgetall(name).await.unwrap()
    }

    async fn submit(&mut self) {
        let n = self.batches.len();
        self.submitted += 1;
        let tenant = if self.dice.once_in(2) { "shop" } else { "rival" };
        let fallback =
            [None, Some(OTHER.to_owned()), Some("dall-e-2".to_owned())][self.dice.below(3)].clone();
        let cap = self.dice.once_in(4).then_some(MicroUsd(50_000));
        let head = BatchHead { fallback, cap, ..head(&format!("b{}", self.submitted), tenant) };
        let mut assets = Vec::new();
        for row in 0..ROWS {
            if self.dice.once_in(2) {
                assets.push(asset(row));
            }
            if self.dice.once_in(3) {
                assets.push(other(row));
            }
        }
        if !assets.is_empty() {
            self.batches.push((head, assets));
            self.send_in(n).await;
        }
    }

    async fn send_in(&mut self, n: usize) {
        let retry = self.dice.once_in(3);
        let (head, assets) = &self.batches[n];
        let assets: Vec<_> = (1..).zip(assets.iter().cloned()).collect();
        let lines: Vec<_> = assets.iter().map(|(row, asset)| line(*row, asset)).collect();
        let queue = &self.world.queue;
        // In two chunks, and perhaps killed between them.
        let half = lines.len().div_ceil(2);
        if let Err(_cancelled) = queue.submit(head, &assets[..half], &lines[..half], retry).await {
            return;
        }
        if half < lines.len() && !self.dice.once_in(5) {
            queue.submit(head, &assets[half..], &lines[half..], retry).await.unwrap();
        }
        let all = u64::try_from(lines.len()).unwrap();
        let _short = queue.seal(&head.id, all).await;
    }

    async fn claim(&mut self) {
        let free = 1 + self.dice.below(3);
        let grants = if self.dice.once_in(2) {
            self.world.claim(free).await.grants
        } else {
            other_grants(&self.world, free).await
        };
        self.hands.extend(grants.into_iter().map(|grant| Hand { grant, sent: false }));
    }

    async fn send(&mut self, at: usize) {
        if self.hands[at].sent {
            return;
        }
        let grant = self.hands[at].grant.clone();
        match self.world.queue.begin(&grant.key, &grant.token, Duration::ZERO, LEASE).await.unwrap() {
            Begun::Go { .. } => self.hands[at].sent = true,
            Begun::Wait(_) => {}
            Begun::No(_) => drop(self.hands.remove(at)),
        }
    }

    async fn end(&mut self, at: usize) {
        let Hand { grant, sent } = self.hands.remove(at);
        if !sent {
            let pair = (grant.key.clone(), grant.token.clone());
            self.world.queue.release(&[pair]).await.unwrap();
            return;
        }
        let how = self.dice.below(9);
        let cost = grant.ceiling.0 - u64::try_from(self.dice.below(9_000)).unwrap();
        // A lost reply has it said again.
        for _ in 0..=self.dice.below(2) {
            self.told.push(format!("  {} of {} ends: {how}", grant.token, &grant.key.as_str()[..6]));
            match how {
                0..=2 => drop(settle(&self.world, &grant, cost).await),
                3 => self.fail(&grant, Billed::Unknown, NOW, "timeout").await,
                4 => self.fail(&grant, Billed::Yes, NOW, "bad_answer").await,
                5 => self.fail(&grant, Billed::No, NOW, "server_error").await,
                6 => self.fail(&grant, Billed::No, Outcome::Failed, MODERATION).await,
                _ => self.part(&grant).await,
            }
        }
    }

    fn unmade<'a>(billed: Billed, cost: MicroUsd, outcome: Outcome, failure: &'a Failure) -> Unmade<'a> {
        Unmade { billed, cost, outcome, ..unmade(failure) }
    }

    async fn fail(&self, grant: &Grant, billed: Billed, outcome: Outcome, class: &str) {
        let failure = Failure { class: class.into(), ..Failure::default() };
        let cost = if billed == Billed::No { MicroUsd::ZERO } else { grant.ceiling };
        let unmade = Self::unmade(billed, cost, outcome, &failure);
        self.world.queue.fail(&attempt(grant), &unmade).await.unwrap();
    }

    /// The model cannot make it, and others may.
    async fn part(&self, grant: &Grant) {
        let failure = Failure { class: "model_not_found".into(), ..Failure::default() };
        let unmade = Self::unmade(Billed::No, MicroUsd::ZERO, Outcome::Failed, &failure);
        let mut offers = Vec::new();
        while let Parted::Wants(models) =
            self.world.queue.part(&attempt(grant), &unmade, &offers).await.unwrap()
        {
            for model in models {
                let same = |n: &u64| asset(*n).spec.prompt == grant.spec.prompt;
                let row = (0..ROWS).find(same).unwrap();
                let asset = if model == OTHER { other(row) } else { asset(row) };
                offers.push(Offer { model, asset: Some(asset) });
            }
        }
    }

    fn held(&self) -> Vec<HeldAsset> {
        let phase = |hand: &Hand| if hand.sent { HeldPhase::Sent } else { HeldPhase::Claimed };
        self.hands.iter().map(|hand| held(&hand.grant, phase(hand))).collect()
    }

    async fn renew(&mut self) {
        let held = self.held();
        let late = std::mem::replace(&mut self.renewals, held);
        self.world.queue.extend(&late, LEASE).await.unwrap();
        if self.dice.once_in(2) {
            let now = std::mem::take(&mut self.renewals);
            self.world.queue.extend(&now, LEASE).await.unwrap();
        }
    }

    async fn reap(&mut self) {
        let limit = if self.dice.once_in(2) { 1 } else { 100 };
        let orphans = self.world.queue.reap(limit).await.unwrap().orphans;
        for orphan in orphans {
            if orphan.last {
                self.told.push(format!("  {} is in doubt", orphan.attempt.token));
                doubt(&self.world, &orphan).await;
            }
        }
    }

    /// Tokens that ended are remembered for two minutes.
    async fn minutes_pass(&mut self) {
        self.renewals.clear();
        let mut redis = self.world.redis.clone();
        let pattern = format!("{}ended:*", self.world.queue.keys().prefix());
        let names: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
        if !names.is_empty() {
            let _: () = redis.del(names).await.unwrap();
        }
    }

    async fn step(&mut self) {
        let at = (!self.hands.is_empty()).then(|| self.dice.below(self.hands.len()));
        let what = self.dice.below(23);
        self.told.push(format!("{what} at {at:?}"));
        match (what, at) {
            (0 | 1, _) if self.batches.len() < 6 => self.submit().await,
            (2, _) if !self.batches.is_empty() => {
                let n = self.dice.below(self.batches.len());
                self.send_in(n).await;
            }
            (3..=6, _) => self.claim().await,
            (7..=9, Some(at)) => self.send(at).await,
            (10..=13, Some(at)) => self.end(at).await,
            (14, _) => self.renew().await,
            (15, _) => self.world.expire_leases().await,
            (16 | 17, _) => self.reap().await,
            (18, _) => self.minutes_pass().await,
            (19, Some(at)) if self.dice.once_in(2) => drop(self.hands.remove(at)),
            (19.., _) => self.steer().await,
            _ => {}
        }
    }

    /// What a person does.
    async fn steer(&mut self) {
        let keys: Vec<AssetKey> =
            self.batches.iter().flat_map(|(_, all)| all).map(|a| a.key.clone()).collect();
        match self.dice.below(8) {
            5 | 6 => self.redo().await,
            7 => self.retire().await,
            0 if !self.batches.is_empty() => {
                let n = self.dice.below(self.batches.len());
                let _ended = self.world.queue.cancel(&self.batches[n].0.id, "changed our mind").await;
            }
            1 => drop(
                self.world
                    .queue
                    .act_on_failures(&keys[..keys.len().min(1)], FailureAction::Discard)
                    .await
                    .unwrap(),
            ),
            2 => self.replace(&keys).await,
            _ => drop(self.world.queue.act_on_failures(&keys, FailureAction::Retry).await.unwrap()),
        }
    }

    /// A person has another asset made for some of those who ask.
    async fn replace(&mut self, keys: &[AssetKey]) {
        let failed = self.world.queue.failed_at(keys).await.unwrap();
        if failed.is_empty() {
            return;
        }
        let original = failed[self.dice.below(failed.len())].clone();
        let row = u64::try_from(self.dice.below(4)).unwrap();
        let current = if self.dice.once_in(2) { asset(row) } else { other(row) };
        let batches = self.batches.iter().map(|(head, _)| head.id.clone());
        let dice = &mut self.dice;
        let batches: Vec<_> = batches.filter(|_| dice.once_in(2)).collect();
        let one = Replacement {
            how: String::new(),
            original,
            parked: self.dice.once_in(2),
            batches,
            current,
            free: false,
        };
        let became = self.world.queue.replace(&[one]).await.unwrap();
        self.told.push(format!("  replaced: {became:?}"));
    }

    /// A person wants another take of what is made, or an earlier one.
    async fn redo(&mut self) {
        let mut made = Vec::new();
        for (head, assets) in &self.batches {
            let keys: Vec<AssetKey> = assets.iter().map(|asset| asset.key.clone()).collect();
            let others = self.world.queue.stand_ins(&head.id, &keys).await.unwrap();
            for ((row, asked), other) in (1..).zip(assets).zip(others) {
                let from = other.unwrap_or_else(|| asked.key.clone());
                if self.world.phase(&from).await == "done" || self.dice.once_in(8) {
                    made.push((head.id.clone(), row, asked.clone(), from));
                }
            }
        }
        if made.is_empty() {
            return;
        }
        let (batch, row, asked, from) = made.swap_remove(self.dice.below(made.len()));
        let take = u32::try_from(self.dice.below(4)).unwrap();
        let spec = Spec { take, ..asked.spec.clone() };
        let to = NewAsset { key: AssetKey::of(&spec), spec, ..asked.clone() };
        let back = take == 0 || self.dice.once_in(4);
        let one = Redo { asked: asked.key, row, from, to, most: 3, back, free: false };
        let became = self.world.queue.redo(&batch, &one).await.unwrap();
        self.told.push(format!("  redone in {batch}: {became:?}"));
    }

    /// A batch that is long over is forgotten, with who asked for what failed in it.
    async fn retire(&mut self) {
        let mut over = Vec::new();
        for (n, (head, _)) in self.batches.iter().enumerate() {
            let state = self.world.queue.batch(&head.id).await.unwrap();
            over.extend(state.filter(|state| state.state == "complete").map(|state| (n, state)));
        }
        if over.is_empty() {
            return;
        }
        let (n, state) = over.swap_remove(self.dice.below(over.len()));
        let (head, assets) = self.batches[n].clone();
        let keys: Vec<AssetKey> = assets.into_iter().map(|asset| asset.key).collect();
        let others = self.world.queue.stand_ins(&head.id, &keys).await.unwrap();
        let has: Vec<AssetKey> =
            keys.into_iter().zip(others).map(|(key, other)| other.unwrap_or(key)).collect();
        assert!(self.world.queue.take_retiring_turn("w1").await.unwrap());
        if self.world.queue.retire_batch("w1", &state, &has).await.unwrap() != Retired::Changed {
            self.told.push(format!("  {} is forgotten", head.id));
            self.batches.remove(n);
        }
    }

    /// What is true at any time.
    async fn check(&self) {
        let reservations = self.hash("reservations").await;
        let mut aside = BTreeMap::<String, i64>::new();
        for text in reservations.values() {
            let of: serde_json::Value = serde_json::from_str(text).unwrap();
            let amount: i64 = of["amount"].as_str().unwrap().parse().unwrap();
            let tenant = format!("tenant:{}", of["tenant"].as_str().unwrap());
            let batch = format!("batch:{}", of["payer"].as_str().unwrap());
            for purse in ["budget".to_owned(), tenant, batch] {
                *aside.entry(purse).or_default() += amount;
            }
        }
        let mut spent = BTreeMap::<String, i64>::new();
        for (_, LedgerEntry { kind, cost, tenant, batch, .. }) in
            self.world.queue.ledger("-", 10_000).await.unwrap()
        {
            let cost: i64 = cost.parse().unwrap();
            let cost = if kind == "resolved" { -cost } else { cost };
            for purse in ["budget".to_owned(), format!("tenant:{tenant}"), format!("batch:{batch}")] {
                *spent.entry(purse).or_default() += cost;
            }
        }
        let day = self.world.queue.budget().await.unwrap().day;
        let mut purses = vec!["budget".to_owned(), "tenant:shop".to_owned(), "tenant:rival".to_owned()];
        purses.extend(self.batches.iter().map(|(head, _)| format!("batch:{}", head.id)));
        for name in purses {
            let fields = self.hash(&name).await;
            let of = |map: &BTreeMap<String, i64>| map.get(&name).copied().unwrap_or(0);
            let is = (amount(&fields, "spent"), amount(&fields, "reserved"));
            assert_eq!(is, (of(&spent), of(&aside)), "{name}: {fields:?}");
            for (cap, suffix) in [("cap", String::new()), ("cap:day", format!(":{day}"))] {
                let counted = amount(&fields, &format!("spent{suffix}"))
                    + amount(&fields, &format!("reserved{suffix}"));
                if fields.contains_key(cap) {
                    assert!(counted <= amount(&fields, cap), "{name} has {counted} of {cap}: {fields:?}");
                }
            }
            for count in ["done", "failed", "parked", "doubled", "unknown"] {
                assert!(amount(&fields, count) >= 0, "{name} has {count}: {fields:?}");
            }
        }
    }

    /// Lets everything go on to its end.
    async fn finish(&mut self) {
        for of in [CapOf::Total, CapOf::Day, CapOf::Tenant("shop".into()), CapOf::TenantDay("rival".into())] {
            self.world.cap(of, None).await;
        }
        for (head, _) in self.batches.clone() {
            self.world
                .queue
                .set_caps(
                    pictor_common::queue::Setter::Person,
                    "ann@desk",
                    "",
                    &[(CapOf::Batch(head.id.to_string()), None)],
                )
                .await
                .unwrap();
        }
        for n in 0..self.batches.len() {
            let (head, assets) = self.batches[n].clone();
            let head = BatchHead { cap: None, ..head };
            let assets: Vec<_> = (1..).zip(assets).collect();
            let lines: Vec<_> = assets.iter().map(|(row, asset)| line(*row, asset)).collect();
            let half = lines.len().div_ceil(2);
            for part in [0..half, half..lines.len()] {
                if !part.is_empty() {
                    let _cancelled =
                        self.world.queue.submit(&head, &assets[part.clone()], &lines[part], false).await;
                }
            }
            let _sealed = self.world.queue.seal(&head.id, u64::try_from(lines.len()).unwrap()).await;
        }
        for _round in 0..60 {
            self.world.expire_leases().await;
            self.reap().await;
            for _ in 0..4 {
                self.claim().await;
            }
            while let Some(hand) = self.hands.pop() {
                let begun = hand.sent || matches!(self.world.begin(&hand.grant).await, Begun::Go { .. });
                if begun {
                    settle(&self.world, &hand.grant, 10_000).await;
                }
            }
        }
    }

    async fn check_end(&self) {
        assert_eq!(self.world.queue.totals().await.unwrap().reserved, MicroUsd::ZERO);
        for (head, assets) in &self.batches {
            let fields = self.hash(&format!("batch:{}", head.id)).await;
            let state = fields.get("state").map_or("", String::as_str);
            if state == "cancelled" {
                continue;
            }
            let keys: Vec<AssetKey> = assets.iter().map(|asset| asset.key.clone()).collect();
            let others = self.world.queue.stand_ins(&id(&head.id.to_string()), &keys).await.unwrap();
            let mut phases = BTreeMap::new();
            for (key, other) in keys.iter().zip(others) {
                let has = other.unwrap_or_else(|| key.clone());
                phases.insert(has.to_string(), self.world.phase(&has).await);
            }
            assert_eq!(state, "complete", "{}: {fields:?} of {phases:?}", head.id);
            let counted = ["done", "failed", "parked", "doubled"].map(|name| amount(&fields, name));
            assert_eq!(
                counted.iter().sum::<i64>(),
                i64::try_from(keys.len()).unwrap(),
                "{fields:?} {phases:?}"
            );
            let are = |name: &str| {
                let count = phases.values().filter(|phase| *phase == name).count();
                i64::try_from(count).unwrap()
            };
            // What two lines have is counted once, and once as had twice; of what is made nobody knows who asked.
            let told = format!("{}: {fields:?} {phases:?}", head.id);
            assert_eq!([are("failed"), are("parked")], counted[1..3], "{told}");
            assert!(are("done") <= counted[0], "{told}");
            assert!(counted[3] > 0 || phases.len() < keys.len() || are("done") == counted[0], "{told}");
        }
    }
}

/// Says what happened before a failure.
struct Teller(u64, std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl Drop for Teller {
    #[expect(clippy::print_stdout, reason = "shown where the test has failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told = self.1.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            println!("seed {}:\n{}", self.0, told.join("\n"));
        }
    }
}

#[tokio::test]
async fn any_order_of_events_keeps_the_books_and_the_counts() {
    for seed in 1..=40 {
        let mut tale = Tale::begin(seed).await;
        let told = std::sync::Arc::default();
        let _teller = Teller(seed, std::sync::Arc::clone(&told));
        for _ in 0..70 {
            tale.step().await;
            told.lock().unwrap().append(&mut tale.told);
            tale.check().await;
            crate::failing::lists_are_right(&tale.world).await;
        }
        tale.finish().await;
        tale.check().await;
        tale.check_end().await;
    }
}
