//! Batches: what is added, what is shared, what is refused.

use pictor_common::{
    batch::{Line, Made},
    queue::{Known, Queue, QueueError, SealError, Submitted},
    store::image_name,
};

use crate::world::{World, asset, attempt, head, id, key, line, spec};

#[tokio::test]
async fn submitting_again_adds_nothing() {
    let world = World::new().await;
    assert_eq!(world.submit("b", "shop", 0..1_200).await, Submitted { new: 1_200, ..Submitted::default() });
    assert_eq!(
        world.submit("b", "shop", 0..1_200).await,
        Submitted { queued: 1_200, ..Submitted::default() }
    );
    let batch = world.queue.batch(&id("b")).await.unwrap().unwrap();
    assert_eq!((batch.assets, batch.sealed, batch.ended()), (1_200, Some(1_200), false));
    assert_eq!(world.claim(2_000).await.grants.len(), 1_200);
}

#[tokio::test]
async fn one_id_never_stands_for_two_contents() {
    let world = World::new().await;
    world.submit("b", "shop", 0..2).await;
    let mut other = head("b", "shop");
    other.content = "different".into();
    let refused = world.queue.submit(&other, &[], &[], false).await;
    assert!(matches!(refused, Err(QueueError::OtherContent(id)) if id == "b"));
}

#[tokio::test]
async fn a_batch_is_sealed_only_when_whole() {
    let world = World::new().await;
    assert!(matches!(world.queue.seal(&id("b"), 1).await, Err(SealError::Missing(_))));
    world.submit("b", "shop", 0..2).await;
    assert!(matches!(world.queue.seal(&id("b"), 3).await, Err(SealError::Short(_))));
}

#[tokio::test]
async fn two_batches_that_share_an_asset_pay_once_and_both_count_it() {
    let world = World::new().await;
    world.submit("one", "a", 0..1).await;
    assert_eq!(world.submit("two", "b", 0..1).await.queued, 1);
    let grant = world.sent().await;
    assert!(world.claim(5).await.grants.is_empty(), "the shared asset is claimed once");
    crate::ending::settle(&world, &grant, 20_000).await;
    for batch in ["one", "two"] {
        let state = world.queue.batch(&id(batch)).await.unwrap().unwrap();
        assert_eq!((state.counts.done, state.state.as_str()), (1, "complete"), "{batch}");
    }
    assert_eq!(world.submit("three", "c", 0..1).await.made, 1);
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 20_000);
}

#[tokio::test]
async fn more_than_a_hundred_batches_are_counted_by_work_list() {
    let world = World::new().await;
    for n in 0..250 {
        world.submit(&format!("b{n}"), "shop", 0..1).await;
    }
    let grant = world.sent().await;
    crate::ending::settle(&world, &grant, 1).await;
    for _ in 0..5 {
        world.queue.reap(100).await.unwrap();
    }
    for n in 0..250 {
        let batch = world.queue.batch(&id(&format!("b{n}"))).await.unwrap().unwrap();
        assert_eq!(batch.counts.done, 1, "b{n}");
    }
}

#[tokio::test]
async fn cancelling_gives_up_what_nobody_else_asks_for() {
    let world = World::new().await;
    world.submit("one", "a", 0..3).await;
    world.submit("two", "b", 2..3).await;
    let sent = world.sent().await;
    assert!(world.queue.cancel(&id("one"), "changed our mind").await.unwrap());
    for _ in 0..3 {
        world.queue.reap(100).await.unwrap();
    }
    assert_eq!(sent.key, key(0));
    assert_eq!(world.phase(&key(0)).await, "sent", "what is sent is finished");
    assert_eq!(world.phase(&key(1)).await, "none");
    let next = world.claim(5).await.grants;
    assert_eq!(next.iter().map(|g| (&g.key, g.payer.as_str())).collect::<Vec<_>>(), [(&key(2), "two")]);
    crate::ending::settle(&world, &sent, 7).await;
    assert_eq!(world.phase(&key(0)).await, "done");
    assert_eq!(world.queue.totals().await.unwrap().spent.0, 7);
}

