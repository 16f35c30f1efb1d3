//! What the process finds around it: variables, the settings file, directories and programs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::Flags;

pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

pub(super) fn settings_file(
    flags: &Flags,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Option<PathBuf>> {
    let named = flags.file.clone().or_else(|| set(environment, "PICTOR_CONFIG").map(PathBuf::from));
    if named.is_some() {
        return Ok(named);
    }
    let home = || set(environment, "HOME").map(|home| Path::new(home).join(".config"));
    let user = set(environment, "XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    let places = [Some(PathBuf::from("pictor.toml")), user.map(|dir| dir.join("pictor/pictor.toml"))];
    Ok(places.into_iter().flatten().find(|path| path.is_file()))
}

pub(super) fn set<'e>(environment: &'e BTreeMap<String, String>, name: &str) -> Option<&'e str> {
    environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// A private Redis belongs to the directory its images are in; a worker's spool to its user.
pub(super) fn default_data_dir(shared: bool, environment: &BTreeMap<String, String>) -> PathBuf {
    let here = PathBuf::from(".pictor");
    if !shared {
        return here;
    }
    let home = || set(environment, "HOME").map(|home| Path::new(home).join(".local/share"));
    let user = set(environment, "XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    user.map_or(here, |dir| dir.join("pictor"))
}

/// Where programs are looked for: PATH, then the tools beside the binary and below the working directory.
pub(crate) fn program_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    if let Ok(binary) = std::env::current_exe() {
        dirs.extend(binary.parent().and_then(Path::parent).map(|dir| dir.join("tools/bin")));
    }
    dirs.push(PathBuf::from("target/tools/bin"));
    dirs
}

/// Where files go that nobody keeps.
pub(crate) fn temporary_dir() -> PathBuf {
    std::env::temp_dir()
}

/// The program that runs.
pub(crate) fn own_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// The variables that set something here, for a process that is to have settings of its own.
pub(crate) fn own_variables() -> Vec<String> {
    environment().into_keys().filter(|name| name.starts_with("PICTOR_")).collect()
}

/// That traces are asked for.
#[cfg(feature = "otel")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The environment names the service.
    pub(crate) named: bool,
}

/// Whether the environment asks for traces, by OpenTelemetry's own variables.
#[cfg(feature = "otel")]
pub(crate) fn traces() -> Option<Asked> {
    let environment = environment();
    let has = |name: &str| set(&environment, name).is_some();
    let off = set(&environment, "OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"));
    let asked = has("OTEL_EXPORTER_OTLP_ENDPOINT") || has("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    (asked && !off).then(|| Asked { named: has("OTEL_SERVICE_NAME") })
}

/// A directory of the user's for sockets whose path must be short.
pub(crate) fn runtime_dir() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    own.unwrap_or_else(|| PathBuf::from("/tmp"))
}
