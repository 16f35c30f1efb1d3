//! Whether there is a screen, and what it can show: from arguments, terminal and environment.

use std::{env, io::IsTerminal as _};

use super::{
    state::{Screen, Ways},
    words::quoted,
};
use crate::commands::{Context, watch::WatchArgs};

/// Whether the whole terminal is used.
pub(in super::super) fn fits(args: &WatchArgs, context: &Context) -> bool {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let plain = args.plain || args.once || context.output.json;
    terminal && !plain && !dumb()
}

/// Whether nothing on this terminal can be drawn over.
pub(in super::super) fn dumb() -> bool {
    ["", "dumb"].contains(&said("TERM").as_str())
}

/// The screen as it starts.
pub(super) fn screen(args: &WatchArgs) -> Screen {
    let colour = said("NO_COLOR").is_empty();
    let true_colour = ["truecolor", "24bit"].contains(&said("COLORTERM").as_str());
    let pictures = colour && (true_colour || said("TERM").contains("256color"));
    let far = !said("SSH_CONNECTION").is_empty() || !said("SSH_TTY").is_empty();
    let program = ["pictor".to_owned()].into_iter().chain(selecting(env::args().skip(1)));
    let ways = Ways {
        read_only: args.read_only,
        colour,
        true_colour,
        program: program.collect::<Vec<_>>().join(" "),
    };
    Screen::new(ways, pictures && !far && !args.no_preview)
}

fn said(variable: &str) -> String {
    env::var_os(variable).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The options among some arguments that say which queue is meant, as a shell takes them.
fn selecting(mut args: impl Iterator<Item = String>) -> Vec<String> {
    const NAMES: [&str; 3] = ["--config", "--profile", "--data-dir"];
    let mut chosen = Vec::new();
    while let Some(arg) = args.next() {
        if NAMES.contains(&arg.as_str()) {
            chosen.extend([arg, quoted(&args.next().unwrap_or_default())]);
        } else if let Some((name, value)) = arg.split_once('=').filter(|(name, _)| NAMES.contains(name)) {
            chosen.push(format!("{name}={}", quoted(value)));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_same_queue() {
        let args =
            ["--profile", "prod", "watch", "b", "--data-dir=my shop", "--read-only", "--config", "a.toml"];
        let args = args.into_iter().map(str::to_owned);
        assert_eq!(selecting(args).join(" "), "--profile prod --data-dir='my shop' --config a.toml");
    }
}