#[tokio::test]
async fn a_chunk_that_overtakes_another_is_refused_whole() {
    let world = World::new().await;
    let chunk = |rows: std::ops::RangeInclusive<u64>, after| {
        let assets: Vec<_> = rows.map(|n| (n, asset(n))).collect();
        let lines: Vec<_> = assets.iter().map(|(row, asset)| line(*row, asset)).collect();
        world.queue.chunk(&head("b", "shop"), &assets, &lines, false, Some(after), &[]).unwrap()
    };
    let chunks = [chunk(1..=3, 0), chunk(5..=6, 3), chunk(8..=8, 6)];
    let overtaken =
        |sent: Result<Submitted, QueueError>| matches!(sent, Err(QueueError::Gap(id)) if id == "b");
    assert!(overtaken(world.queue.send(&chunks[1]).await));
    assert_eq!(world.queue.batch(&id("b")).await.unwrap(), None, "nothing of it is there");
    world.queue.send(&chunks[0]).await.unwrap();
    assert!(overtaken(world.queue.send(&chunks[2]).await));
    for _lost_reply in 0..2 {
        world.queue.send(&chunks[1]).await.unwrap();
    }
    // Other chunks than before would count rows twice.
    assert!(overtaken(world.queue.send(&chunk(6..=8, 6)).await));
    world.queue.send(&chunks[2]).await.unwrap();
    assert_eq!(world.queue.last_row(&id("b")).await.unwrap(), 8);
    world.queue.seal(&id("b"), 6).await.unwrap();
    assert_eq!(world.queue.batch(&id("b")).await.unwrap().unwrap().assets, 6);
}

#[tokio::test]
async fn lines_and_members_are_found_by_row_and_by_place() {
    let world = World::new().await;
    // Row 3 of five asks for what row 2 asked for, and for two more; rows 4 and 9 are missing.
    let rows = [(1, vec![1]), (2, vec![2]), (3, vec![2, 3, 30]), (5, vec![5]), (10, vec![1, 10])];
    let lines: Vec<Line> = rows
        .iter()
        .map(|(row, keys)| Line {
            row: *row,
            id: format!("sku-{row}"),
            keys: keys.iter().map(|n| key(*n)).collect(),
            cells: vec![format!("sku-{row}"), "é, \"quoted\"".to_owned()],
        })
        .collect();
    for (lines, assets) in [
        (&lines[..2], vec![(1, 1), (2, 2)]),
        (&lines[2..4], vec![(3, 3), (3, 30), (5, 5)]),
        (&lines[4..], vec![(10, 10)]),
    ] {
        let assets: Vec<_> = assets.into_iter().map(|(row, n)| (row, asset(n))).collect();
        world.queue.submit(&head("b", "shop"), &assets, lines, false).await.unwrap();
    }
    assert_eq!(world.queue.lines(&id("b"), 0, 100).await.unwrap(), lines);
    assert_eq!(world.queue.lines(&id("b"), 2, 4).await.unwrap(), lines[1..4]);
    assert_eq!(world.queue.lines(&id("b"), 6, 4).await.unwrap(), []);
    let members = [1, 2, 3, 30, 5, 10].map(key);
    assert_eq!(world.queue.members(&id("b"), 0, 100).await.unwrap(), members);
    for first in 0..7 {
        let found = world.queue.members(&id("b"), first, 2).await.unwrap();
        assert_eq!(found, members[first..(first + 2).min(6).max(first)], "{first}");
    }
    let rows = world.queue.rows_of(&key(30), &[id("b"), id("other")]).await.unwrap();
    assert_eq!(rows, [Some(3), None]);
}

#[tokio::test]
async fn what_is_made_is_kept_small_and_told_whole() {
    let world = World::new().await;
    world.submit("b", "shop", 0..2).await;
    let mut redis = world.redis.clone();
    for revised_prompt in [None, Some("x".repeat(500))] {
        let grant = world.sent().await;
        let object = image_name(&grant.key, &grant.spec);
        let made =
            Made { object, content_type: "image/png".into(), bytes: 7, revised_prompt, ..Made::default() };
        world.queue.settle(&attempt(&grant), &made).await.unwrap();
        let state = world.queue.assets(std::slice::from_ref(&grant.key)).await.unwrap().remove(0).unwrap();
        assert_eq!((state.phase.as_str(), state.model.as_str(), state.attempts), ("done", "dall-e-2", 1));
        assert_eq!((state.made, state.spec), (Some(made), None));
        let name = world.queue.keys().asset(&grant.key);
        let encoding: String =
            redis::cmd("OBJECT").arg("ENCODING").arg(&name).query_async(&mut redis).await.unwrap();
        assert_eq!(encoding, "listpack");
        let fields: Vec<String> = redis::cmd("HKEYS").arg(&name).query_async(&mut redis).await.unwrap();
        assert!(fields.len() <= 4, "{fields:?}");
    }
    // Submitted again, also by another, what is made needs no spec.
    assert_eq!(world.submit("c", "other", 0..2).await.made, 2);
    let batch = world.queue.batch(&id("c")).await.unwrap().unwrap();
    assert_eq!((batch.counts.done, batch.state.as_str()), (2, "complete"));
    let specs: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{}s:*", world.queue.keys().prefix()))
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(specs, Vec::<String>::new());
    assert_eq!(asset(0).spec, spec(0));
}

