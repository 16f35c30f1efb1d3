//! Fallback to another model: who gets what stands in, who keeps the failure, and what is never left to another model.

use std::time::Duration;

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{BatchHead, Made, NewAsset, Route},
    queue::{
        BatchState, Billed, CapOf, Claim, Ended, Failure, FailureAction, Grant, LaneLimits, LaneOffer,
        MODERATION, Offer, Outcome, Parted, Settled, Submitted, Unmade,
    },
    spec::Operation,
};

use redis::AsyncCommands as _;

use crate::{
    ending::{refuse, settle, unknown},
    world::{World, asset, attempt, head, id, key, line, route, unmade},
};

pub(crate) const OTHER: &str = "dall-e-3";
pub(crate) const OTHER_LANE: &str = "acme.dall-e-3";
const NOW: Outcome = Outcome::Retry(Duration::ZERO);

fn other_of(model: &str, n: u64) -> NewAsset {
    let spec = Spec { model: model.into(), ..asset(n).spec };
    let route = Route::new(model, Operation::Generate);
    NewAsset { key: AssetKey::of(&spec), spec, route, ceiling: MicroUsd(40_000), tokens: 7, made: None }
}

pub(crate) fn other(n: u64) -> NewAsset {
    other_of(OTHER, n)
}

fn offers(n: u64) -> [Offer; 1] {
    [Offer { model: OTHER.into(), asset: Some(other(n)) }]
}

pub(crate) fn swaps(batch: &str) -> BatchHead {
    BatchHead { fallback: Some(OTHER.into()), ..head(batch, "shop") }
}

async fn submit(world: &World, head: &BatchHead, assets: &[NewAsset]) -> Submitted {
    submit_again(world, head, assets, false).await
}

async fn submit_again(world: &World, head: &BatchHead, assets: &[NewAsset], retry_failed: bool) -> Submitted {
    let assets: Vec<_> = (1..).zip(assets.iter().cloned()).collect();
    let lines: Vec<_> = assets.iter().map(|(row, asset)| line(*row, asset)).collect();
    let sums = world.queue.submit(head, &assets, &lines, retry_failed).await.unwrap();
    world.queue.seal(&head.id, lines.len() as u64).await.unwrap();
    sums
}

/// Claims on the lane of the other model.
pub(crate) async fn other_grants(world: &World, free: usize) -> Vec<Grant> {
    world.queue.declare_lane(OTHER_LANE, &LaneLimits::default()).await.unwrap();
    let offer = LaneOffer { lane: OTHER_LANE.into(), routes: vec![other(0).route.to_string()] };
    let claim = Claim { lanes: vec![offer], ..world.claim_request(free) };
    world.queue.claim(&claim).await.unwrap().grants
}

async fn end(world: &World, grant: &Grant, class: &str, offers: &[Offer]) -> Parted {
    let failure = Failure { class: class.into(), model: grant.spec.model.clone(), ..Failure::default() };
    world.queue.part(&attempt(grant), &unmade(&failure), offers).await.unwrap()
}

/// The model is gone; what was asked for is left to the other one.
pub(crate) async fn gone(world: &World, grant: &Grant, n: u64) -> Parted {
    end(world, grant, "model_not_found", &offers(n)).await
}

async fn state(world: &World, batch: &str) -> BatchState {
    world.queue.batch(&id(batch)).await.unwrap().unwrap()
}

/// Done, failed, left to another model, still open; and the state.
async fn stands(world: &World, batch: &str) -> (u64, u64, u64, u64, String) {
    let batch = state(world, batch).await;
    (batch.counts.done, batch.counts.failed, batch.substituted, batch.open_assets(), batch.state)
}

fn is(done: u64, failed: u64, substituted: u64, open: u64, state: &str) -> (u64, u64, u64, u64, String) {
    (done, failed, substituted, open, state.to_owned())
}

