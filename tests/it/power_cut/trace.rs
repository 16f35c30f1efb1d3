//! The system calls of a worker that matter to a disk and to its peers, as strace tells them.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::process::program;

/// Calls that change files or names, make them durable, or send.
const CALLS: &str = "trace=?open,openat,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync,ftruncate,?rename,?renameat,\
                     renameat2,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,?link,linkat,copy_file_range";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open {
        path: PathBuf,
        create: bool,
        truncate: bool,
    },
    /// At a place, or where the file ends.
    Write {
        path: PathBuf,
        at: Option<usize>,
        bytes: Vec<u8>,
    },
    Sync(PathBuf),
    Truncate {
        path: PathBuf,
        length: usize,
    },
    MakeDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Remove(PathBuf),
    Copy {
        from: PathBuf,
        to: PathBuf,
        length: usize,
    },
    /// To a peer, by the name strace has for the connection.
    Send {
        peer: String,
        bytes: Vec<u8>,
    },
}

/// What the log says, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A call was made; its number.
    Begins(usize, Call),
    /// It came back and did what it says.
    Ends(usize, Call),
}

/// A command that runs another one and writes down what it calls. The other one is the child: who traces is not.
pub(crate) fn traced(command: &Command, log: &Path) -> Command {
    let mut traced = Command::new(program("PICTOR_TEST_STRACE", &["strace"]));
    traced.args(["-D", "-f", "-q", "-y", "-xx", "-s", "200000", "--seccomp-bpf", "-e", CALLS, "-o"]);
    traced.arg(log).arg(command.get_program()).args(command.get_args());
    traced.env_clear();
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        traced.current_dir(folder);
    }
    traced
}

/// A log that is being written.
pub(crate) struct Log {
    file: File,
    text: Vec<u8>,
    /// Lines that name the spool, and up to where they were counted.
    naming: usize,
    counted: usize,
}

impl Log {
    pub(crate) fn open(path: &Path) -> Self {
        Self { file: File::open(path).unwrap(), text: Vec::new(), naming: 0, counted: 0 }
    }

    /// Reads what has been added; how many lines there are that name a spool.
    pub(crate) fn lines_of_spool(&mut self) -> usize {
        self.more();
        let (name, more) = (hex("/spool/"), &self.whole()[self.counted..]);
        let (naming, counted) = (more.lines().filter(|line| line.contains(&name)).count(), more.len());
        self.naming += naming;
        self.counted += counted;
        self.naming
    }

    /// Whether the process has ended and all of it is told.
    pub(crate) fn has_ended(&mut self, pid: u32) -> bool {
        self.more();
        self.whole().lines().rev().any(|line| line.starts_with(&format!("{pid} ")) && line.contains("+++ "))
    }

    fn more(&mut self) {
        let at = self.text.len() as u64;
        self.file.seek(SeekFrom::Start(at)).unwrap();
        self.file.read_to_end(&mut self.text).unwrap();
    }

    /// Its whole lines.
    fn whole(&self) -> &str {
        let end = self.text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        std::str::from_utf8(&self.text[..end]).unwrap()
    }

    /// What it says, step by step.
    pub(crate) fn steps(&mut self) -> Vec<Step> {
        self.more();
        let (mut steps, mut open) = (Vec::new(), HashMap::new());
        for (number, line) in self.whole().lines().enumerate() {
            let (pid, rest) = line.split_once(' ').unwrap();
            let rest = rest.trim_start();
            if let Some((begun, _)) = rest.split_once(" <unfinished ...>") {
                if let Some(call) = call(begun) {
                    steps.push(Step::Begins(number, call.clone()));
                    open.insert(pid.to_owned(), (number, call, begun.to_owned()));
                }
            } else if rest.starts_with("<... ") {
                let Some((id, _, begun)) = open.remove(pid) else { continue };
                let Some((_, more)) = rest.split_once(" resumed>") else { panic!("{line}") };
                let whole = format!("{begun}{more}");
                if let (true, Some(call)) = (succeeded(&whole), call(&whole)) {
                    steps.push(Step::Ends(id, call));
                }
            } else if let Some(call) = call(rest) {
                steps.push(Step::Begins(number, call.clone()));
                if succeeded(rest) {
                    steps.push(Step::Ends(number, call));
                }
            }
        }
        steps
    }
}

fn succeeded(line: &str) -> bool {
    line.rsplit_once(" = ").is_some_and(|(_, result)| result.starts_with(|c: char| c.is_ascii_digit()))
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
}