#[tokio::test]
async fn a_batch_that_inherits_an_asset_has_it_at_its_own_row() {
    let world = World::new().await;
    world.submit("one", "a", 5..6).await;
    let later = (7, asset(7));
    let shared = (9, asset(5));
    let lines = [line(7, &later.1), line(9, &shared.1)];
    world.queue.submit(&head("two", "b"), &[later, shared], &lines, false).await.unwrap();
    assert_eq!(world.queue.rows_of(&key(5), &[id("one"), id("two")]).await.unwrap(), [Some(5), Some(9)]);
    world.queue.cancel(&id("one"), "changed our mind").await.unwrap();
    world.queue.reap(100).await.unwrap();
    assert_eq!(world.queue.rows_of(&key(5), &[id("one"), id("two")]).await.unwrap(), [None, Some(9)]);
    let grants = world.claim(1).await.grants;
    assert_eq!(grants[0].key, key(7));
    let held: Vec<_> = grants.iter().map(|grant| (grant.key.clone(), grant.token.clone())).collect();
    world.queue.release(&held).await.unwrap();
    let order: Vec<_> = world.claim(5).await.grants.into_iter().map(|grant| grant.key).collect();
    assert_eq!(order, [key(7), key(5)]);
}

#[tokio::test]
async fn a_large_batch_is_cancelled_page_by_page() {
    let world = World::new().await;
    world.submit("b", "shop", 0..1_200).await;
    world.queue.cancel(&id("b"), "changed our mind").await.unwrap();
    for _ in 0..5 {
        world.queue.reap(100).await.unwrap();
    }
    let mut redis = world.redis.clone();
    let pattern = format!("{}[as]:*", world.queue.keys().prefix());
    let left: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn a_retry_takes_its_old_place_in_every_flow() {
    let world = World::new().await;
    world.submit("one", "a", 3..6).await;
    world.submit("two", "b", 4..6).await;
    // Claimed through whichever flow, and given back: the first asker's row is not forgotten.
    for _ in 0..3 {
        let grants = world.claim(3).await.grants;
        assert_eq!(grants.len(), 3);
        let held: Vec<_> = grants.iter().map(|grant| (grant.key.clone(), grant.token.clone())).collect();
        world.queue.release(&held).await.unwrap();
    }
    for n in 3..6 {
        let rows = world.queue.rows_of(&key(n), &[id("one"), id("two")]).await.unwrap();
        assert_eq!(rows, [Some(n), (n > 3).then_some(n)], "{n}");
    }
    let flow = world.queue.keys().flow(&crate::world::route(), &id("one"));
    let places: Vec<(String, u64)> = redis::cmd("ZRANGE")
        .arg(flow)
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES")
        .query_async(&mut world.redis.clone())
        .await
        .unwrap();
    assert_eq!(places, [3, 4, 5].map(|n| (key(n).to_string(), n)));
}

#[tokio::test]
async fn what_was_looked_up_before_redis_forgot_is_not_submitted() {
    let world = World::new().await;
    world.submit("made", "shop", 0..1).await;
    let grant = world.sent().await;
    crate::ending::settle(&world, &grant, 7).await;
    let chunk = |queue: &Queue, row: u64, after| {
        let asset = asset(row);
        let lines = [line(row, &asset)];
        queue.chunk(&head("b", "shop"), &[(row, asset)], &lines, false, Some(after), &[]).unwrap()
    };
    let written = async || {
        let pattern = format!("{}[abs]*:*", world.queue.keys().prefix());
        let names: Vec<String> =
            redis::cmd("KEYS").arg(pattern).query_async(&mut world.redis.clone()).await.unwrap();
        names
    };
    let forgot = |sent: Result<Submitted, QueueError>| matches!(sent, Err(QueueError::Forgot));

    let epoch = world.queue.epoch().await.unwrap();
    assert_eq!(world.queue.epoch().await.unwrap(), epoch);
    // As a plan finds it: made, so that it is not bought again.
    let known = Known { phase: "done".to_owned(), unasked: false, leaving: false };
    assert_eq!(world.queue.known(&[key(0)]).await.unwrap(), [Some(known)]);
    world.wipe().await;
    let then = world.queue.within(&epoch);
    assert!(forgot(world.queue.send(&chunk(&then, 0, 0)).await));
    // Somebody else began anew meanwhile.
    assert_ne!(world.queue.epoch().await.unwrap(), epoch);
    assert!(forgot(world.queue.send(&chunk(&then, 0, 0)).await));
    assert_eq!(written().await, Vec::<String>::new(), "nothing was written");

    // In the midst of the chunks, also where one that follows is on its way.
    let now = world.queue.within(&world.queue.epoch().await.unwrap());
    world.queue.send(&chunk(&now, 1, 0)).await.unwrap();
    world.wipe().await;
    for (row, after) in [(2, 1), (3, 2)] {
        assert!(forgot(world.queue.send(&chunk(&now, row, after)).await));
    }
    let sealed = now.seal(&id("b"), 3).await;
    assert!(matches!(sealed, Err(SealError::Queue(QueueError::Forgot))), "{sealed:?}");
    assert_eq!(written().await, Vec::<String>::new(), "nothing was written");

    let again = world.queue.within(&world.queue.epoch().await.unwrap());
    for row in 1..=3 {
        world.queue.send(&chunk(&again, row, row - 1)).await.unwrap();
    }
    again.seal(&id("b"), 3).await.unwrap();
}

#[tokio::test]
async fn what_only_a_cancelled_batch_asks_for_is_asked_for_by_nobody() {
    let world = World::new().await;
    world.submit("first", "a", 0..5).await;
    let grants = world.claim(2).await.grants;
    world.begin(&grants[0]).await;
    world.submit("cancelled", "b", 3..4).await;
    world.submit("other", "c", 4..5).await;
    let unasked = async || {
        let known = world.queue.known(&(0..6).map(key).collect::<Vec<_>>()).await.unwrap();
        let told = |known: Known| (known.phase, known.unasked);
        known.into_iter().map(|known| known.map(told)).collect::<Vec<_>>()
    };
    let told = |phase: &str, unasked| Some((phase.to_owned(), unasked));
    let all = |unasked| {
        let (claimed, ready) = (told("claimed", unasked), told("ready", unasked));
        vec![told("sent", false), claimed, ready.clone(), ready, told("ready", false), None]
    };
    assert_eq!(unasked().await, all(false));
    // No worker is alive, so that nothing was taken off the queue.
    for batch in ["first", "cancelled"] {
        assert!(world.queue.cancel(&id(batch), "changed our mind").await.unwrap());
    }
    assert_eq!(unasked().await, all(true));
    // Whoever asks next has them all, and pays.
    assert_eq!(world.submit("next", "d", 0..5).await.queued, 5);
    assert_eq!(unasked().await, all(false));
    world.queue.release(&[(grants[1].key.clone(), grants[1].token.clone())]).await.unwrap();
    let payers: Vec<_> =
        world.claim(5).await.grants.into_iter().map(|grant| (grant.key, grant.payer)).collect();
    assert_eq!(payers.len(), 4);
    assert!(
        payers.iter().all(|(key_of, payer)| payer == "next" || payer == "other" && *key_of == key(4)),
        "{payers:?}"
    );
}

#[tokio::test]
async fn an_asset_that_is_made_is_still_found_at_its_row() {
    let world = World::new().await;
    world.submit("b", "shop", 0..700).await;
    let grant = world.sent().await;
    crate::ending::settle(&world, &grant, 1).await;
    let asked = world.queue.asked(&grant.key, &["b".to_owned()]).await.unwrap();
    let line = asked[0].line.as_ref().expect("its line is there");
    assert!(line.keys.contains(&grant.key), "{line:?}");
}
