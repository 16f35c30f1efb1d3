//! Claim, begin, extend, release.

use std::time::Duration;

use pictor_common::{
    MicroUsd,
    queue::{Begun, CapOf, HeldAsset, HeldPhase, Hold, LaneLimits},
};

use crate::world::{LANE, LEASE, World, head, held, id, key};

#[tokio::test]
async fn the_same_request_id_gets_the_same_answer() {
    let world = World::new().await;
    world.submit("b", "shop", 0..10).await;
    let request = world.claim_request(4);
    let first = world.queue.claim(&request).await.unwrap();
    let again = world.queue.claim(&request).await.unwrap();
    assert_eq!(first.grants.len(), 4);
    let tokens =
        |c: &pictor_common::queue::Claimed| c.grants.iter().map(|g| g.token.clone()).collect::<Vec<_>>();
    assert_eq!(tokens(&first), tokens(&again));
    assert_eq!(world.queue.totals().await.unwrap().reserved, MicroUsd(80_000));
}

#[tokio::test]
async fn rows_are_claimed_in_order_with_their_spec() {
    let world = World::new().await;
    world.submit("b", "shop", 0..5).await;
    let grants = world.claim(5).await.grants;
    assert_eq!(grants.iter().map(|g| g.key.clone()).collect::<Vec<_>>(), (0..5).map(key).collect::<Vec<_>>());
    assert_eq!(grants[3].spec, crate::world::spec(3));
}

#[tokio::test]
async fn the_limit_spaces_slots_and_stops_at_the_horizon() {
    let limits = LaneLimits { requests: Some(60), ..LaneLimits::default() };
    let world = World::with(Duration::ZERO, &limits).await;
    world.submit("b", "shop", 0..10).await;
    let claimed = world.claim(10).await;
    let waits: Vec<u64> = claimed.grants.iter().map(|g| g.wait.as_millis() as u64).collect();
    assert_eq!(waits, [0, 500], "one a second, half a second of burst, a second of horizon");
    assert_eq!(claimed.why, "limit");
    assert!(claimed.sleep > Duration::from_millis(400) && claimed.sleep <= Duration::from_millis(500));
}

#[tokio::test]
async fn in_flight_is_the_size_of_a_set_and_never_leaks() {
    let limits = LaneLimits { in_flight: Some(3), ..LaneLimits::default() };
    let world = World::with(Duration::ZERO, &limits).await;
    world.submit("b", "shop", 0..10).await;
    let first = world.claim(10).await;
    assert_eq!((first.grants.len(), first.why.as_str()), (3, "empty"));
    assert_eq!(world.claim(10).await.why, "in_flight");
    let given: Vec<_> = first.grants.iter().map(|g| (g.key.clone(), g.token.clone())).collect();
    assert_eq!(world.queue.release(&given[..2]).await.unwrap(), 2);
    assert_eq!(world.queue.release(&given[..2]).await.unwrap(), 0, "given back once");
    assert_eq!(world.claim(10).await.grants.len(), 2);
}

#[tokio::test]
async fn begin_is_fenced_by_the_token() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.one().await;
    world.expire_leases().await;
    assert_eq!(world.queue.reap(100).await.unwrap().requeued, 1);
    let second = world.one().await;
    assert_eq!(world.begin(&grant).await, Begun::No("lost".into()));
    assert!(matches!(world.begin(&second).await, Begun::Go { attempt: 1, .. }));
    assert!(
        matches!(world.begin(&second).await, Begun::Go { attempt: 1, .. }),
        "a lost reply is asked for again"
    );
}

#[tokio::test]
async fn begin_refuses_for_a_cancelled_held_or_paused_payer() {
    let world = World::new().await;
    for (n, batch) in ["cancelled", "held", "paused"].iter().enumerate() {
        let n = n as u64;
        world.submit(batch, "shop", n..n + 1).await;
        let grant = world.one().await;
        match *batch {
            "cancelled" => assert!(world.queue.cancel(&id(batch), "x").await.unwrap()),
            "held" => assert!(world.queue.hold(&id(batch), Some("x")).await.unwrap()),
            _ => world.queue.pause_lane(LANE, Some("x")).await.unwrap(),
        }
        assert_eq!(world.begin(&grant).await, Begun::No((*batch).into()));
        assert!(world.claim(5).await.grants.is_empty(), "{batch}");
    }
    world.queue.pause_lane(LANE, None).await.unwrap();
    assert_eq!(world.one().await.key, key(2));
    assert_eq!(world.queue.totals().await.unwrap().reserved, MicroUsd(20_000), "only the last is reserved");
}

#[tokio::test]
async fn extend_keeps_restores_and_loses() {
    let world = World::new().await;
    world.submit("b", "shop", 0..3).await;
    let grants = world.claim(3).await.grants;
    // Redis forgets the first, and gives the second to another.
    let mut redis = world.redis.clone();
    let name = world.queue.keys().asset(&grants[0].key);
    redis::cmd("HSET")
        .arg(&name)
        .arg("phase")
        .arg("ready")
        .arg("token")
        .arg("")
        .exec_async(&mut redis)
        .await
        .unwrap();
    world.queue.release(&[(grants[1].key.clone(), grants[1].token.clone())]).await.unwrap();
    let other = world.one().await;
    assert_eq!(other.key, grants[1].key);
    let all = [
        held(&grants[0], HeldPhase::Sent),
        held(&grants[1], HeldPhase::Claimed),
        held(&grants[2], HeldPhase::Claimed),
    ];
    assert_eq!(world.queue.extend(&all, LEASE).await.unwrap(), [Hold::Restored, Hold::Lost, Hold::Ok]);
    assert_eq!(world.phase(&grants[0].key).await, "sent");
}