#[tokio::test]
async fn another_model_makes_it_and_the_lines_follow() {
    let world = World::new().await;
    submit(&world, &swaps("b"), &[asset(1)]).await;
    let grant = world.sent().await;
    let failed = end(&world, &grant, "model_not_found", &[]).await;
    assert_eq!(failed, Parted::Wants(vec![OTHER.into()]));
    assert_eq!(world.phase(&key(1)).await, "sent", "nothing was recorded yet");
    assert_eq!(gone(&world, &grant, 1).await, Parted::Ended(Ended::Substituted));
    assert_eq!(gone(&world, &grant, 1).await, Parted::Ended(Ended::Lost), "said twice, done once");
    assert_eq!(
        (world.phase(&key(1)).await, world.queue.failure_count().await.unwrap()),
        ("substituted".into(), 0)
    );
    assert_eq!(stands(&world, "b").await, is(0, 0, 1, 1, "open"));
    let totals = world.queue.totals().await.unwrap();
    assert_eq!(
        (totals.spent.0, totals.reserved.0),
        (0, 0),
        "money is set aside when the other one is claimed"
    );

    let grants = other_grants(&world, 5).await;
    assert_eq!(grants.len(), 1);
    assert_eq!(
        (&grants[0].key, &grants[0].spec, grants[0].ceiling),
        (&other(1).key, &other(1).spec, MicroUsd(40_000))
    );
    assert_eq!(world.queue.totals().await.unwrap().reserved.0, 40_000);
    world.begin(&grants[0]).await;
    assert_eq!(settle(&world, &grants[0], 40_000).await, Settled::Done);
    assert_eq!(stands(&world, "b").await, is(1, 0, 1, 0, "complete"));
    assert_eq!(world.queue.stand_ins(&id("b"), &[key(1), key(2)]).await.unwrap(), [Some(other(1).key), None]);
    assert_eq!(world.queue.members(&id("b"), 0, 5).await.unwrap(), [other(1).key]);
    let told = world.queue.assets(&[key(1)]).await.unwrap()[0].clone().unwrap();
    assert_eq!((told.stand_ins[0].model.as_str(), &told.stand_ins[0].key), (OTHER, &other(1).key));
    assert_eq!(told.failure.unwrap().class, "model_not_found");
    let asked = world.queue.asked(&other(1).key, &["b".to_owned()]).await.unwrap();
    assert_eq!(asked[0].line.as_ref().map(|line| line.row), Some(1));
}

#[tokio::test]
async fn who_does_not_allow_it_keeps_the_failure_and_may_retry() {
    for opted_in_first in [true, false] {
        let world = World::new().await;
        let plain = head("plain", "shop");
        let order = if opted_in_first { [swaps("b"), plain] } else { [plain, swaps("b")] };
        for head in &order {
            submit(&world, head, &[asset(1)]).await;
        }
        let grant = world.sent().await;
        assert_eq!(gone(&world, &grant, 1).await, Parted::Ended(Ended::Failed));
        assert_eq!(stands(&world, "b").await, is(0, 0, 1, 1, "open"));
        assert_eq!(stands(&world, "plain").await, is(0, 1, 0, 0, "complete"));
        assert_eq!(world.queue.act_on_failures(&[key(1)], FailureAction::Retry).await.unwrap(), 1);
        let again = world.sent().await;
        assert_eq!(again.payer, "plain", "who left it to another model does not pay for this one");
        settle(&world, &again, 20_000).await;
        assert_eq!(stands(&world, "plain").await, is(1, 0, 0, 0, "complete"));
        assert_eq!(stands(&world, "b").await, is(0, 0, 1, 1, "open"));
        settle(&world, &other_grants(&world, 5).await[0], 40_000).await;
        assert_eq!(stands(&world, "b").await, is(1, 0, 1, 0, "complete"));
        assert_eq!(
            (state(&world, "b").await.spent.0, state(&world, "plain").await.spent.0),
            (40_000, 20_000)
        );
    }
}

