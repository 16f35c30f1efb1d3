//! Lists of failures by cause, class, model, lane, batch and tenant, and what people do with them.

use std::collections::{BTreeMap, BTreeSet};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{BatchHead, NewAsset},
    queue::{
        Billed, Failure, FailureAction, FailurePlace, Grant, MODERATION, Outcome, Replaced, Replacement,
        Trait, UNSORTED, Unmade, group_of,
    },
};
use redis::AsyncCommands as _;

use crate::{
    ending::settle,
    world::{LANE, World, asset, attempt, head, id, key, line, spec, unmade},
};

type Lists = BTreeMap<String, BTreeSet<(String, u64)>>;

async fn members(world: &World, name: &str) -> BTreeSet<(String, u64)> {
    let all: Vec<(String, f64)> = world.redis.clone().zrange_withscores(name, 0, -1).await.unwrap();
    all.into_iter().map(|(member, score)| (member, score as u64)).collect()
}

/// Whatever happened: the lists have exactly what is among the failures.
pub(crate) async fn lists_are_right(world: &World) {
    let keys = world.queue.keys();
    let failures = members(world, &keys.failures()).await;
    assert_eq!(members(world, &keys.listed()).await, failures, "listed");
    let (mut expected, mut causes) = (Lists::new(), BTreeMap::<String, u64>::new());
    for (member, at) in &failures {
        let key = AssetKey::try_from(member.clone()).unwrap();
        let detail = world.queue.asset_detail(&key).await.unwrap().unwrap();
        assert!(
            matches!(detail.state.phase.as_str(), "failed" | "parked"),
            "{member} is {}",
            detail.state.phase
        );
        let failure = detail.state.failure.clone().unwrap_or_default();
        let group = group_of(&detail.state);
        let mut names = vec![
            keys.failed("group", &group),
            keys.failed("class", &failure.class),
            keys.failed("model", &failure.model),
            keys.failed("lane", &failure.lane),
        ];
        *causes.entry(group).or_default() += 1;
        for batch in &detail.batches {
            names.push(keys.failed("batch", batch));
            let state = world.queue.batch(&id(batch)).await.unwrap().unwrap();
            names.push(keys.failed("tenant", &state.tenant));
        }
        for name in names {
            expected.entry(name).or_default().insert((member.clone(), *at));
        }
    }
    let pattern = format!("{}failed:*", keys.prefix());
    let found: Vec<String> =
        redis::cmd("KEYS").arg(pattern).query_async(&mut world.redis.clone()).await.unwrap();
    let mut lists = Lists::new();
    for name in found {
        let all = members(world, &name).await;
        lists.insert(name, all);
    }
    assert_eq!(lists, expected);
    let counted: BTreeMap<String, u64> = members(world, &keys.causes()).await.into_iter().collect();
    assert_eq!(counted, causes);
}

pub(crate) async fn fail_as(world: &World, grant: &Grant, class: &str, message: &str, billed: Billed) {
    let failure = Failure {
        class: class.into(),
        message: message.into(),
        model: grant.spec.model.clone(),
        attempt: grant.attempts + 1,
        ..Failure::default()
    };
    let parks = billed == Billed::Unknown;
    let unmade = Unmade {
        billed,
        cost: if parks { grant.ceiling } else { MicroUsd::ZERO },
        outcome: if parks { Outcome::Parked } else { Outcome::Failed },
        ..unmade(&failure)
    };
    world.queue.fail(&attempt(grant), &unmade).await.unwrap();
}

pub(crate) async fn fail(world: &World, class: &str, message: &str) -> AssetKey {
    let grant = world.sent().await;
    fail_as(world, &grant, class, message, Billed::No).await;
    grant.key
}

pub(crate) async fn with(world: &World, traits: &[Trait]) -> Vec<FailurePlace> {
    world.queue.failures_with(traits, 0, None, 100).await.unwrap().found
}

pub(crate) async fn place(world: &World, key: &AssetKey) -> FailurePlace {
    world.queue.failed_at(std::slice::from_ref(key)).await.unwrap().remove(0)
}

