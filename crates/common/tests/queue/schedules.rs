//! A due time is taken once, whoever asks, and goes on when its taker dies. Times are handed in.

use std::time::Duration;

use pictor_common::queue::{Firing, Held, ScheduleState, Steer, Step, Taken, Trouble};

use redis::AsyncCommands as _;

use crate::world::World;

const DAY: u64 = 86_400_000_000;
const LEASE: Duration = Duration::from_secs(30);
const SECOND: u64 = 1_000_000;

fn server(token: &str) -> Firing {
    Firing { token: token.to_owned(), lease: LEASE }
}

async fn kept(world: &World) -> ScheduleState {
    assert!(world.queue.keep_schedule("nightly", "{}", "ann@desk", DAY, false, Some(0)).await.unwrap());
    seen(world).await
}

async fn seen(world: &World) -> ScheduleState {
    world.queue.schedule("nightly").await.unwrap().unwrap()
}

fn night(n: u64) -> Step<'static> {
    Step { due: Some(n * DAY), upto: n * DAY, next: (n + 1) * DAY, ..Step::default() }
}

async fn due(world: &World, now: u64) -> usize {
    world.queue.schedules_due(now, 10).await.unwrap().len()
}

#[tokio::test]
async fn of_two_servers_one_fires() {
    let world = World::new().await;
    let seen = kept(&world).await;
    assert_eq!((due(&world, DAY - 1).await, due(&world, DAY).await), (0, 1));
    let take = |token| {
        let (queue, seen) = (world.queue.clone(), seen.clone());
        async move { queue.step_schedule(&seen, &night(1), &server(token), Some(DAY)).await.unwrap() }
    };
    let (one, other) = tokio::join!(take("a"), take("b"));
    assert_eq!([one, other].iter().filter(|taken| **taken == Taken::Ours).count(), 1, "{one:?} {other:?}");
    let winner = if one == Taken::Ours { "a" } else { "b" };
    assert!(world.queue.end_schedule("nightly", winner, "{}", None, Some(DAY + SECOND)).await.unwrap());
    // Who looked before, and asks late, fires nothing.
    let late =
        world.queue.step_schedule(&seen, &night(1), &server("c"), Some(DAY + 2 * SECOND)).await.unwrap();
    assert_eq!(late, Taken::Changed);
    assert_eq!((due(&world, 2 * DAY - 1).await, due(&world, 2 * DAY).await), (0, 1));
    assert_eq!(world.queue.schedule_runs("nightly", 10).await.unwrap(), ["{}"]);
}

#[tokio::test]
async fn what_a_dead_server_took_is_taken_over_once_after_its_lease() {
    let world = World::new().await;
    let state = kept(&world).await;
    let hold = |token: &'static str, take, now| {
        let queue = world.queue.clone();
        async move { queue.hold_schedule("nightly", &server(token), take, Some(now)).await.unwrap() }
    };
    assert_eq!(
        world.queue.step_schedule(&state, &night(1), &server("a"), Some(DAY)).await.unwrap(),
        Taken::Ours
    );
    let ours = Held::Ours { due: DAY, tries: 0 };
    assert_eq!(hold("a", false, DAY + 10 * SECOND).await, ours, "it lives");
    assert_eq!(hold("b", true, DAY + 35 * SECOND).await, Held::Lost, "it was heard of");
    assert_eq!(hold("b", true, DAY + 41 * SECOND).await, ours);
    assert_eq!(hold("c", true, DAY + 42 * SECOND).await, Held::Lost);
    assert_eq!(hold("a", false, DAY + 42 * SECOND).await, Held::Lost, "it is told when it wakes");
    assert!(!world.queue.end_schedule("nightly", "a", "{}", None, Some(DAY + 43 * SECOND)).await.unwrap());
    assert!(world.queue.end_schedule("nightly", "b", "{}", None, Some(DAY + 43 * SECOND)).await.unwrap());
    assert_eq!(seen(&world).await.next, 2 * DAY);
}

