//! The line to an endpoint: what signs and what sends, read aside from the threads that carry images.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, Url, redirect};
use tokio::{
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
};

use super::{
    endpoint::{Secret, Webhook},
    send::{PATIENCE, words},
    sign::Key,
};

const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// A disk that takes longer for a small file is away. Twice this and [`PATIENCE`] are less than a notice is ours.
const READ_PATIENCE: Duration = Duration::from_secs(4);
/// Root certificates are read again after so long.
const KEPT: Duration = Duration::from_secs(3_600);
/// And where they could not be read, after so long.
const AGAIN: Duration = Duration::from_secs(60);

/// An endpoint and what is kept for it between requests.
pub(super) struct Line {
    pub(super) webhook: Webhook,
    client: Mutex<Option<Kept>>,
    /// A disk that does not answer holds one thread, however often it is asked.
    aside: Arc<Semaphore>,
}

struct Kept {
    client: Client,
    until: Instant,
}

impl Line {
    pub(super) fn to(webhook: &Webhook) -> Self {
        Self { webhook: webhook.clone(), client: Mutex::default(), aside: Arc::new(Semaphore::new(1)) }
    }

    /// What signs now.
    pub(super) async fn keys(&self) -> Result<Vec<Key>, String> {
        match &self.webhook.secret {
            Secret::Given(_) => self.webhook.keys(),
            Secret::File(file) => {
                let webhook = self.webhook.clone();
                let what = format!("the secret in {}", file.display());
                self.read(&what, move || webhook.keys()).await
            }
        }
    }

    /// What sends. An older one does where no newer one can be made.
    pub(super) async fn client(&self, url: &Url) -> Result<Client, String> {
        let made = async {
            let mut kept = self.client.lock().await;
            match kept.as_ref() {
                Some(kept) if Instant::now() < kept.until => return Ok(kept.client.clone()),
                _ => {}
            }
            let plain = url.scheme() == "http";
            match self.read("root certificates", move || client(plain).map_err(words)).await {
                Ok(client) => {
                    *kept = Some(Kept { client: client.clone(), until: Instant::now() + KEPT });
                    Ok(client)
                }
                Err(why) => {
                    let kept = kept.as_mut().ok_or(why)?;
                    kept.until = Instant::now() + AGAIN;
                    Ok(kept.client.clone())
                }
            }
        };
        let late = |_elapsed| Err(late("root certificates"));
        tokio::time::timeout(READ_PATIENCE + Duration::from_secs(1), made).await.unwrap_or_else(late)
    }

    /// A request failed without an answer: certificates may have changed.
    pub(super) async fn renew(&self) {
        if let Some(kept) = self.client.lock().await.as_mut() {
            kept.until = Instant::now();
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let reading = async {
            let place = Arc::clone(&self.aside).acquire_owned().await.map_err(|closed| closed.to_string())?;
            let reading = spawn_blocking(move || {
                let read = work();
                drop(place);
                read
            });
            reading.await.map_err(|stopped| stopped.to_string())?
        };
        tokio::time::timeout(READ_PATIENCE, reading).await.unwrap_or_else(|_elapsed| Err(late(what)))
    }
}

fn late(what: &str) -> String {
    format!("cannot read {what}: the disk did not answer within {} s", READ_PATIENCE.as_secs())
}

/// It keeps no connection: hours may lie between two requests.
fn client(plain: bool) -> reqwest::Result<Client> {
    let builder = || {
        Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(CONNECT_PATIENCE)
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(0)
    };
    match builder().build() {
        // A bare machine may have no root certificates, and plain HTTP needs none.
        Err(_no_roots) if plain => builder().tls_certs_only([]).build(),
        built => built,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use futures::future::join_all;
    use pictor_common::webhook::Wanted;

    use super::*;

    fn line(secret: PathBuf) -> Line {
        let wanted = Wanted {
            events: Vec::new(),
            tenants: Vec::new(),
            named_only: false,
            host: "http://127.0.0.1".to_owned(),
        };
        let url = "http://127.0.0.1:1/".to_owned().into();
        Line::to(&Webhook { name: "shop".to_owned(), url, secret: Secret::File(secret), wanted })
    }

    #[tokio::test]
    async fn a_secret_on_a_disk_that_is_away_stops_nobody_and_holds_one_thread() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        // Whoever opens a pipe that nobody writes waits, as on a mount whose server is gone.
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RWXU).unwrap();
        let line = line(file.clone());
        let four = join_all((0..4).map(|_| line.keys()));
        let mut others = 0;
        let begun = Instant::now();
        tokio::select! {
            biased;
            read = four => {
                assert!(read.into_iter().all(|read| read.is_err_and(|why| why.contains("did not answer"))));
            }
            () = async { loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                others += 1;
            } } => {}
        }
        assert!(others > 10, "the thread did other work meanwhile: {others}");
        assert!(begun.elapsed() < READ_PATIENCE * 3, "{:?}", begun.elapsed());
        assert_eq!(line.aside.available_permits(), 0, "one thread waits");

        fs::write(&file, "whsec_b2xkIGtleSBvZiB0aGlydHkgdHdvIGJ5dGVzIGZvciBhIHRlc3Q=").unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, "whsec_b2xkIGtleSBvZiB0aGlydHkgdHdvIGJ5dGVzIGZvciBhIHRlc3Q=").unwrap();
        assert_eq!(line.keys().await.unwrap().len(), 1, "it is back");
    }

    #[tokio::test]
    async fn a_client_is_kept_until_it_fails() {
        let line = line(PathBuf::from("/nowhere"));
        let url = Url::parse("http://127.0.0.1:1/").unwrap();
        let until = async || line.client.lock().await.as_ref().map(|kept| kept.until);
        let mut seen = Vec::new();
        for _request in 0..2 {
            line.client(&url).await.unwrap();
            seen.push(until().await.unwrap());
        }
        assert_eq!(seen[0], seen[1], "certificates are not read for each request");
        line.renew().await;
        line.client(&url).await.unwrap();
        assert!(until().await.unwrap() > seen[0]);
    }
}