/// Another prompt, as somebody mended it.
pub(crate) fn mended(n: u64) -> NewAsset {
    let spec = Spec { prompt: Some(format!("a better thing {n}")), ..spec(n) };
    NewAsset { key: AssetKey::of(&spec), spec, ..asset(n) }
}

async fn phases(world: &World, keys: &[&AssetKey]) -> Vec<String> {
    let mut phases = Vec::new();
    for key in keys {
        phases.push(world.phase(key).await);
    }
    phases
}

#[tokio::test]
async fn three_causes_are_three_groups_with_a_sample_and_their_times() {
    let world = World::new().await;
    world.submit("b", "shop", 0..6).await;
    for n in 0..3 {
        fail(&world, MODERATION, &format!("rejected, request req_{n}")).await;
    }
    for n in 0..2 {
        fail(&world, "bad_spec", &format!("size {n}x{n} is not supported")).await;
    }
    let grant = world.sent().await;
    fail_as(&world, &grant, "bad_spec", "size 9x9 is not supported", Billed::Unknown).await;
    let found = world.queue.failure_groups(10).await.unwrap();
    let told: Vec<_> = found.groups.iter().map(|g| (g.count, g.failure.class.as_str(), g.parked)).collect();
    assert_eq!(told, [(3, MODERATION, false), (2, "bad_spec", false), (1, "bad_spec", true)]);
    assert_eq!((found.total, found.unsorted, found.causes), (6, 0, 3));
    let first = &found.groups[0];
    assert!(first.first < first.last && first.last <= world.now().await);
    assert_eq!(first.failure.message, "rejected, request req_2", "the newest");
    assert_eq!(first.failure.lane, LANE);
    for (wanted, count) in [
        (Trait::Group(first.group.clone()), 3),
        (Trait::Class("bad_spec".into()), 3),
        (Trait::Model("dall-e-2".into()), 6),
        (Trait::Lane(LANE.into()), 6),
        (Trait::Batch(id("b")), 6),
        (Trait::Tenant("shop".into()), 6),
        (Trait::Tenant("other".into()), 0),
    ] {
        assert_eq!(with(&world, std::slice::from_ref(&wanted)).await.len(), count, "{wanted:?}");
    }
    let both = [Trait::Class("bad_spec".into()), Trait::Group(found.groups[1].group.clone())];
    assert_eq!(with(&world, &both).await.len(), 2, "what has both");
    lists_are_right(&world).await;
}

