//! Tests of keys that change.

use std::fs;

use super::*;
use crate::provider::openai_images::KeyCommand;

fn live(account: Account) -> Arc<LiveKey> {
    Arc::new(LiveKey::first(&Arc::new(account), &Arc::new(Redactor::default())).unwrap())
}

fn from_file(path: &Path) -> Account {
    Account { api_key_file: Some(path.to_owned()), ..Account::default() }
}

fn from_shell(script: String) -> Account {
    let command = KeyCommand(vec!["sh".to_owned(), "-c".to_owned(), script]);
    Account { key_command: Some(command), ..Account::default() }
}

fn sent(key: &Key) -> &str {
    key.header.1.to_str().unwrap()
}

#[tokio::test]
async fn a_refusal_finds_the_key_that_came_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    fs::write(&path, "first-key\n").unwrap();
    let live = live(from_file(&path));
    let first = live.current().unwrap();
    assert_eq!(sent(&first), "Bearer first-key");

    let refused = live.refused(&first).await;
    assert!(!refused.replaced && refused.trouble.is_none(), "the same key is refused: {refused:?}");
    fs::write(&path, "second-key").unwrap();
    assert!(live.refused(&first).await.replaced);
    let second = live.current().unwrap();
    assert_eq!(sent(&second), "Bearer second-key");
    assert!(live.refused(&first).await.replaced, "a straggler with the old key");
    assert!(!live.refused(&second).await.replaced);

    fs::write(&path, "").unwrap();
    let refused = live.refused(&second).await;
    assert_eq!(refused.trouble.unwrap(), format!("api_key_file {} is empty", path.display()));
    assert_eq!(sent(&live.current().unwrap()), "Bearer second-key", "the last one stays in use");
    fs::write(&path, "third\u{7f}key").unwrap();
    assert!(live.refused(&second).await.trouble.unwrap().contains("cannot be sent"));
}

#[tokio::test]
async fn a_file_is_looked_at_beside_requests() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    fs::write(&path, "first-key").unwrap();
    let live = live(from_file(&path));
    fs::write(&path, "second-key").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while sent(&live.current().unwrap()) != "Bearer second-key" {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn many_refusals_run_one_command() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let live = live(from_shell(format!("echo x >> {0}; echo key-$(wc -l < {0})", runs.display())));
    let first = live.current().unwrap();
    assert_eq!(sent(&first), "Bearer key-1");
    let refusals = (0..50).map(|_| {
        let (live, first) = (Arc::clone(&live), Arc::clone(&first));
        tokio::spawn(async move { live.refused(&first).await.replaced })
    });
    for refusal in refusals.collect::<Vec<_>>() {
        assert!(refusal.await.unwrap());
    }
    assert_eq!(
        fs::read_to_string(&runs).unwrap().lines().count(),
        2,
        "one at the start, one for all refusals"
    );

    // It makes a new key for each call: that is no reason to call for ever.
    let second = live.current().unwrap();
    assert!(!live.refused(&second).await.replaced, "a fresh key that is refused too");
    second.accept();
    assert!(live.refused(&second).await.replaced, "one that worked for a while has been rotated");
}

#[tokio::test]
async fn a_command_that_fails_later_leaves_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    let live = live(from_shell(format!(
        "if [ -e {} ]; then echo no lease >&2; exit 4; fi; echo a-key",
        gone.display()
    )));
    fs::write(&gone, "").unwrap();
    let key = live.current().unwrap();
    let refused = live.refused(&key).await;
    assert!(!refused.replaced);
    assert_eq!(refused.trouble.unwrap(), "key_command sh ended with exit status: 4: no lease");
    assert!(!refused.digest.contains("a-key") && refused.digest.len() == 12);
}

#[test]
fn without_a_first_key_nothing_begins() {
    let first = |account: Account| {
        LiveKey::first(&Arc::new(account), &Arc::new(Redactor::default())).unwrap_err().to_string()
    };
    assert!(first(Account::default()).contains("api_key is missing"));
    assert_eq!(first(from_shell("exit 2".to_owned())), "key_command sh ended with exit status: 2");
    assert!(first(from_file(Path::new("/nowhere/key"))).starts_with("api_key_file /nowhere/key: "));
    let open = Account { auth: Auth::None, ..Account::default() };
    assert!(live(open).key().is_none());
}