#[tokio::test]
async fn a_clock_that_goes_back_leaves_nothing_to_a_dead_server_for_long() {
    let world = World::new().await;
    let state = kept(&world).await;
    world.queue.step_schedule(&state, &night(1), &server("a"), Some(DAY)).await.unwrap();
    let back = DAY - 3_600 * SECOND;
    let take = |now| {
        let queue = world.queue.clone();
        async move { queue.hold_schedule("nightly", &server("b"), true, Some(now)).await.unwrap() }
    };
    assert_eq!(take(back).await, Held::Lost);
    assert_eq!(take(back + 31 * SECOND).await, Held::Ours { due: DAY, tries: 0 });
}

#[tokio::test]
async fn given_back_another_goes_on_at_once_and_tries_are_counted() {
    let world = World::new().await;
    let state = kept(&world).await;
    world.queue.step_schedule(&state, &night(1), &server("a"), Some(DAY)).await.unwrap();
    assert!(world.queue.return_schedule("nightly", "a", None, Some(DAY + SECOND)).await.unwrap());
    let take = |token: &'static str, now| {
        let queue = world.queue.clone();
        async move { queue.hold_schedule("nightly", &server(token), true, Some(now)).await.unwrap() }
    };
    assert_eq!(take("b", DAY + SECOND).await, Held::Ours { due: DAY, tries: 0 });
    assert_eq!((seen(&world).await.held, seen(&world).await.trouble), (true, None));
    let back = |token: &'static str, why: String, now| {
        let queue = world.queue.clone();
        let wait = Duration::from_secs(20);
        async move { queue.return_schedule("nightly", token, Some((wait, &why)), Some(now)).await.unwrap() }
    };
    assert!(back("b", "the store is away".to_owned(), DAY + 2 * SECOND).await);
    assert_eq!(take("c", DAY + 3 * SECOND).await, Held::Lost, "not before the time it was given back for");
    let (state, since) = (seen(&world).await, DAY + 2 * SECOND);
    assert_eq!((state.held, state.lease), (false, DAY + 22 * SECOND));
    assert_eq!(state.trouble, Some(Trouble { tries: 1, since, why: "the store is away".to_owned() }));
    assert_eq!(take("c", DAY + 30 * SECOND).await, Held::Ours { due: DAY, tries: 1 });
    assert!(back("c", "x".repeat(2_000), DAY + 31 * SECOND).await);
    let trouble = seen(&world).await.trouble.unwrap();
    assert_eq!((trouble.tries, trouble.since, trouble.why.len()), (2, since, 500), "since the first of them");
    assert_eq!(take("d", DAY + 60 * SECOND).await, Held::Ours { due: DAY, tries: 2 });
    assert!(world.queue.end_schedule("nightly", "d", "{}", None, Some(DAY + 61 * SECOND)).await.unwrap());
    assert_eq!(seen(&world).await.trouble, None);
}

#[tokio::test]
async fn words_of_an_older_trouble_are_not_told_of_another_time() {
    let world = World::new().await;
    let state = kept(&world).await;
    world.queue.step_schedule(&state, &night(1), &server("a"), Some(DAY)).await.unwrap();
    // An older version of Pictor counted a try, and left what was said of the night before.
    let key = world.queue.keys().schedule("nightly");
    let fields = [("tries", "3".to_owned()), ("since", (DAY - 1).to_string()), ("trouble", "old".to_owned())];
    let _: () = world.redis.clone().hset_multiple(key, &fields).await.unwrap();
    let trouble = seen(&world).await.trouble;
    assert_eq!(trouble, Some(Trouble { tries: 3, since: DAY, why: String::new() }));
}