#[tokio::test]
async fn pages_are_gone_through_by_place_also_where_many_failed_at_one_time() {
    let world = World::new().await;
    world.submit("b", "shop", 0..7).await;
    for _ in 0..7 {
        fail(&world, "server_error", "oh").await;
    }
    let mut redis = world.redis.clone();
    let keys = world.queue.keys();
    for name in [keys.failures(), keys.listed(), keys.failed("class", "server_error")] {
        for n in 0..5 {
            let _same: u64 = redis.zadd(&name, key(n).as_str(), 1_000).await.unwrap();
        }
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let class = [Trait::Class("server_error".into())];
        let page = world.queue.failures_with(&class, 0, after.as_ref(), 2).await.unwrap();
        seen.extend(page.found);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let distinct: BTreeSet<&str> = seen.iter().map(|place| place.key.as_str()).collect();
    assert_eq!((seen.len(), distinct.len()), (7, 7));
    assert!(seen.is_sorted_by(|a, b| (a.at, a.key.as_str()) > (b.at, b.key.as_str())), "{seen:?}");
    let since = world.queue.failures_with(&[], 1_001, None, 100).await.unwrap().found;
    assert_eq!(since.len(), 2);
}

#[tokio::test]
async fn what_ends_or_revives_a_failure_takes_it_off_every_list() {
    let world = World::new().await;
    world.submit("b", "shop", 0..5).await;
    world.submit("c", "rival", 0..3).await;
    let mut failed = Vec::new();
    for _ in 0..5 {
        failed.push(fail(&world, "server_error", "oh").await);
        lists_are_right(&world).await;
    }
    world.queue.act_on_failures(&failed[..1], FailureAction::Retry).await.unwrap();
    world.queue.act_on_failures(&failed[1..2], FailureAction::Discard).await.unwrap();
    lists_are_right(&world).await;
    world.queue.cancel(&id("b"), "no").await.unwrap();
    world.queue.reap(100).await.unwrap();
    lists_are_right(&world).await;
    assert_eq!(with(&world, &[Trait::Batch(id("b"))]).await, []);
    assert_eq!(with(&world, &[Trait::Tenant("rival".into())]).await.len(), 1, "two of its three went");
    let again = world.sent().await;
    assert_eq!(again.key, failed[0]);
    fail_as(&world, &again, "timeout", "again", Billed::Unknown).await;
    lists_are_right(&world).await;
    settle(&world, &again, 20_000).await;
    lists_are_right(&world).await;
}

#[tokio::test]
async fn more_who_ask_than_one_call_visits_have_it_in_their_lists() {
    let world = World::new().await;
    for n in 0..130 {
        world.submit(&format!("b{n}"), "shop", 0..1).await;
    }
    fail(&world, "server_error", "oh").await;
    for _ in 0..5 {
        world.queue.reap(100).await.unwrap();
    }
    assert_eq!(with(&world, &[Trait::Batch(id("b129"))]).await.len(), 1);
    world.queue.act_on_failures(&[key(0)], FailureAction::Discard).await.unwrap();
    for _ in 0..5 {
        world.queue.reap(100).await.unwrap();
    }
    let left: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{}failed:*", world.queue.keys().prefix()))
        .query_async(&mut world.redis.clone())
        .await
        .unwrap();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn failures_that_an_older_version_left_are_never_lost_and_listed_step_by_step() {
    let world = World::new().await;
    world.submit("b", "shop", 0..700).await;
    let mut redis = world.redis.clone();
    let keys = world.queue.keys().clone();
    let _older: u64 = redis.hset(keys.meta(), "layout", 3).await.unwrap();
    let () = redis.set(keys.schema(), 3).await.unwrap();
    for _ in 0..700 {
        fail(&world, "server_error", "oh").await;
    }
    assert_eq!(world.queue.failure_groups(5).await.unwrap().unsorted, 700, "nothing is listed yet");
    let found = with(&world, &[Trait::Batch(id("b")), Trait::Class("server_error".into())]).await;
    assert_eq!(found.len(), 100, "they are looked through instead");
    let one = Replacement {
        how: String::new(),
        original: place(&world, &key(0)).await,
        parked: false,
        batches: vec![id("b")],
        current: mended(0),
        free: false,
    };
    assert_eq!(world.queue.replace(&[one]).await.unwrap(), [Replaced::Older]);

    let _newer: u64 = redis.hset(keys.meta(), "layout", 4).await.unwrap();
    let () = redis.set(keys.schema(), 4).await.unwrap();
    world.queue.reap(100).await.unwrap();
    let some = world.queue.failure_groups(5).await.unwrap();
    assert_eq!((some.total, some.unsorted, some.groups[0].count), (700, 100, 600), "a bounded step");
    assert_eq!(with(&world, &[Trait::Group(UNSORTED.into())]).await.len(), 100);
    assert_eq!(with(&world, &[Trait::Class("server_error".into())]).await.len(), 100);
    // What is retried in between is missed by nobody.
    world.queue.act_on_failures(&[key(0), key(699)], FailureAction::Retry).await.unwrap();
    for _ in 0..3 {
        world.queue.reap(100).await.unwrap();
    }
    assert_eq!(world.queue.failure_groups(5).await.unwrap().unsorted, 0);
    lists_are_right(&world).await;
}

#[tokio::test]
async fn what_failed_anew_since_somebody_looked_is_left_alone() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let failed = fail(&world, "server_error", "oh").await;
    let seen = place(&world, &failed).await;
    let seen = [(seen.key, seen.at)];
    assert_eq!(world.queue.act_on_seen(&seen, FailureAction::Retry, None).await.unwrap().len(), 1);
    fail(&world, MODERATION, "no").await;
    assert_eq!(world.queue.act_on_seen(&seen, FailureAction::Retry, None).await.unwrap(), []);
    assert_eq!(world.phase(&failed).await, "failed");
}

#[tokio::test]
async fn a_retry_at_a_time_waits_until_then() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let failed = fail(&world, "server_error", "oh").await;
    let seen = place(&world, &failed).await;
    let due = world.now().await + 3_600_000_000;
    world.queue.act_on_seen(&[(seen.key, seen.at)], FailureAction::Retry, Some(due)).await.unwrap();
    assert_eq!(world.phase(&failed).await, "ready");
    assert!(world.claim(1).await.grants.is_empty());
    assert_eq!(world.queue.asset_detail(&failed).await.unwrap().unwrap().retry_at, Some(due));
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().state, "open");
    lists_are_right(&world).await;
}

