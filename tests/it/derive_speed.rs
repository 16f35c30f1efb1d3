//! How fast images are derived from, against vipsthumbnail on the same core, and what that costs paid work.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use image::{Rgb, RgbImage};
use pictor_simulator::Options;

use crate::world::{World, told};

/// What is derived from each image, and what vipsthumbnail is asked for to get the same.
const THREE: [(&str, &[&str], &str); 3] = [
    ("256x256 cover webp q80", &["--size", "256x256", "--smartcrop", "centre"], "webp[Q=80,strip]"),
    ("512x512 contain jpeg q85", &["--size", "512x512>"], "jpg[Q=85,strip]"),
    ("768w png", &["--size", "768x>"], "png[strip]"),
];
/// Pictures that differ; more would only take long to draw.
const DRAWN: u32 = 20;

/// Something like a photograph: soft shapes, an edge and grain.
fn drawn(seed: u32) -> RgbImage {
    let mut grain = seed.wrapping_mul(2_654_435_761) | 1;
    RgbImage::from_fn(1_024, 1_024, |x, y| {
        grain ^= grain << 13;
        grain ^= grain >> 17;
        grain ^= grain << 5;
        let (fx, fy) = (f64::from(x) / 1_024.0, f64::from(y) / 1_024.0);
        let soft = ((fx * 9.0 + f64::from(seed)).sin() * (fy * 7.0).cos() + 1.0) * 90.0;
        let edge = if (fx - 0.5).hypot(fy - 0.5) < 0.3 { 50.0 } else { 0.0 };
        let noise = f64::from(grain % 13);
        let channel = |part: f64| (soft * part + edge + noise).clamp(0.0, 255.0) as u8;
        Rgb([channel(1.0), channel(0.8), channel(0.5 + fy / 2.0)])
    })
}

fn rows(world: &World, name: &str, count: u64, tag: &str) {
    let mut text = String::from("id,prompt,model,size\n");
    for n in 0..count {
        text.push_str(&format!("row-{n},{tag} number {n},dall-e-2,1024x1024\n"));
    }
    fs::write(world.path(name), text).unwrap();
}

/// Every image of a directory store.
fn images(world: &World) -> Vec<PathBuf> {
    let folders = fs::read_dir(world.path("images/assets")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "png"));
    files.sort();
    files
}

/// Images a second on one core, of ours and of vipsthumbnail, round by round in turns.
pub(crate) struct Rates {
    pub(crate) ours: Vec<f64>,
    pub(crate) vips: Vec<f64>,
}

/// Derives three from each image, as often as there are rounds.
pub(crate) fn rates(count: u64, rounds: usize, against_vips: bool) -> Rates {
    let world = World::start(Options { latency_ms_p50: Some(5), ..Options::default() });
    rows(&world, "shop.csv", count, "thing");
    let ran = world.run(&["run", "shop.csv", "--run-id", "b"]);
    assert!(ran.status.success(), "{}", told(&ran));
    let files = images(&world);
    assert_eq!(files.len() as u64, count);
    let pictures: Vec<PathBuf> = (0..DRAWN.min(u32::try_from(count).unwrap()))
        .map(|seed| {
            let path = world.path(&format!("{seed}.png"));
            drawn(seed).save(&path).unwrap();
            path
        })
        .collect();
    for (file, picture) in files.iter().zip(pictures.iter().cycle()) {
        fs::copy(picture, file).unwrap();
    }
    let mut rates = Rates { ours: Vec::new(), vips: Vec::new() };
    for _round in 0..rounds {
        let _none_at_first = fs::remove_dir_all(world.path("images/derivatives"));
        rates.ours.push(count as f64 / ours(&world, count).as_secs_f64());
        if against_vips {
            rates.vips.push(count as f64 / vips(&files, &world.path("vips")).as_secs_f64());
        }
    }
    rates
}

fn ours(world: &World, count: u64) -> Duration {
    let words = THREE.iter().flat_map(|(words, ..)| ["--derive", words]);
    let args: Vec<&str> = ["derive", "b", "--json"].into_iter().chain(words).collect();
    let mut command = world.command(&args);
    command.env("PICTOR_WORKER__DERIVE_THREADS", "1");
    let mut pinned = on_one_core(command.get_program().to_str().unwrap());
    pinned.args(command.get_args()).env_clear().current_dir(world.dir.path());
    for (name, value) in command.get_envs() {
        pinned.env(name, value.unwrap());
    }
    let begun = Instant::now();
    let output = pinned.output().unwrap();
    let took = begun.elapsed();
    assert!(output.status.success(), "{}", told(&output));
    let tally: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(tally["made"], count * 3, "{tally}");
    took
}

fn vips(files: &[PathBuf], out: &Path) -> Duration {
    fs::create_dir_all(out).unwrap();
    let begun = Instant::now();
    for (_, size, suffix) in THREE {
        // The longest command line holds some thousand names.
        for some in files.chunks(500) {
            let mut command = on_one_core("vipsthumbnail");
            command.env("VIPS_CONCURRENCY", "1").args(size);
            command.arg("-o").arg(out.join(format!("%s.{suffix}"))).args(some);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", told(&output));
        }
    }
    let took = begun.elapsed();
    fs::remove_dir_all(out).unwrap();
    took
}

fn on_one_core(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]).stdin(Stdio::null());
    command
}

/// Images a second from opening a batch to its end, without and with derivatives, round by round in turns.
pub(crate) async fn throughput(count: u64, rounds: usize, concurrency: usize) -> (Vec<f64>, Vec<f64>) {
    let world = World::start(Options { latency_ms_p50: Some(1_000), ..Options::default() });
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for derive in [false, true] {
            let name = format!("{}-{round}", if derive { "with" } else { "without" });
            rows(&world, "shop.csv", count, &name);
            let mut args = vec!["submit", "shop.csv", "--run-id", &name];
            if derive {
                args.extend(THREE.iter().flat_map(|(words, ..)| ["--derive", words]));
            }
            world.json(&args);
            let mut worker = world.worker(&name, concurrency, &[]);
            let begun = Instant::now();
            world.ended(&name, Duration::from_secs(60 + count)).await;
            let rate = count as f64 / begun.elapsed().as_secs_f64();
            if derive { &mut with } else { &mut without }.push(rate);
            worker.proc.kill();
        }
    }
    (without, with)
}

pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_the_proof_of_speed_measures_is_made() {
    let rates = rates(3, 1, false);
    assert!(rates.ours[0] > 0.0);
    let (without, with) = throughput(4, 1, 4).await;
    assert_eq!((without.len(), with.len()), (1, 1));
}
