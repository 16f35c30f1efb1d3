//! A real S3 server: `SeaweedFS` on loopback ports, with authentication on.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use pictor_store::S3Settings;
use tempfile::TempDir;

use super::{
    ports,
    process::{Proc, program},
};

const PATIENCE: Duration = Duration::from_secs(60);
const BUCKET: &str = "pictor-test";
const ACCESS_KEY: &str = "pictor-test-key";
const SECRET_KEY: &str = "pictor-test-secret";

static SHARED: Mutex<Weak<Seaweed>> = Mutex::new(Weak::new());

/// A running server with one bucket.
#[derive(Debug)]
pub(crate) struct Seaweed {
    // Before the folder, so that it is dropped first.
    process: Proc,
    _folder: TempDir,
    s3: u16,
    rpc: [u16; 5],
}

impl Seaweed {
    /// The server all tests of this binary share; it stops when the last of them lets go.
    /// Each test uses a prefix of its own.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap();
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start());
        *shared = Arc::downgrade(&started);
        started
    }

    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pictor-s3-").tempdir().unwrap();
        let config = folder.path().join("s3.json");
        fs::write(&config, identities()).unwrap();
        let [master, volume, filer, s3, admin, master_rpc, volume_rpc, filer_rpc, s3_rpc] = ports::several();
        let mut command = Command::new(program("PICTOR_TEST_WEED", &["weed"]));
        command
            .args(["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"])
            .args(["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-s3.autoCreateBucket=false", &format!("-bucket={BUCKET}")])
            .arg(format!("-dir={}", folder.path().display()))
            .arg(format!("-s3.config={}", config.display()))
            .current_dir(folder.path());
        for (flag, port) in [
            ("master.port", master),
            ("master.port.grpc", master_rpc),
            ("volume.port", volume),
            ("volume.port.grpc", volume_rpc),
            ("filer.port", filer),
            ("filer.port.grpc", filer_rpc),
            ("s3.port", s3),
            ("s3.port.grpc", s3_rpc),
            // Its workers look for its second port at this one's twin, whatever it is told.
            ("admin.port", admin),
        ] {
            command.arg(format!("-{flag}={port}"));
        }
        for part in ["filer", "s3"] {
            command.arg(format!("-{part}.localSocket={}", folder.path().join(part).display()));
        }
        let mut process = Proc::spawn("weed", &mut command, folder.path());
        // The filer tells without a signature whether the bucket was created.
        let bucket = format!("/buckets/{BUCKET}/");
        process.wait_until("serving its bucket", PATIENCE, |_| {
            answers_ok(filer, &bucket) && answers_ok(s3, "/healthz")
        });
        let rpc = [master_rpc, volume_rpc, filer_rpc, s3_rpc, admin + ports::TWIN];
        Self { process, _folder: folder, s3, rpc }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.s3).into()
    }

    pub(crate) fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    pub(crate) fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    pub(crate) fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The URL of a store of one's own.
    pub(crate) fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    pub(crate) fn settings(&self) -> S3Settings {
        S3Settings {
            endpoint: Some(self.endpoint()),
            access_key_id: Some(self.access_key().to_owned()),
            secret_access_key: Some(self.secret_key().into()),
            ..S3Settings::default()
        }
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        self.process.kill();
        // The one thing it writes outside its folder, under names it does not let one choose.
        for (part, port) in ["master", "volume", "filer", "s3", "admin"].iter().zip(self.rpc) {
            let socket = format!("/tmp/seaweedfs-{part}-grpc-{port}.sock");
            if Path::new(&socket).exists() {
                fs::remove_file(&socket).unwrap();
            }
        }
    }
}

fn identities() -> String {
    serde_json::json!({ "identities": [{
        "name": "pictor",
        "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }] })
    .to_string()
}

fn answers_ok(port: u16, path: &str) -> bool {
    let get = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(12).read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    get().is_ok_and(|answer| answer.ends_with("200"))
}

#[test]
fn the_last_holder_stops_the_server() {
    let first = Seaweed::start();
    let second = Seaweed::start();
    assert_ne!(first.address(), second.address());
    assert_eq!(first.bucket(), second.bucket());
    let (address, rpc) = (second.address(), second.rpc[0]);
    drop(second);
    assert!(TcpStream::connect(address).is_err(), "it still listens");
    assert!(!Path::new(&format!("/tmp/seaweedfs-master-grpc-{rpc}.sock")).exists());
    assert!(TcpStream::connect(first.address()).is_ok(), "another's server was stopped");
}