#[tokio::test]
async fn nothing_is_left_to_another_model_after_doubt_payment_or_a_refusal_on_content() {
    let world = World::new().await;
    submit(&world, &swaps("b"), &[asset(1)]).await;
    unknown(&world, &world.sent().await).await;
    assert_eq!(gone(&world, &world.sent().await, 1).await, Parted::Ended(Ended::Failed), "perhaps paid");

    submit(&world, &swaps("c"), &[asset(2)]).await;
    assert_eq!(end(&world, &world.sent().await, MODERATION, &[]).await, Parted::Wants(vec![OTHER.into()]));
    let world = World::new().await;
    submit(&world, &swaps("c"), &[asset(2)]).await;
    let refused = Failure { class: MODERATION.into(), ..Failure::default() };
    let unmade = |billed, outcome| Unmade {
        billed,
        cost: MicroUsd(if billed == Billed::No { 0 } else { 20_000 }),
        outcome,
        ..unmade(&refused)
    };
    let ended =
        world.queue.fail(&attempt(&world.sent().await), &unmade(Billed::No, Outcome::Failed)).await.unwrap();
    assert_eq!(ended, Ended::Failed);
    world.queue.act_on_failures(&[key(2)], FailureAction::Retry).await.unwrap();
    assert_eq!(
        gone(&world, &world.sent().await, 2).await,
        Parted::Ended(Ended::Failed),
        "refused for its content"
    );

    submit(&world, &swaps("d"), &[asset(3)]).await;
    world.queue.fail(&attempt(&world.sent().await), &unmade(Billed::Yes, NOW)).await.unwrap();
    assert_eq!(gone(&world, &world.sent().await, 3).await, Parted::Ended(Ended::Failed), "paid for");
    assert_eq!(
        (stands(&world, "c").await, stands(&world, "d").await),
        (is(0, 1, 0, 0, "complete"), is(0, 1, 0, 0, "complete"))
    );
    assert_eq!(world.phase(&other(3).key).await, "none");
}

#[tokio::test]
async fn what_stands_in_may_be_made_failed_or_under_way() {
    let world = World::new().await;
    let direct = head("direct", "shop");
    submit(&world, &direct, &[other(1), other(2), other(3)]).await;
    let grants = other_grants(&world, 3).await;
    settle(&world, &grants[0], 40_000).await;
    end(&world, &grants[1], "model_not_found", &[]).await;
    submit(&world, &swaps("b"), &[asset(1), asset(2), asset(3), asset(4)]).await;
    for n in 1..=3 {
        assert_eq!(gone(&world, &world.sent().await, n).await, Parted::Ended(Ended::Substituted), "{n}");
    }
    // Only the store has what stands in for the fourth.
    let made = Some(Made { object: "o".into(), cost: MicroUsd(40_000), ..Made::default() });
    let stored = [Offer { model: OTHER.into(), asset: Some(NewAsset { made, ..other(4) }) }];
    assert_eq!(
        end(&world, &world.sent().await, "model_retired", &stored).await,
        Parted::Ended(Ended::Substituted)
    );
    assert_eq!(stands(&world, "b").await, is(2, 1, 4, 1, "open"));
    assert!(other_grants(&world, 5).await.is_empty(), "nothing is bought twice");
    settle(&world, &grants[2], 40_000).await;
    assert_eq!(stands(&world, "b").await, is(3, 1, 4, 0, "complete"));
    assert_eq!(stands(&world, "direct").await, is(2, 1, 0, 0, "complete"));
    assert_eq!(world.queue.act_on_failures(&[other(2).key], FailureAction::Retry).await.unwrap(), 1);
    let again = other_grants(&world, 5).await;
    settle(&world, &again[0], 40_000).await;
    assert_eq!(stands(&world, "b").await, is(4, 0, 4, 0, "complete"));
    assert_eq!(stands(&world, "direct").await, is(3, 0, 0, 0, "complete"));
}

#[tokio::test]
async fn a_batch_that_asks_for_both_counts_both() {
    for direct_first in [true, false] {
        let world = World::new().await;
        let mut assets = vec![asset(1), other(1)];
        if direct_first {
            submit(&world, &swaps("b"), &assets).await;
            assert_eq!(gone(&world, &world.sent().await, 1).await, Parted::Ended(Ended::Substituted));
        } else {
            // The rest of the batch comes after the first was left to the other model.
            let head = swaps("b");
            let second = assets.pop().unwrap();
            world
                .queue
                .submit(&head, &[(1, assets[0].clone())], &[line(1, &assets[0])], false)
                .await
                .unwrap();
            assert_eq!(gone(&world, &world.sent().await, 1).await, Parted::Ended(Ended::Substituted));
            let sums =
                world.queue.submit(&head, &[(2, second.clone())], &[line(2, &second)], false).await.unwrap();
            assert_eq!((sums.queued, sums.new), (1, 0));
            world.queue.seal(&head.id, 2).await.unwrap();
        }
        assert_eq!(stands(&world, "b").await, is(0, 0, 1, 1, "open"));
        assert_eq!(state(&world, "b").await.assets, 1);
        let grants = other_grants(&world, 5).await;
        assert_eq!(grants.len(), 1);
        settle(&world, &grants[0], 40_000).await;
        assert_eq!(stands(&world, "b").await, is(1, 0, 1, 0, "complete"));
    }
}

