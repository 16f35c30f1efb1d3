//! Tells people that a cap is nearly reached: a line in the log, a command, a webhook.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use pictor_common::{metrics::Work, queue::Alert};
use reqwest::{Client, Url, redirect};
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{io::AsyncWriteExt as _, process::Command, sync::mpsc::UnboundedReceiver};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long a command may take.
const COMMAND_PATIENCE: Duration = Duration::from_secs(10);
/// How long a webhook may take.
const POST_PATIENCE: Duration = Duration::from_secs(5);

/// Who is told, besides the log.
#[derive(Clone, Debug, Default)]
pub struct AlertSettings {
    /// A program and its arguments; no shell reads them. It gets the alert as JSON on stdin.
    pub command: Vec<String>,
    /// Variables that it must not see.
    pub without_variables: Vec<String>,
    /// Where the same JSON is posted. Such addresses often hold a secret.
    pub url: Option<SecretString>,
}

/// Tells of alerts until `stop`, and then of those that came before it.
pub(crate) async fn run(
    settings: AlertSettings,
    namespace: String,
    metrics: Arc<Work>,
    mut alerts: UnboundedReceiver<Alert>,
    stop: CancellationToken,
) {
    let mut told: u64 = 0;
    loop {
        let alert = tokio::select! {
            biased;
            alert = alerts.recv() => alert,
            () = stop.cancelled() => None,
        };
        let Some(alert) = alert else { return };
        told += 1;
        metrics.alerted(&alert);
        let text = alert.to_string();
        warn!(percent = alert.percent, cap = %alert.cap, spent = %alert.spent, alerts = told, "budget: {text}");
        tell(&settings, body(&alert, &namespace, &text)).await;
    }
}

fn body(alert: &Alert, namespace: &str, text: &str) -> String {
    let mut body = serde_json::json!({ "kind": "budget", "namespace": namespace, "text": text });
    if let (Some(body), Ok(serde_json::Value::Object(alert))) =
        (body.as_object_mut(), serde_json::to_value(alert))
    {
        body.extend(alert);
    }
    body.to_string()
}

async fn tell(settings: &AlertSettings, body: String) {
    let command = async {
        if let Err(why) = run_command(settings, &body).await {
            let program = settings.command.first().map_or("", String::as_str);
            warn!(program, why, "the command that tells of the budget has failed");
        }
    };
    let webhook = async {
        if let Some(url) = &settings.url
            && let Err(why) = post(url, body.clone()).await
        {
            warn!(why, "the webhook that tells of the budget has failed");
        }
    };
    tokio::join!(command, webhook);
}

async fn run_command(settings: &AlertSettings, body: &str) -> Result<(), String> {
    let Some((program, arguments)) = settings.command.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    for name in &settings.without_variables {
        command.env_remove(name);
    }
    // A group of its own, so that what it started ends with it.
    let mut child =
        command.process_group(0).spawn().map_err(|error| format!("it cannot be started: {error}"))?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let ended = tokio::time::timeout(COMMAND_PATIENCE, async {
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it may know enough.
            let _unread = stdin.write_all(body.as_bytes()).await;
        }
        child.wait().await
    });
    let ended: Option<io::Result<ExitStatus>> = ended.await.ok();
    match ended {
        Some(Ok(status)) if status.success() => Ok(()),
        Some(Ok(status)) => Err(format!("it ended with {status}")),
        Some(Err(error)) => Err(error.to_string()),
        None => {
            if let Some(group) = group {
                let _gone = kill_process_group(group, Signal::KILL);
            }
            let _reaped = child.wait().await;
            Err(format!("it did not end within {} s", COMMAND_PATIENCE.as_secs()))
        }
    }
}

async fn post(url: &SecretString, body: String) -> Result<(), String> {
    let told = |error: reqwest::Error| error.without_url().to_string();
    let url = Url::parse(url.expose_secret()).map_err(|error| error.to_string())?;
    let builder = || Client::builder().timeout(POST_PATIENCE).redirect(redirect::Policy::none());
    let client = match builder().build() {
        // A bare machine may have no root certificates, and plain HTTP needs none.
        Err(_no_roots) if url.scheme() == "http" => builder().tls_certs_only([]).build(),
        built => built,
    };
    let request = client.map_err(told)?.post(url).header("content-type", "application/json").body(body);
    request.send().await.and_then(reqwest::Response::error_for_status).map_err(told)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use pictor_common::{MicroUsd, queue::CapOf};

    use super::*;

    fn alert() -> Alert {
        Alert {
            of: CapOf::TenantDay("shop".to_owned()),
            day: Some("2026-11-21".to_owned()),
            percent: 80,
            cap: MicroUsd(10_000_000),
            spent: MicroUsd(8_040_000),
            at: 7,
        }
    }

    fn shell(script: String) -> AlertSettings {
        AlertSettings { command: vec!["sh".to_owned(), "-c".to_owned(), script], ..AlertSettings::default() }
    }

    #[tokio::test]
    async fn a_command_reads_the_alert_and_sees_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("heard");
        let mut settings = shell(format!("cat > {0}; echo \"[$HOME]\" >> {0}", file.display()));
        settings.without_variables = vec!["HOME".to_owned()];
        run_command(&settings, &body(&alert(), "prod", &alert().to_string())).await.unwrap();
        let heard = std::fs::read_to_string(file).unwrap();
        let (json, home) = heard.split_at(heard.rfind('[').unwrap());
        assert_eq!(home, "[]\n");
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "kind": "budget", "namespace": "prod", "scope": "tenant_day", "name": "shop", "day": "2026-11-21",
                "percent": 80, "cap": 10_000_000, "spent": 8_040_000, "at": 7,
                "text": "80 % of the budget of tenant shop for a day (2026-11-21) is spent: $8.04 of $10.00",
            })
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_or_hangs_is_told_and_ended() {
        assert_eq!(
            run_command(&shell("exit 3".to_owned()), "{}").await.unwrap_err(),
            "it ended with exit status: 3"
        );
        let none = AlertSettings { command: vec!["no-such-program".to_owned()], ..AlertSettings::default() };
        assert!(run_command(&none, "{}").await.unwrap_err().starts_with("it cannot be started"));
        let begun = Instant::now();
        let why = run_command(&shell("sleep 600 & wait".to_owned()), "{}").await.unwrap_err();
        assert_eq!(why, "it did not end within 10 s");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_webhook_that_is_away_is_told_without_its_address() {
        let url = SecretString::from("http://127.0.0.1:1/hook/s3cret");
        assert!(!post(&url, "{}".to_owned()).await.unwrap_err().contains("s3cret"));
    }
}