#[tokio::test]
async fn a_renewal_under_way_does_not_bring_back_what_has_ended() {
    let world = World::new().await;
    world.submit("b", "shop", 0..2).await;
    let (failed, given) = (world.sent().await, world.one().await);
    let snapshot = [held(&failed, HeldPhase::Sent), held(&given, HeldPhase::Claimed)];
    crate::ending::refuse(&world, &failed).await;
    world.queue.release(&[(given.key.clone(), given.token.clone())]).await.unwrap();
    assert_eq!(world.queue.extend(&snapshot, LEASE).await.unwrap(), [Hold::Lost, Hold::Lost]);
    assert_eq!(world.queue.totals().await.unwrap().reserved, MicroUsd::ZERO);
    assert_eq!(world.claim(5).await.grants.len(), 2);
}

#[tokio::test]
async fn a_wiped_server_learns_again_what_is_in_hand() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    world.wipe().await;
    world.queue.declare_lane(LANE, &LaneLimits::default()).await.unwrap();
    assert_eq!(world.queue.extend(&[held(&grant, HeldPhase::Sent)], LEASE).await.unwrap(), [Hold::Restored]);
    assert_eq!(world.submit("b", "shop", 0..1).await.queued, 1);
    assert!(world.claim(5).await.grants.is_empty(), "what is in hand is not sent again");
    crate::ending::settle(&world, &grant, 5).await;
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().counts.done, 1);
}

#[tokio::test]
async fn the_total_cap_holds_to_the_cent() {
    let world = World::new().await;
    world.cap(CapOf::Total, Some(MicroUsd(70_000))).await;
    world.submit("b", "shop", 0..10).await;
    let claimed = world.claim(10).await;
    assert_eq!((claimed.grants.len(), claimed.why.as_str()), (3, "budget"));
    world.cap(CapOf::Total, None).await;
    assert_eq!(world.claim(10).await.grants.len(), 7);
}

#[tokio::test]
async fn a_batch_over_its_cap_is_held_and_goes_on_when_money_comes_back() {
    let world = World::new().await;
    let mut capped = head("capped", "shop");
    capped.cap = Some(MicroUsd(40_000));
    let assets: Vec<_> = (0..5).map(|n| (n, crate::world::asset(n))).collect();
    world.queue.submit(&capped, &assets, &[], false).await.unwrap();
    world.submit("free", "shop", 10..12).await;
    let grants = world.claim(10).await.grants;
    assert_eq!(grants.iter().filter(|g| g.payer == "capped").count(), 2);
    assert_eq!(grants.iter().filter(|g| g.payer == "free").count(), 2, "an over-cap flow blocks nobody");
    let first = grants.iter().find(|g| g.payer == "capped").unwrap();
    assert!(matches!(world.begin(first).await, Begun::Go { .. }));
    crate::ending::settle(&world, first, 0).await;
    assert_eq!(world.claim(10).await.grants.len(), 1, "what was cheaper than its ceiling makes room");
}

#[tokio::test]
async fn an_answer_asked_for_too_late_grants_nothing_under_tokens_that_are_in_use() {
    let world = World::new().await;
    world.submit("b", "shop", 0..4).await;
    let request = world.claim_request(1);
    let first = world.queue.claim(&request).await.unwrap().grants;
    assert_eq!(world.queue.claim_again(&request).await.unwrap().grants[0].token, first[0].token);
    // Answers are kept for half a minute.
    let answer = format!("{}answer:{}", world.queue.keys().prefix(), request.request);
    redis::cmd("DEL").arg(answer).exec_async(&mut world.redis.clone()).await.unwrap();
    let again = world.queue.claim_again(&request).await.unwrap();
    assert_eq!((again.grants.len(), again.why.as_str()), (0, "again"));
    assert_eq!(world.queue.totals().await.unwrap().reserved.0, 20_000);
}

#[tokio::test]
async fn who_has_sent_keeps_it_on_a_server_that_went_back_to_who_had_it_before() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let before = world.one().await;
    // As it was given back and sent by another one, in a second that the server has forgotten since.
    let sent = HeldAsset { token: "other-1".to_owned(), ..held(&before, HeldPhase::Sent) };
    let told = world.queue.extend(std::slice::from_ref(&sent), LEASE).await.unwrap();
    assert_eq!(told, [Hold::Restored]);
    let late = world.begin(&before).await;
    assert!(!matches!(late, Begun::Go { .. }), "{late:?}");
    assert_eq!(world.phase(&before.key).await, "sent");
    let reserved = world.queue.totals().await.unwrap().reserved;
    assert_eq!(reserved, before.ceiling, "one of them has it set aside");
}