#[tokio::test]
async fn who_asks_later_joins_what_stands_in_or_has_the_failure() {
    let world = World::new().await;
    submit(&world, &swaps("b"), &[asset(1)]).await;
    gone(&world, &world.sent().await, 1).await;
    let phases = world.queue.stand_in_phases(&[&key(1), &key(2)], OTHER).await.unwrap();
    assert_eq!(phases, [Some("ready".to_owned()), None]);
    assert_eq!(
        submit(&world, &swaps("later"), &[asset(1)]).await,
        Submitted { queued: 1, ..Submitted::default() }
    );
    assert_eq!(submit(&world, &head("plain", "shop"), &[asset(1)]).await.failed, 1);
    assert_eq!(world.phase(&key(1)).await, "failed", "somebody has the failure now");
    assert_eq!(stands(&world, "plain").await, is(0, 1, 0, 0, "complete"));
    assert_eq!(submit(&world, &swaps("later"), &[asset(1)]).await.queued, 1, "again, nothing changes");
    assert_eq!(stands(&world, "later").await, is(0, 0, 1, 1, "open"));
    settle(&world, &other_grants(&world, 5).await[0], 40_000).await;
    for batch in ["b", "later"] {
        assert_eq!(stands(&world, batch).await, is(1, 0, 1, 0, "complete"), "{batch}");
    }
    assert_eq!(submit(&world, &swaps("last"), &[asset(1)]).await.made, 1);
    assert_eq!(stands(&world, "last").await, is(1, 0, 1, 0, "complete"));

    // Whoever wants the failure made again asks the first model again.
    let sums = submit_again(&world, &head("plain", "shop"), &[asset(1)], true).await;
    assert_eq!((sums.queued, world.sent().await.payer.as_str()), (1, "plain"));
}

#[tokio::test]
async fn a_failed_stand_in_is_made_again_by_who_submits_again() {
    let world = World::new().await;
    submit(&world, &swaps("b"), &[asset(1)]).await;
    gone(&world, &world.sent().await, 1).await;
    let grant = other_grants(&world, 1).await.remove(0);
    assert_eq!(
        end(&world, &grant, "model_not_found", &[]).await,
        Parted::Ended(Ended::Failed),
        "there is no third"
    );
    assert_eq!(stands(&world, "b").await, is(0, 1, 1, 0, "complete"));
    assert_eq!(submit(&world, &swaps("b"), &[asset(1)]).await.failed, 1);
    assert_eq!(submit_again(&world, &swaps("b"), &[asset(1)], true).await.queued, 1);
    assert_eq!(stands(&world, "b").await, is(0, 0, 1, 1, "open"));
    settle(&world, &other_grants(&world, 1).await[0], 40_000).await;
    assert_eq!(stands(&world, "b").await, is(1, 0, 1, 0, "complete"));
}

#[tokio::test]
async fn each_batch_has_its_own_fallback_and_a_model_that_cannot_is_none() {
    let world = World::new().await;
    let third = BatchHead { fallback: Some("third".into()), ..head("c", "shop") };
    let same = BatchHead { fallback: Some("dall-e-2".into()), ..head("same", "shop") };
    for head in [&swaps("b"), &third, &same] {
        submit(&world, head, &[asset(1)]).await;
    }
    let grant = world.sent().await;
    let wants = gone(&world, &grant, 1).await;
    assert_eq!(wants, Parted::Wants(vec!["third".into()]));
    let [offer] = offers(1);
    let both = [offer, Offer { model: "third".into(), asset: None }];
    assert_eq!(end(&world, &grant, "model_not_found", &both).await, Parted::Ended(Ended::Failed));
    assert_eq!(stands(&world, "b").await, is(0, 0, 1, 1, "open"));
    for batch in ["c", "same"] {
        assert_eq!(stands(&world, batch).await, is(0, 1, 0, 0, "complete"), "{batch}");
    }
}