#[tokio::test]
async fn pausing_and_removing_in_the_middle_of_a_run() {
    let world = World::new().await;
    let state = kept(&world).await;
    world.queue.step_schedule(&state, &night(1), &server("a"), Some(DAY)).await.unwrap();
    world.queue.steer_schedule("nightly", Steer::Pause("a new catalogue"), Some(DAY)).await.unwrap();
    let hold = |token: &'static str, take, now| {
        let queue = world.queue.clone();
        async move { queue.hold_schedule("nightly", &server(token), take, Some(now)).await.unwrap() }
    };
    assert_eq!(hold("a", false, DAY + SECOND).await, Held::Ours { due: DAY, tries: 0 }, "it is finished");
    assert_eq!(hold("b", true, DAY + 60 * SECOND).await, Held::Paused, "a dead one's is given up");
    assert_eq!((due(&world, 9 * DAY).await, seen(&world).await.firing), (0, None));
    // What passed in the pause is not made up for.
    world.queue.steer_schedule("nightly", Steer::Resume(6 * DAY), Some(5 * DAY + 5)).await.unwrap();
    let resumed = seen(&world).await;
    assert_eq!((resumed.cursor, resumed.next, resumed.paused.clone()), (5 * DAY + 5, 6 * DAY, None));
    let step = Step { due: Some(6 * DAY), upto: 6 * DAY, next: 7 * DAY, ..Step::default() };
    world.queue.step_schedule(&resumed, &step, &server("c"), Some(6 * DAY)).await.unwrap();
    assert!(world.queue.steer_schedule("nightly", Steer::Remove, None).await.unwrap());
    assert_eq!(hold("c", false, 6 * DAY + SECOND).await, Held::Lost, "it is told");
    assert!(!world.queue.end_schedule("nightly", "c", "{}", None, None).await.unwrap());
    assert!(world.queue.schedules().await.unwrap().is_empty());
    // Another of that name is another: what was seen of the first fires nothing.
    kept(&world).await;
    let old = world.queue.step_schedule(&resumed, &step, &server("d"), Some(6 * DAY)).await.unwrap();
    assert_eq!(old, Taken::Changed);
}

#[tokio::test]
async fn a_name_is_not_taken_twice_unless_that_is_said() {
    let world = World::new().await;
    kept(&world).await;
    let put = |replace| world.queue.keep_schedule("nightly", "{2}", "bob@desk", DAY, replace, Some(5));
    assert!(!put(false).await.unwrap());
    assert_eq!(seen(&world).await.by, "ann@desk");
    assert!(put(true).await.unwrap());
    assert_eq!((seen(&world).await.by.as_str(), seen(&world).await.cursor), ("bob@desk", 5));
}

#[tokio::test]
async fn the_batch_of_the_last_run_is_known_however_many_times_were_skipped_since() {
    let world = World::new().await;
    let state = kept(&world).await;
    world.queue.step_schedule(&state, &night(1), &server("a"), Some(DAY)).await.unwrap();
    assert_eq!(seen(&world).await.batch, None);
    let batch = Some("nightly-1");
    assert!(world.queue.end_schedule("nightly", "a", "{}", batch, Some(DAY + SECOND)).await.unwrap());
    let skipped = ["{}".to_owned()];
    for n in 2..130 {
        let step = Step { due: None, runs: &skipped, ..night(n) };
        let state = seen(&world).await;
        let taken = world.queue.step_schedule(&state, &step, &server("b"), Some(n * DAY)).await.unwrap();
        assert_eq!(taken, Taken::Ours);
    }
    assert_eq!(seen(&world).await.batch.as_deref(), batch);
    // A night that failed leaves it; what is known is not of another schedule of that name.
    world.queue.step_schedule(&seen(&world).await, &night(130), &server("c"), Some(130 * DAY)).await.unwrap();
    assert!(world.queue.end_schedule("nightly", "c", "{}", None, Some(130 * DAY)).await.unwrap());
    assert_eq!(seen(&world).await.batch.as_deref(), batch);
    world.queue.steer_schedule("nightly", Steer::Remove, None).await.unwrap();
    assert_eq!(kept(&world).await.batch, None);
}