#[tokio::test]
async fn attempts_before_the_last_are_kept_with_it() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    for n in 1..=3_u16 {
        let grant = world.sent().await;
        let failure = Failure {
            class: "server_error".into(),
            status: Some(500 + n),
            attempt: grant.attempts + 1,
            latency_ms: Some(1_795_219_200_000),
            at_ms: 1_795_219_200_000,
            ..Failure::default()
        };
        let unmade = Unmade {
            outcome: if n < 3 { Outcome::Retry(std::time::Duration::ZERO) } else { Outcome::Failed },
            ..unmade(&failure)
        };
        world.queue.fail(&attempt(&grant), &unmade).await.unwrap();
    }
    let state = world.queue.assets(&[key(0)]).await.unwrap().remove(0).unwrap();
    let failure = state.failure.unwrap();
    let before: Vec<_> = failure.before.iter().map(|t| (t.attempt, t.status, t.at_ms)).collect();
    assert_eq!(before, [(1, Some(501), 1_795_219_200_000), (2, Some(502), 1_795_219_200_000)]);
    assert_eq!((failure.attempt, failure.status), (3, Some(503)));
}

#[tokio::test]
async fn what_is_mended_for_one_batch_stays_failed_for_the_other() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    world.submit("c", "rival", 0..1).await;
    let failed = fail(&world, "bad_spec", "oh").await;
    let seen = place(&world, &failed).await;
    let one = Replacement {
        how: String::new(),
        original: seen,
        parked: false,
        batches: vec![id("b")],
        current: mended(0),
        free: false,
    };
    let twice = world.queue.replace(&[one.clone(), one.clone()]).await.unwrap();
    assert_eq!(twice, [Replaced::In(1), Replaced::Changed], "two people at once");
    assert_eq!(world.queue.replace(&[one]).await.unwrap(), [Replaced::Changed]);
    lists_are_right(&world).await;
    assert_eq!(world.queue.stand_ins(&id("b"), &[key(0)]).await.unwrap(), [Some(mended(0).key)]);
    assert_eq!(world.queue.stand_ins(&id("c"), &[key(0)]).await.unwrap(), [None]);
    let counts = |batch: &'static str| {
        let world = &world;
        async move {
            let batch = world.queue.batch(&id(batch)).await.unwrap().unwrap();
            (batch.state.clone(), batch.open_assets(), batch.counts.done, batch.counts.failed)
        }
    };
    assert_eq!(counts("b").await, ("open".into(), 1, 0, 0));
    assert_eq!(counts("c").await, ("complete".into(), 0, 0, 1));
    let grant = world.sent().await;
    assert_eq!((grant.key.clone(), grant.payer.as_str()), (mended(0).key, "b"));
    settle(&world, &grant, 20_000).await;
    assert_eq!(counts("b").await, ("complete".into(), 0, 1, 0));
    assert_eq!(phases(&world, &[&failed]).await, ["failed"], "the other batch has its failure");

    // The same file again has what was mended, and pays for nothing.
    let all = [(0, asset(0))];
    let lines = [line(0, &asset(0))];
    let sums = world.queue.submit(&head("b", "shop"), &all, &lines, true).await.unwrap();
    assert_eq!((sums.made, sums.new, sums.queued, sums.failed), (1, 0, 0, 0));
    assert!(world.claim(1).await.grants.is_empty());
}