#[tokio::test]
async fn a_late_image_of_the_first_model_is_kept_and_paid_once() {
    let world = World::new().await;
    submit(&world, &swaps("b"), &[asset(1)]).await;
    let grant = world.sent().await;
    gone(&world, &grant, 1).await;
    assert_eq!(settle(&world, &grant, 20_000).await, Settled::Done);
    assert_eq!(settle(&world, &grant, 20_000).await, Settled::Again);
    assert_eq!(
        (world.phase(&key(1)).await.as_str(), world.queue.totals().await.unwrap().spent.0),
        ("done", 20_000)
    );
    assert_eq!(stands(&world, "b").await, is(0, 0, 1, 1, "open"), "the lines stay with what stands in");
    settle(&world, &other_grants(&world, 1).await[0], 40_000).await;
    assert_eq!(stands(&world, "b").await, is(1, 0, 1, 0, "complete"));
    assert_eq!(submit(&world, &swaps("next"), &[asset(1)]).await.made, 1);
    assert_eq!(
        stands(&world, "next").await,
        is(1, 0, 0, 0, "complete"),
        "the image of the first model is there"
    );
}

#[tokio::test]
async fn caps_holds_and_cancels_reach_what_stands_in() {
    let world = World::new().await;
    let capped = BatchHead { cap: Some(MicroUsd(30_000)), ..swaps("b") };
    submit(&world, &capped, &[asset(1)]).await;
    gone(&world, &world.sent().await, 1).await;
    assert!(other_grants(&world, 1).await.is_empty(), "40,000 are more than 30,000");
    assert_eq!(state(&world, "b").await.held.as_deref(), Some("cap"));
    world.cap(CapOf::Batch("b".into()), Some(MicroUsd(40_000))).await;
    world.queue.hold(&id("b"), Some("a person")).await.unwrap();
    assert!(other_grants(&world, 1).await.is_empty());
    world.queue.hold(&id("b"), None).await.unwrap();
    let grant = other_grants(&world, 1).await.remove(0);
    world.queue.release(&[(grant.key.clone(), grant.token.clone())]).await.unwrap();
    assert!(world.queue.cancel(&id("b"), "changed our mind").await.unwrap());
    world.queue.reap(100).await.unwrap();
    assert_eq!(world.phase(&other(1).key).await, "none", "nobody asks for it any more");
    assert_eq!(world.queue.totals().await.unwrap().reserved.0, 0);

    // Nothing is begun for a batch that was given up meanwhile.
    submit(&world, &swaps("c"), &[asset(2)]).await;
    let grant = world.sent().await;
    assert!(world.queue.cancel(&id("c"), "changed our mind").await.unwrap());
    assert_eq!(gone(&world, &grant, 2).await, Parted::Ended(Ended::Failed));
    assert_eq!(world.phase(&other(2).key).await, "none");
}

#[tokio::test]
async fn a_crowd_parts_as_one_batch_would() {
    let world = World::new().await;
    for n in 0..250 {
        // The first and every third of them allow it.
        let name = format!("b{n}");
        let head = if n % 3 == 0 { swaps(&name) } else { head(&name, "shop") };
        submit(&world, &head, &[asset(1)]).await;
    }
    assert_eq!(gone(&world, &world.sent().await, 1).await, Parted::Ended(Ended::Failed));
    while world.queue.reap(100).await.unwrap().worked > 0 {}
    let grants = other_grants(&world, 5).await;
    assert_eq!(grants.len(), 1);
    settle(&world, &grants[0], 40_000).await;
    while world.queue.reap(100).await.unwrap().worked > 0 {}
    for n in 0..250 {
        let expected = if n % 3 == 0 { is(1, 0, 1, 0, "complete") } else { is(0, 1, 0, 0, "complete") };
        assert_eq!(stands(&world, &format!("b{n}")).await, expected, "{n}");
    }
    assert_eq!(world.phase(&key(1)).await, "failed");
}

#[tokio::test]
async fn a_crowd_of_one_mind_leaves_nothing_behind() {
    let world = World::new().await;
    for n in 0..150 {
        submit(&world, &swaps(&format!("all{n}")), &[asset(2)]).await;
    }
    gone(&world, &world.sent().await, 2).await;
    while world.queue.reap(100).await.unwrap().worked > 0 {}
    assert_eq!(
        (world.phase(&key(2)).await.as_str(), world.queue.failure_count().await.unwrap()),
        ("substituted", 0)
    );
    settle(&world, &other_grants(&world, 5).await[0], 40_000).await;
    while world.queue.reap(100).await.unwrap().worked > 0 {}
    for n in 0..150 {
        assert_eq!(stands(&world, &format!("all{n}")).await, is(1, 0, 1, 0, "complete"), "{n}");
    }
}

