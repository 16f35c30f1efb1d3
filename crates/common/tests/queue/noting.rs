//! Notes of what people did.

use pictor_common::queue::Note;

use crate::world::World;

#[tokio::test]
async fn what_people_did_is_told_newest_first() {
    let world = World::new().await;
    for (what, why) in [("paused", "invoice"), ("resumed", "")] {
        let note = Note { who: "ann@desk", what, of: "batch b", count: 1, why };
        world.queue.note(&note).await.unwrap();
    }
    let notes = world.queue.notes(10).await.unwrap();
    let told: Vec<_> =
        notes.iter().map(|n| (n.who.as_str(), n.what.as_str(), n.of.as_str(), n.why.as_str())).collect();
    assert_eq!(told, [("ann@desk", "resumed", "batch b", ""), ("ann@desk", "paused", "batch b", "invoice")]);
    assert!(notes[0].at >= notes[1].at && notes[1].at > 0 && notes[1].count == 1);
}
