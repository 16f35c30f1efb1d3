//! What is told to webhooks: nothing is missed, nothing is told under two ids, and nothing grows without bound.

use std::time::Duration;

use pictor_common::{
    batch::Made,
    queue::{Answered, Declared, Due, Failure, News, Notice, What},
    webhook::{EventType, Wanted, message_id},
};

use crate::world::{World, attempt, id, unmade};

fn hook(name: &str) -> Declared {
    let wanted = Wanted {
        events: EventType::ALL.to_vec(),
        tenants: Vec::new(),
        named_only: false,
        host: "http://127.0.0.1".to_owned(),
    };
    Declared { name: name.to_owned(), address: "a".to_owned(), wanted }
}

fn notice(hook: &str, news: &News) -> Notice {
    Notice {
        hook: hook.to_owned(),
        id: message_id("ns", &news.text),
        event: EventType::BatchCompleted,
        about: "b".to_owned(),
        body: "{}".to_owned(),
    }
}

async fn with_hook() -> World {
    let world = World::new().await;
    world.queue.declare_webhooks(&[hook("shop")]).await.unwrap();
    world
}

/// What is left to tell, as types and batches.
async fn ended(world: &World) -> Vec<(EventType, String)> {
    let news = world.queue.news(100).await.unwrap();
    news.into_iter()
        .filter_map(|news| match news.what {
            What::Batch(event, batch) => Some((event, batch.to_string())),
            What::Cause(..) | What::Other => None,
        })
        .collect()
}

async fn fail(world: &World, message: &str) {
    let grant = world.sent().await;
    let failure = Failure { class: "bad_spec".into(), message: message.into(), ..Failure::default() };
    world.queue.fail(&attempt(&grant), &unmade(&failure)).await.unwrap();
}

async fn publish_all(world: &World, hooks: &[&str]) -> Vec<String> {
    let mut dropped = Vec::new();
    for news in world.queue.news(2_000).await.unwrap() {
        let notices: Vec<Notice> = hooks.iter().map(|hook| notice(hook, &news)).collect();
        dropped.extend(world.queue.announce(&news, &notices).await.unwrap());
    }
    dropped
}

async fn take(world: &World, owner: &str) -> Vec<Due> {
    world.queue.take_notices("shop", owner, 4).await.unwrap().0
}