#[tokio::test]
async fn what_is_mended_again_and_again_is_followed_to_the_last_and_never_round() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let mut chain = vec![asset(0)];
    for n in 1..=9 {
        let failed = fail(&world, "bad_spec", "oh").await;
        assert_eq!(failed, chain[n as usize - 1].key);
        let seen = place(&world, &failed).await;
        let round = Replacement {
            how: String::new(),
            original: seen.clone(),
            parked: false,
            batches: vec![id("b")],
            current: asset(0),
            free: false,
        };
        if n > 1 {
            let became = world.queue.replace(&[round]).await.unwrap();
            assert!(matches!(became[0], Replaced::Ended | Replaced::Circle), "{became:?}");
        }
        let one = Replacement {
            how: String::new(),
            original: seen,
            parked: false,
            batches: vec![id("b")],
            current: mended(n),
            free: false,
        };
        let became = world.queue.replace(&[one]).await.unwrap();
        if n == 9 {
            assert_eq!(became, [Replaced::Circle], "eight stand one for another at most");
            break;
        }
        assert_eq!(became, [Replaced::In(1)], "hop {n}");
        chain.push(mended(n));
        let last = world.queue.stand_ins(&id("b"), &[key(0)]).await.unwrap();
        assert_eq!(last, [Some(mended(n).key)]);
        lists_are_right(&world).await;
    }
    world.queue.act_on_failures(&[mended(8).key], FailureAction::Retry).await.unwrap();
    world.queue.cancel(&id("b"), "enough").await.unwrap();
    world.queue.reap(100).await.unwrap();
    assert!(
        world.claim(1).await.grants.is_empty(),
        "a cancelled batch asks for nothing, however often mended"
    );
}

#[tokio::test]
async fn what_may_be_paid_for_is_replaced_only_where_that_was_said() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    fail_as(&world, &grant, "timeout", "nothing came", Billed::Unknown).await;
    let seen = place(&world, &grant.key).await;
    let one = Replacement {
        how: String::new(),
        original: seen,
        parked: false,
        batches: vec![id("b")],
        current: mended(0),
        free: false,
    };
    assert_eq!(world.queue.replace(std::slice::from_ref(&one)).await.unwrap(), [Replaced::Parked]);
    let anyway = Replacement { parked: true, ..one };
    assert_eq!(world.queue.replace(&[anyway]).await.unwrap(), [Replaced::In(1)]);
    lists_are_right(&world).await;
    // Its answer comes after all: it is charged once, and kept.
    settle(&world, &grant, 20_000).await;
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 20_000);
    let other = world.sent().await;
    settle(&world, &other, 20_000).await;
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert_eq!((batch.state.as_str(), batch.counts.done, batch.counts.parked), ("complete", 1, 0));
}

#[tokio::test]
async fn a_replacement_that_exists_is_had_at_once_and_one_that_failed_is_refused() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let failed = fail(&world, "bad_spec", "oh").await;
    let head_of_other = BatchHead { ..head("other", "shop") };
    let lines = [line(0, &mended(0))];
    world.queue.submit(&head_of_other, &[(0, mended(0))], &lines, false).await.unwrap();
    world.queue.seal(&id("other"), 1).await.unwrap();
    let grant = world.sent().await;
    settle(&world, &grant, 20_000).await;
    let seen = place(&world, &failed).await;
    let one = Replacement {
        how: String::new(),
        original: seen,
        parked: false,
        batches: vec![id("b"), id("other")],
        current: mended(0),
        free: false,
    };
    assert_eq!(world.queue.replace(&[one]).await.unwrap(), [Replaced::In(1)]);
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert_eq!((batch.state.as_str(), batch.counts.done), ("complete", 1));
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 20_000, "nothing is paid for it again");

    world.submit("two", "shop", 1..3).await;
    let (a, b) = (fail(&world, "bad_spec", "oh").await, fail(&world, "bad_spec", "oh").await);
    assert_eq!((&a, &b), (&key(1), &key(2)));
    let one = Replacement {
        how: String::new(),
        original: place(&world, &a).await,
        parked: false,
        batches: vec![id("two")],
        current: asset(2),
        free: false,
    };
    assert_eq!(world.queue.replace(&[one]).await.unwrap(), [Replaced::Ended]);
}
