//! A whole Pictor of its own for a test: Redis, a store, the simulator, and the real binary.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use pictor_common::{
    keys::Keys,
    queue::{LedgerEntry, Queue},
};
use pictor_simulator::{Limits, Options};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::support::{process::Proc, redis_server::RedisServer, seaweed::Seaweed};

/// A key that must never be seen in any output.
pub(crate) const API_KEY: &str = "sk-sim-5up3r-s3cr3t-key";
pub(crate) const MODEL: &str = "dall-e-2";

/// The judge: a simulator on a thread of its own.
pub(crate) struct Sim {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sim {
    pub(crate) fn start(mut options: Options) -> Self {
        options.api_keys = vec![API_KEY.into()];
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let shutdown = async move {
                    let _dropped = stopped.await;
                };
                pictor_simulator::serve(listener, options, shutdown).await.unwrap();
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("http://{}/_simulator/{path}", self.address);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Every billed image and every refusal.
    pub(crate) async fn invoice(&self) -> Value {
        self.get("invoice").await
    }

    /// The invoice's totals.
    pub(crate) async fn totals(&self) -> Value {
        self.get("invoice?totals=1").await
    }

    /// What happens there now.
    pub(crate) async fn state(&self) -> Value {
        self.get("state").await
    }

    /// Billed images.
    pub(crate) async fn billed(&self) -> u64 {
        self.totals().await["images"].as_u64().unwrap()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the simulator failed");
        }
    }
}

/// Where a world keeps its images.
pub(crate) enum Images {
    Directory,
    S3(Arc<Seaweed>),
}

/// Redis, store, simulator, settings and a directory, all of its own.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) redis: RedisServer,
    pub(crate) sim: Sim,
    pub(crate) images: Images,
    /// Lines added to the settings file.
    pub(crate) limits: String,
}

impl World {
    pub(crate) fn start(options: Options) -> Self {
        Self::with(options, Images::Directory)
    }

    /// Without limits at the simulator: what is tested here is not the pace.
    pub(crate) fn with(mut options: Options, images: Images) -> Self {
        options.limits = Limits::none();
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            redis: RedisServer::start(),
            sim: Sim::start(options),
            images,
            limits: "requests = 1000000".to_owned(),
        };
        world.write_settings();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write_settings(&self) {
        let store = match &self.images {
            Images::Directory => format!("url = {:?}\n", self.path("images")),
            Images::S3(seaweed) => format!(
                "url = {:?}\nendpoint = {:?}\nregion = \"us-east-1\"\npath_style = true\naccess_key_id = {:?}\n",
                seaweed.url(&self.prefix()),
                seaweed.endpoint(),
                seaweed.access_key(),
            ),
        };
        let families: String = ["dall-e-2", "dall-e-3", "gpt-image"]
            .iter()
            .map(|family| format!("[accounts.sim.limits.{family}]\n{}\n", self.limits))
            .collect();
        let settings = format!(
            "data_dir = {data:?}\n[redis]\nurl = {redis:?}\nnamespace = \"it\"\n[store]\n{store}\
             [worker]\nspool = {spool:?}\n\
             [accounts.sim]\nbase_url = {base:?}\napi_key_env = \"SIM_API_KEY\"\n{families}",
            data = self.path("data"),
            redis = self.redis.url(),
            spool = self.path("spool"),
            base = self.sim.base_url(),
        );
        fs::write(self.path("pictor.toml"), settings).unwrap();
    }

    pub(crate) fn prefix(&self) -> String {
        self.dir.path().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned()
    }

    /// The binary, with nothing in its environment but what a test gives it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_pictor")), args)
    }

    /// The same of another version of it.
    pub(crate) fn command_of(&self, binary: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SIM_API_KEY", API_KEY).current_dir(self.dir.path()).stdin(Stdio::null());
        if let Images::S3(seaweed) = &self.images {
            command.env("PICTOR_STORE__SECRET_ACCESS_KEY", seaweed.secret_key());
        }
        command.arg("--config").arg(self.path("pictor.toml")).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed and prints one JSON object.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", told(&output)))
    }

    /// Starts a worker; `name` names its logs.
    pub(crate) fn worker(&self, name: &str, concurrency: usize, settings: &[(&str, &str)]) -> Worker {
        let mut command = self.command(&["worker", "--concurrency", &concurrency.to_string()]);
        command.envs(settings.iter().copied());
        self.started(name, &mut command)
    }

    /// Starts a worker of another version.
    pub(crate) fn worker_of(&self, binary: &Path, name: &str, concurrency: usize) -> Worker {
        self.started(
            name,
            &mut self.command_of(binary, &["worker", "--concurrency", &concurrency.to_string()]),
        )
    }

    fn started(&self, name: &str, command: &mut Command) -> Worker {
        let mut proc = Proc::spawn(name, command, self.dir.path());
        proc.wait_until("working", Duration::from_secs(30), |proc| incarnation(&proc.stderr()).is_some());
        let incarnation = incarnation(&proc.stderr()).unwrap();
        Worker { proc, incarnation }
    }

    /// Writes a CSV of different prompts.
    pub(crate) fn catalogue(&self, name: &str, prompts: std::ops::Range<u64>) -> PathBuf {
        let mut text = String::from("id,prompt,model,size\n");
        for n in prompts {
            text.push_str(&format!("row-{n},thing number {n},{MODEL},256x256\n"));
        }
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) async fn queue(&self) -> Queue {
        let client = redis::Client::open(self.redis.url()).unwrap();
        Queue::connect(client, Keys::new("it").unwrap()).await.unwrap()
    }

    /// The whole ledger.
    pub(crate) async fn ledger(&self) -> Vec<LedgerEntry> {
        let queue = self.queue().await;
        let (mut after, mut all) = ("-".to_owned(), Vec::new());
        loop {
            let page = queue.ledger(&after, 1_000).await.unwrap();
            let Some((last, _)) = page.last() else { return all };
            after.clone_from(last);
            all.extend(page.into_iter().map(|(_, entry)| entry));
        }
    }

    /// Waits until a batch has ended and tells how.
    pub(crate) async fn ended(&self, batch: &str, patience: Duration) -> pictor_common::queue::BatchState {
        let queue = self.queue().await;
        let id = batch.parse().unwrap();
        let deadline = Instant::now() + patience;
        loop {
            if let Ok(Some(state)) = queue.batch(&id).await
                && state.ended()
            {
                return state;
            }
            assert!(Instant::now() < deadline, "{batch} has not ended: {:?}", queue.batch(&id).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A running worker process.
pub(crate) struct Worker {
    pub(crate) proc: Proc,
    pub(crate) incarnation: String,
}

fn incarnation(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("working"))?;
    let plain: String = strip_colour(line);
    let at = plain.find("incarnation=")? + "incarnation=".len();
    Some(plain[at..].trim_matches('"').chars().take_while(char::is_ascii_alphanumeric).collect())
}

fn strip_colour(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = after.split_once('m').map_or("", |(_, tail)| tail);
    }
    out + rest
}

pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Most memory a process ever held, in MiB.
pub(crate) fn peak_memory_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