/// Undoes `\x2f`, which strace writes for every byte of a string.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4);
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        out.extend(rest[..at].bytes());
        out.push(u8::from_str_radix(&rest[at + 2..at + 4], 16).unwrap());
        rest = &rest[at + 4..];
    }
    out.extend(rest.bytes());
    out
}

fn text(of: &str) -> String {
    String::from_utf8_lossy(&bytes(of)).into_owned()
}

/// The strings in quotes, in order.
fn strings(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

/// What stands behind the first descriptors: a path, or the name of a connection.
fn behind(line: &str) -> Vec<String> {
    let outside: String = line.split('"').step_by(2).collect::<Vec<_>>().join("\"");
    let parts = outside.split('<').skip(1).filter_map(|part| part.split_once('>'));
    parts.map(|(name, _)| text(name)).collect()
}

/// Paths of a call, each by itself or in the directory that is named before it.
fn paths(line: &str) -> Vec<PathBuf> {
    let folders = behind(line);
    strings(line)
        .iter()
        .enumerate()
        .map(|(at, name)| folders.get(at).map_or_else(PathBuf::new, PathBuf::from).join(text(name)))
        .collect()
}

fn call(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let names = || paths(rest);
    let file = || behind(rest).into_iter().next().filter(|name| name.starts_with('/')).map(PathBuf::from);
    let last =
        |rest: &str| rest.rsplit_once(')').map_or(rest, |(args, _)| args).rsplit(", ").next()?.parse().ok();
    Some(match name {
        "open" | "openat" => Call::Open {
            path: names().into_iter().next()?,
            create: rest.contains("O_CREAT"),
            truncate: rest.contains("O_TRUNC"),
        },
        "write" | "writev" | "pwrite64" | "sendto" | "sendmsg" => {
            let sent: Vec<u8> = strings(rest).into_iter().flat_map(bytes).collect();
            match file() {
                Some(path) if name == "pwrite64" => Call::Write { path, at: Some(last(rest)?), bytes: sent },
                Some(path) => Call::Write { path, at: None, bytes: sent },
                None => Call::Send { peer: behind(rest).into_iter().next()?, bytes: sent },
            }
        }
        "fsync" | "fdatasync" => Call::Sync(file()?),
        "ftruncate" => Call::Truncate { path: file()?, length: last(rest)? },
        "mkdir" | "mkdirat" => Call::MakeDir(names().into_iter().next()?),
        "unlink" | "unlinkat" | "rmdir" => Call::Remove(names().into_iter().next()?),
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
            let [from, to] = <[PathBuf; 2]>::try_from(names()).ok()?;
            if name.starts_with("link") { Call::Link(from, to) } else { Call::Rename(from, to) }
        }
        "copy_file_range" => {
            let [from, to] = <[String; 2]>::try_from(behind(rest)).ok()?;
            // How much it was is known when it comes back.
            let length =
                line.rsplit_once(" = ").and_then(|(_, copied)| copied.trim().parse().ok()).unwrap_or(0);
            Call::Copy { from: from.into(), to: to.into(), length }
        }
        _ => return None,
    })
}

#[test]
fn lines_are_read() {
    let path = hex("/a/b");
    let of = |line: &str| call(line).unwrap();
    assert_eq!(
        of(&format!(
            r#"openat(AT_FDCWD<{}>, "{path}", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 9<{path}>"#,
            hex("/w")
        )),
        Call::Open { path: "/a/b".into(), create: true, truncate: false }
    );
    assert_eq!(
        of(&format!(r#"pwrite64(9<{path}>, "\x68\x69", 2, 16384) = 2"#)),
        Call::Write { path: "/a/b".into(), at: Some(16384), bytes: b"hi".to_vec() }
    );
    assert_eq!(
        of(&format!(
            r#"writev(9<{}>, [{{iov_base="\x68", iov_len=1}}, {{iov_base="\x69", iov_len=1}}], 2) = 2"#,
            "socket:[7]"
        )),
        Call::Send { peer: "socket:[7]".into(), bytes: b"hi".to_vec() }
    );
    assert_eq!(of(&format!(r#"unlinkat(5<{path}>, "\x63", 0) = 0"#)), Call::Remove("/a/b/c".into()));
    assert_eq!(
        of(&format!(r#"rename("{path}", "{}") = 0"#, hex("/c"))),
        Call::Rename("/a/b".into(), "/c".into())
    );
    assert_eq!(of(&format!("fdatasync(9<{path}>) = 0")), Call::Sync("/a/b".into()));
    assert!(
        succeeded("fsync(9) = 0") && !succeeded("fsync(9) = -1 EIO (error)") && !succeeded("fsync(9) = ?")
    );
}