#[tokio::test]
async fn another_account_takes_what_a_paused_or_resting_one_cannot() {
    for resting in [false, true] {
        let world = World::new().await;
        world.submit("b", "shop", 0..4).await;
        world.queue.declare_lane("second.dall-e-2", &LaneLimits::default()).await.unwrap();
        let grant = world.sent().await;
        assert_eq!(refuse(&world, &grant).await, Ended::Retry);
        if resting {
            let later = world.now().await + 60_000_000;
            let lane = world.queue.keys().lane(&grant.lane);
            let rest =
                [("pause_until", later.to_string()), ("pause_reason", "failed 5 times in a row".into())];
            let _: () = world.redis.clone().hset_multiple(lane, &rest).await.unwrap();
        } else {
            world.queue.pause_lane(&grant.lane, Some("a person")).await.unwrap();
        }
        assert!(world.claim(1).await.grants.is_empty());
        let both = [grant.lane.as_str(), "second.dall-e-2"]
            .map(|lane| LaneOffer { lane: lane.into(), routes: vec![route().to_string()] });
        let claim = Claim { lanes: both.to_vec(), ..world.claim_request(9) };
        let grants = world.queue.claim(&claim).await.unwrap().grants;
        assert_eq!(grants.len(), 4);
        assert!(grants.iter().all(|grant| grant.lane == "second.dall-e-2"));
        assert!(grants.iter().any(|other| other.key == grant.key), "the same asset, under the same key");
    }
}

/// A crowd whose members all allow it, half parted with a failed asset.
async fn half_parted(crowd: u64) -> (World, Grant) {
    let world = World::new().await;
    for n in 0..crowd {
        submit(&world, &swaps(&format!("b{n}")), &[asset(1)]).await;
    }
    let grant = world.sent().await;
    assert_eq!(gone(&world, &grant, 1).await, Parted::Ended(Ended::Failed));
    (world, grant)
}

#[tokio::test]
async fn a_crowd_half_parted_is_not_retried_before_all_have_heard() {
    let (world, _grant) = half_parted(130).await;
    assert_eq!(world.queue.act_on_failures(&[key(1)], FailureAction::Retry).await.unwrap(), 0);
    assert_eq!(submit_again(&world, &swaps("b120"), &[asset(1)], true).await.failed, 1);
    while world.queue.reap(10).await.unwrap().worked > 0 {}
    assert_eq!(world.phase(&key(1)).await, "substituted");
    settle(&world, &other_grants(&world, 5).await[0], 40_000).await;
    while world.queue.reap(10).await.unwrap().worked > 0 {}
    for n in 0..130 {
        assert_eq!(stands(&world, &format!("b{n}")).await, is(1, 0, 1, 0, "complete"), "{n}");
    }
}

#[tokio::test]
async fn a_late_image_reaches_a_crowd_half_parted() {
    let (world, grant) = half_parted(130).await;
    assert_eq!(settle(&world, &grant, 20_000).await, Settled::Done);
    while world.queue.reap(10).await.unwrap().worked > 0 {}
    settle(&world, &other_grants(&world, 5).await[0], 40_000).await;
    while world.queue.reap(10).await.unwrap().worked > 0 {}
    for n in 0..130 {
        let swapped = u64::from(n <= 100);
        assert_eq!(stands(&world, &format!("b{n}")).await, is(1, 0, swapped, 0, "complete"), "{n}");
    }
}

#[tokio::test]
async fn what_was_refused_for_its_content_since_is_left_to_no_other_model() {
    let world = World::new().await;
    submit(&world, &swaps("b"), &[asset(1)]).await;
    gone(&world, &world.sent().await, 1).await;
    submit_again(&world, &head("plain", "shop"), &[asset(1)], true).await;
    let refused = world.sent().await;
    assert_eq!(end(&world, &refused, MODERATION, &[]).await, Parted::Ended(Ended::Failed));
    assert_eq!(world.queue.stand_in_phases(&[&key(1)], OTHER).await.unwrap(), [None]);
    assert_eq!(submit(&world, &swaps("later"), &[asset(1)]).await.failed, 1);
    assert_eq!(stands(&world, "later").await, is(0, 1, 0, 0, "complete"));
    assert_eq!(stands(&world, "b").await, is(0, 0, 1, 1, "open"), "what was begun before goes on");
}