/// What would be due later is due now, as if its time had come.
async fn hasten(world: &World) {
    let due = world.queue.keys().notices_due("shop");
    let mut redis = world.redis.clone();
    let ids: Vec<String> =
        redis::cmd("ZRANGE").arg(&due).arg(0).arg(-1).query_async(&mut redis).await.unwrap();
    for id in ids {
        redis::cmd("ZADD").arg(&due).arg(1).arg(id).exec_async(&mut redis).await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_that_ends_leaves_word_in_the_same_call_and_each_time_it_ends() {
    let world = with_hook().await;
    world.submit("made", "shop", 0..1).await;
    assert!(ended(&world).await.is_empty());
    let grant = world.sent().await;
    world.queue.settle(&attempt(&grant), &Made::default()).await.unwrap();
    assert_eq!(ended(&world).await, [(EventType::BatchCompleted, "made".to_owned())]);
    world.queue.settle(&attempt(&grant), &Made::default()).await.unwrap();
    assert_eq!(ended(&world).await.len(), 1, "a repeated call says nothing new");

    world.submit("mixed", "shop", 1..3).await;
    fail(&world, "no such size").await;
    world.queue.settle(&attempt(&world.sent().await), &Made::default()).await.unwrap();
    assert!(ended(&world).await.contains(&(EventType::BatchFailed, "mixed".to_owned())));
}

#[tokio::test]
async fn a_batch_that_is_taken_up_again_ends_again_under_another_id() {
    let world = with_hook().await;
    world.submit("b", "shop", 0..1).await;
    fail(&world, "no such size").await;
    let first = world.queue.news(10).await.unwrap();
    world
        .queue
        .act_on_failures(&[crate::world::key(0)], pictor_common::queue::FailureAction::Retry)
        .await
        .unwrap();
    let grant = world.sent().await;
    world.queue.settle(&attempt(&grant), &Made::default()).await.unwrap();
    let both: Vec<News> = world.queue.news(10).await.unwrap();
    let of_batch: Vec<&News> = both.iter().filter(|news| matches!(news.what, What::Batch(..))).collect();
    assert_eq!(of_batch.len(), 2, "{both:?}");
    assert!(first.contains(of_batch[0]));
    assert_ne!(message_id("ns", &of_batch[0].text), message_id("ns", &of_batch[1].text));

    world.submit("c", "shop", 5..6).await;
    world.queue.cancel(&id("c"), "not wanted").await.unwrap();
    assert!(ended(&world).await.contains(&(EventType::BatchCancelled, "c".to_owned())));
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_kept() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1).await;
    fail(&world, "no such size").await;
    assert!(world.queue.news(10).await.unwrap().is_empty());
    let keys = world.queue.keys();
    for name in [keys.news(), keys.told_causes(), keys.hooks()] {
        let there: bool =
            redis::cmd("EXISTS").arg(&name).query_async(&mut world.redis.clone()).await.unwrap();
        assert!(!there, "{name}");
    }
}

#[tokio::test]
async fn whoever_publishes_first_has_published() {
    let world = with_hook().await;
    world.submit("b", "shop", 0..1).await;
    world.queue.settle(&attempt(&world.sent().await), &Made::default()).await.unwrap();
    let news = world.queue.news(10).await.unwrap().remove(0);
    let notices = [notice("shop", &news)];
    let (one, two) =
        tokio::join!(world.queue.announce(&news, &notices), world.queue.announce(&news, &notices));
    one.unwrap();
    two.unwrap();
    assert_eq!(world.queue.notices("shop", 10).await.unwrap().len(), 1);
    assert!(world.queue.news(10).await.unwrap().is_empty());
    world.queue.declare_webhooks(&[hook("shop")]).await.unwrap();
    assert!(world.queue.news(10).await.unwrap().is_empty(), "what was told is not found again");
}

#[tokio::test]
async fn a_batch_that_an_older_version_ended_is_found_wherever_it_stands() {
    let world = with_hook().await;
    let mut redis = world.redis.clone();
    let keys = world.queue.keys().clone();
    let since = world.now().await;
    redis::cmd("HSET")
        .arg(keys.hook("shop"))
        .arg("since")
        .arg(since - 60_000_000)
        .exec_async(&mut redis)
        .await
        .unwrap();
    // As an older version leaves them: ended, and no word of it. Some ended before the endpoint was known.
    let mut pipe = redis::pipe();
    for n in 0..700_u64 {
        let ended = if n % 7 == 0 { since - 90_000_000 } else { since - 30_000_000 };
        pipe.hset_multiple(
            keys.batch_named(&format!("old-{n}")),
            &[
                ("state", "complete".to_owned()),
                ("completed", ended.to_string()),
                ("failed", (n % 2).to_string()),
            ],
        );
        pipe.zadd(keys.batches(), format!("old-{n}"), since - 200_000_000 + n);
    }
    pipe.exec_async(&mut redis).await.unwrap();
    let mut found = 0;
    for _round in 0..6 {
        redis::cmd("HSET").arg(keys.meta()).arg("news_scanned").arg(0).exec_async(&mut redis).await.unwrap();
        found += world.queue.declare_webhooks(&[hook("shop")]).await.unwrap();
        publish_all(&world, &["shop"]).await;
    }
    assert_eq!(found, 600);
    let none = world.queue.declare_webhooks(&[hook("shop")]).await.unwrap();
    assert_eq!(none, 0, "only once in a while");
}

#[tokio::test]
async fn a_notice_is_one_workers_until_it_is_silent_and_what_was_taken_is_taken() {
    let world = with_hook().await;
    world.submit("b", "shop", 0..1).await;
    world.queue.settle(&attempt(&world.sent().await), &Made::default()).await.unwrap();
    publish_all(&world, &["shop"]).await;
    let first = take(&world, "one").await.remove(0);
    assert_eq!(first.attempt, 1);
    assert!(take(&world, "two").await.is_empty());
    // The first was killed; a minute has passed.
    hasten(&world).await;
    let second = take(&world, "two").await.remove(0);
    assert_eq!((&second.id, second.attempt), (&first.id, 2), "the same event");
    let late = world.queue.answered("shop", &first, Answered::GivenUp, "no").await.unwrap();
    assert_eq!(late, "lost", "it is another's now");
    let again = Answered::Again(Duration::from_secs(3_600));
    assert_eq!(world.queue.answered("shop", &second, again, "500").await.unwrap(), "waiting");
    assert!(take(&world, "two").await.is_empty());
    assert_eq!(world.queue.answered("shop", &first, Answered::Delivered, "204").await.unwrap(), "delivered");
    hasten(&world).await;
    assert!(take(&world, "two").await.is_empty(), "what was taken is not sent again");
    let told = world.queue.notices("shop", 10).await.unwrap();
    assert_eq!((told.len(), told[0].state.as_str(), told[0].attempts), (1, "delivered", 2));
}

#[tokio::test]
async fn what_waits_and_what_is_remembered_is_bounded() {
    let world = with_hook().await;
    let news = |n: u64| News { text: format!("completed|{n}|b{n}"), at: n, what: What::Other };
    let mut redis = world.redis.clone();
    let mut dropped = Vec::new();
    for n in 0..1_003 {
        redis::cmd("ZADD")
            .arg(world.queue.keys().news())
            .arg(n)
            .arg(news(n).text)
            .exec_async(&mut redis)
            .await
            .unwrap();
        dropped.extend(world.queue.announce(&news(n), &[notice("shop", &news(n))]).await.unwrap());
    }
    assert_eq!(dropped, ["shop"; 3]);
    let endpoint = world.queue.endpoints().await.unwrap().remove(0);
    assert_eq!((endpoint.waiting, endpoint.dropped), (1_000, 3));
    let first = world.queue.notices("shop", 2_000).await.unwrap().pop().unwrap();
    assert_eq!(first.id, message_id("ns", "completed|3|b3"), "the oldest went");
    let mut sent = 0;
    loop {
        let due = take(&world, "one").await;
        if due.is_empty() {
            break;
        }
        for due in due {
            world.queue.answered("shop", &due, Answered::Delivered, "204").await.unwrap();
            sent += 1;
        }
    }
    assert_eq!(sent, 1_000);
    let names: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{}notice:*", world.queue.keys().prefix()))
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(names.len(), 200);
}

#[tokio::test]
async fn who_is_gone_is_told_nothing_until_somebody_asks_or_it_moves() {
    let world = with_hook().await;
    for n in 0..3 {
        world.submit(&format!("b{n}"), "shop", n..n + 1).await;
        world.queue.settle(&attempt(&world.sent().await), &Made::default()).await.unwrap();
    }
    publish_all(&world, &["shop"]).await;
    let due = take(&world, "one").await;
    assert_eq!(world.queue.answered("shop", &due[0], Answered::Gone, "410 Gone").await.unwrap(), "given_up");
    for due in &due[1..] {
        world.queue.answered("shop", due, Answered::Again(Duration::from_secs(9)), "500").await.unwrap();
    }
    hasten(&world).await;
    assert!(take(&world, "one").await.is_empty());
    let disabled = async || world.queue.endpoints().await.unwrap().remove(0).disabled;
    assert_eq!(disabled().await.as_deref(), Some("410 Gone"));
    assert_eq!(world.queue.tell_again("shop", true).await.unwrap(), Some((1, 2, true)));
    assert!(disabled().await.is_some(), "a dry run changes nothing");
    assert_eq!(world.queue.tell_again("shop", false).await.unwrap(), Some((1, 2, true)));
    assert_eq!(disabled().await, None);
    assert_eq!(take(&world, "one").await.len(), 3);
    assert_eq!(world.queue.tell_again("nobody", false).await.unwrap(), None);

    world.queue.answered("shop", &due[1], Answered::Delivered, "204").await.unwrap();
    let last = world.queue.notices("shop", 10).await.unwrap();
    assert_eq!(last.iter().filter(|told| told.state == "waiting").count(), 2);
    hasten(&world).await;
    let due = take(&world, "one").await;
    world.queue.answered("shop", &due[0], Answered::Gone, "410 Gone").await.unwrap();
    world.queue.declare_webhooks(&[hook("shop")]).await.unwrap();
    assert!(disabled().await.is_some(), "where it was it is gone");
    world.queue.declare_webhooks(&[Declared { address: "b".to_owned(), ..hook("shop") }]).await.unwrap();
    assert_eq!(disabled().await, None);
}

#[tokio::test]
async fn an_endpoint_that_nobody_names_for_a_day_is_forgotten_with_all_that_waits() {
    let world = with_hook().await;
    world.submit("b", "shop", 0..1).await;
    world.queue.settle(&attempt(&world.sent().await), &Made::default()).await.unwrap();
    publish_all(&world, &["shop"]).await;
    let mut redis = world.redis.clone();
    let keys = world.queue.keys().clone();
    redis::cmd("HSET").arg(keys.hook("shop")).arg("seen").arg(5).exec_async(&mut redis).await.unwrap();
    redis::cmd("HSET").arg(keys.meta()).arg("news_scanned").arg(0).exec_async(&mut redis).await.unwrap();
    world.queue.declare_webhooks(&[hook("other")]).await.unwrap();
    let names: Vec<String> =
        world.queue.endpoints().await.unwrap().into_iter().map(|endpoint| endpoint.name).collect();
    assert_eq!(names, ["other"]);
    let left: Vec<String> =
        redis::cmd("KEYS").arg(format!("{}noti*", keys.prefix())).query_async(&mut redis).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

/// No worker has named an endpoint for more than a day, and it is looked whether that is so.
async fn is_quiet(world: &World, name: &str) {
    let (keys, mut redis) = (world.queue.keys(), world.redis.clone());
    redis::cmd("HSET").arg(keys.hook(name)).arg("seen").arg(5).exec_async(&mut redis).await.unwrap();
    redis::cmd("HSET").arg(keys.meta()).arg("news_scanned").arg(0).exec_async(&mut redis).await.unwrap();
}

async fn count(world: &World, pattern: &str) -> usize {
    let pattern = format!("{}{pattern}", world.queue.keys().prefix());
    let names: Vec<String> =
        redis::cmd("KEYS").arg(pattern).query_async(&mut world.redis.clone()).await.unwrap();
    names.len()
}

#[tokio::test]
async fn what_has_left_the_settings_with_all_that_waits_is_forgotten_in_small_parts() {
    let world = World::new().await;
    world.queue.declare_webhooks(&[hook("shop"), hook("till")]).await.unwrap();
    let (keys, mut redis) = (world.queue.keys().clone(), world.redis.clone());
    let mut pipe = redis::pipe();
    for name in ["shop", "till"] {
        for n in 0..700 {
            let set = if n < 600 { keys.notices(name) } else { keys.notices_past(name) };
            pipe.zadd(set, format!("m{n}"), n).ignore();
            pipe.hset(keys.notice(name, &format!("m{n}")), "body", "{}").ignore();
        }
    }
    pipe.exec_async(&mut redis).await.unwrap();
    let mut left = count(&world, "notice:*").await;
    assert_eq!(left, 1_400);
    for _call in 0..4 {
        for name in ["shop", "till"] {
            let there: bool =
                redis::cmd("HEXISTS").arg(keys.hooks()).arg(name).query_async(&mut redis).await.unwrap();
            if there {
                is_quiet(&world, name).await;
            }
        }
        world.queue.forget_webhooks().await.unwrap();
        let now = count(&world, "notice:*").await;
        assert!(left - now <= 500, "{left} and then {now}: others wait for so long a call");
        left = now;
    }
    assert_eq!((left, count(&world, "hook*").await, count(&world, "noti*").await), (0, 0, 0));
}

#[tokio::test]
async fn after_the_last_endpoint_nothing_is_written_and_nothing_is_kept() {
    let world = with_hook().await;
    world.submit("b", "shop", 0..2).await;
    fail(&world, "no such size").await;
    world.queue.forget_webhooks().await.unwrap();
    assert!(!world.queue.news(10).await.unwrap().is_empty(), "a worker with a table may only be away");
    is_quiet(&world, "shop").await;
    world.queue.forget_webhooks().await.unwrap();
    assert!(world.queue.endpoints().await.unwrap().is_empty());
    fail(&world, "no such size").await;
    assert_eq!(count(&world, "news").await, 0);
}

#[tokio::test]
async fn a_server_that_is_full_keeps_its_room_for_what_is_paid_for_and_news_waits() {
    let world = World::alone().await;
    world.queue.declare_webhooks(&[hook("shop")]).await.unwrap();
    world.submit("b", "shop", 0..1).await;
    let grant = world.sent().await;
    let room = async |bytes: &str| {
        let mut redis = world.redis.clone();
        redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).exec_async(&mut redis).await.unwrap();
    };
    room("1000000").await;
    world.queue.settle(&attempt(&grant), &Made::default()).await.unwrap();
    let news = world.queue.news(10).await.unwrap().remove(0);
    let notices = [notice("shop", &news)];
    let refused = world.queue.announce(&news, &notices).await.unwrap_err();
    assert!(refused.to_string().contains("the server is full"), "{refused}");
    assert_eq!(world.queue.news(10).await.unwrap(), std::slice::from_ref(&news));
    room("0").await;
    world.queue.announce(&news, &notices).await.unwrap();
    assert_eq!(take(&world, "one").await.len(), 1, "it is told once there is room");
}

#[tokio::test]
async fn a_cause_is_news_when_it_is_first_seen_and_at_powers_of_ten_for_each_tenant() {
    let world = with_hook().await;
    world.submit("b", "shop", 0..12).await;
    for n in 0..12 {
        fail(&world, &format!("size {n}x{n} is not one of those allowed for request req_{n}")).await;
    }
    world.submit("c", "other", 20..21).await;
    fail(&world, "size 7x7 is not one of those allowed for request req_x1").await;
    let causes: Vec<_> = world.queue.news(100).await.unwrap().into_iter().map(|news| news.what).collect();
    let causes: Vec<_> = causes
        .into_iter()
        .filter_map(|what| match what {
            What::Cause(event, name, count) => Some((event, name, count)),
            What::Batch(..) | What::Other => None,
        })
        .collect();
    let told: Vec<_> = causes.iter().map(|(event, _, count)| (*event, *count)).collect();
    assert_eq!(told, [(EventType::FirstSeen, 1), (EventType::Growing, 10), (EventType::FirstSeen, 1)]);
    let seen = world.queue.cause_seen(&causes[1].1).await.unwrap().unwrap();
    assert_eq!((seen.tenant.as_str(), seen.count, seen.batch.as_str()), ("shop", 12, "b"));
    assert_eq!(seen.message, "size # is not one of those allowed for request #");
    let of_batch = world.queue.causes_in(&id("b"), 5).await.unwrap();
    assert_eq!(of_batch.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [12]);
}

#[tokio::test]
async fn causes_without_end_are_bounded() {
    let world = with_hook().await;
    let mut redis = world.redis.clone();
    let causes = world.queue.keys().told_causes();
    let now = world.now().await;
    let mut pipe = redis::pipe();
    for n in 0..1_000 {
        pipe.zadd(&causes, format!("shop|{n}"), now);
    }
    pipe.exec_async(&mut redis).await.unwrap();
    world.submit("b", "shop", 0..2).await;
    fail(&world, "another one").await;
    let causes_told = async || {
        let news = world.queue.news(100).await.unwrap();
        news.iter().filter(|news| matches!(news.what, What::Cause(..))).count()
    };
    assert_eq!(causes_told().await, 0, "there is no room");
    // A week without one of them makes room.
    redis::cmd("ZADD")
        .arg(&causes)
        .arg(now - 8 * 86_400_000_000)
        .arg("shop|5")
        .exec_async(&mut redis)
        .await
        .unwrap();
    fail(&world, "another one").await;
    assert_eq!(causes_told().await, 1);
}

#[tokio::test]
async fn news_without_anybody_to_publish_it_is_bounded_and_counted() {
    let world = with_hook().await;
    let mut redis = world.redis.clone();
    let news = world.queue.keys().news();
    let mut pipe = redis::pipe();
    for n in 0..10_000 {
        pipe.zadd(&news, format!("completed|{n}|b{n}"), n);
    }
    pipe.exec_async(&mut redis).await.unwrap();
    world.submit("b", "shop", 0..1).await;
    world.queue.settle(&attempt(&world.sent().await), &Made::default()).await.unwrap();
    let count: u64 = redis::cmd("ZCARD").arg(&news).query_async(&mut redis).await.unwrap();
    assert_eq!(count, 10_000);
    assert_eq!(world.queue.news(1).await.unwrap()[0].text, "completed|1|b1", "the oldest went");
    let meta = world.queue.keys().meta();
    let dropped: u64 =
        redis::cmd("HGET").arg(meta).arg("news_dropped").query_async(&mut redis).await.unwrap();
    assert_eq!(dropped, 1);
}
