//! Pauses for a refused key, and the profile a namespace belongs to.

use std::time::Duration;

use pictor_common::queue::{
    Failure, Grant, HeldAsset, HeldPhase, LaneLimits, LanePause, Outcome, Queue, QueueError, Unmade,
};

use crate::world::{LANE, LEASE, World, attempt, held, unmade};

async fn pause(world: &World, grant: &Grant, key: Option<&str>, reason: &str) {
    let failure = Failure { class: "auth".into(), ..Failure::default() };
    let pause = LanePause {
        lane: LANE.to_owned(),
        delay: None,
        reason: reason.to_owned(),
        key: key.map(str::to_owned),
    };
    let unmade =
        Unmade { outcome: Outcome::Refused(Duration::ZERO), pause: Some(&pause), ..unmade(&failure) };
    world.queue.fail(&attempt(grant), &unmade).await.unwrap();
}

async fn paused(world: &World) -> (Option<String>, Option<String>) {
    let lane = world.queue.lanes().await.unwrap().remove(0);
    (lane.paused, world.queue.refused_keys(&[LANE]).await.unwrap().remove(0))
}

#[tokio::test]
async fn another_key_lifts_the_pause_of_a_refused_one_and_no_other() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    pause(&world, &grant, Some("old"), "Incorrect API key").await;
    assert_eq!(paused(&world).await, (Some("Incorrect API key".into()), Some("old".into())));
    assert_eq!(world.claim(1).await.why, "paused");
    assert!(!world.queue.lift_key_pause(LANE, "other").await.unwrap());
    assert!(world.queue.lift_key_pause(LANE, "old").await.unwrap());
    assert!(!world.queue.lift_key_pause(LANE, "old").await.unwrap());
    assert_eq!(paused(&world).await, (None, None));
    let again = world.sent().await;
    assert_eq!(again.attempts, 0, "a refused key is no attempt");

    // A person's word stands over a key, whichever came first.
    world.queue.pause_lane(LANE, Some("by hand")).await.unwrap();
    pause(&world, &again, Some("old"), "Incorrect API key").await;
    assert_eq!(paused(&world).await, (Some("by hand".into()), None));
    world.queue.pause_lane(LANE, None).await.unwrap();
    let third = world.sent().await;
    pause(&world, &third, Some("old"), "Incorrect API key").await;
    world.queue.pause_lane(LANE, Some("by hand")).await.unwrap();
    assert!(!world.queue.lift_key_pause(LANE, "old").await.unwrap());
    world.queue.pause_lane(LANE, None).await.unwrap();
    let fourth = world.sent().await;
    pause(&world, &fourth, Some("old"), "Incorrect API key").await;
    pause(&world, &fourth, None, "no money").await;
    assert!(!world.queue.lift_key_pause(LANE, "old").await.unwrap());
    assert_eq!(paused(&world).await, (Some("no money".into()), None));
}

#[tokio::test]
async fn a_namespace_keeps_its_first_profile() {
    let world = World::new().await;
    // In use before there were profiles: adopted by the first.
    world.submit("b", "shop", 0..1).await;
    world.queue.belong_to(None).await.unwrap();
    let both = tokio::join!(world.queue.belong_to(Some("dev")), world.queue.belong_to(Some("prod")));
    let (first, second) = match both {
        (Ok(()), Err(_)) => ("dev", "prod"),
        (Err(_), Ok(())) => ("prod", "dev"),
        both => panic!("one of two is refused: {both:?}"),
    };
    world.queue.belong_to(Some(first)).await.unwrap();
    for asked in [Some(second), None] {
        let refused = world.queue.belong_to(asked).await.unwrap_err();
        assert!(matches!(refused, QueueError::OtherProfile { .. }), "{refused:?}");
        let told = refused.to_string();
        let namespace = world.queue.keys().namespace();
        assert!(told.contains(&format!("namespace {namespace} belongs to profile {first}")), "{told}");
        assert!(told.contains(&format!("go on with --profile {first}")), "{told}");
    }
}

#[tokio::test]
async fn a_namespace_that_became_anothers_is_not_worked() {
    let world = World::new().await;
    let worker = world.queue.clone().of_profile(Some("prod"));
    let other = world.queue.clone().of_profile(Some("dev"));
    let claimed = async |queue: &Queue| queue.claim(&world.claim_request(5)).await.unwrap();
    world.submit("b", "shop", 0..1).await;
    let grant = claimed(&worker).await.grants.remove(0);
    worker.belong_to(Some("prod")).await.unwrap();

    // Wiped, and filled again by another profile; the lanes have the same names.
    world.wipe().await;
    other.belong_to(Some("dev")).await.unwrap();
    other.declare_lane(LANE, &LaneLimits::default()).await.unwrap();
    world.nothing_spent_before().await;
    world.submit("dev", "shop", 3..4).await;
    let taken = claimed(&other).await.grants.remove(0);
    world.begin(&taken).await;
    world.submit("more", "shop", 4..5).await;
    let refused = claimed(&worker).await;
    assert_eq!((refused.grants.len(), refused.why.as_str()), (0, "profile dev"));
    assert_eq!(claimed(&world.queue).await.why, "profile dev", "nor by a worker without a profile");
    // Its orphans are not looked for in the wrong store.
    world.expire_leases().await;
    assert_eq!(worker.reap(100).await.unwrap().orphans.len(), 0);
    assert_eq!(other.reap(100).await.unwrap().orphans.len(), 1);
    // What was claimed before leaves no trace.
    let unsent = HeldAsset { attempt: 0, ..held(&grant, HeldPhase::Claimed) };
    worker.extend(&[unsent], LEASE).await.unwrap();
    assert_eq!(worker.release(&[(grant.key.clone(), grant.token.clone())]).await.unwrap(), 1);
    assert_eq!(world.phase(&grant.key).await, "none");
    assert_eq!(claimed(&other).await.grants.len(), 1);

    // Wiped and empty, it belongs to whoever works there first.
    world.wipe().await;
    world.nothing_spent_before().await;
    assert_eq!(claimed(&worker).await.why, "undeclared");
    assert!(world.queue.belong_to(Some("dev")).await.is_err());
    assert_eq!(claimed(&other).await.why, "profile prod");
}
