//! How lines and what was made are kept: small, since there are millions.

use std::io::{self, Read as _, Write as _};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize};

use crate::{
    AssetKey, MicroUsd,
    batch::{Line, Made, NewAsset},
};

/// Which assets a line wants.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Takes {
    /// So many of the chunk's assets, the next in order.
    Next(usize),
    /// Some that an earlier line asked for; `null` is the next of the chunk's own.
    Mixed(Vec<Option<AssetKey>>),
}

#[derive(Serialize, Deserialize)]
struct PackedLine(u64, String, Takes, Vec<String>);

/// The keys of a chunk's assets, 32 bytes each, and its lines.
pub(super) fn pack(assets: &[(u64, NewAsset)], lines: &[Line]) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let keys: Vec<u8> = assets.iter().flat_map(|(_, asset)| asset.key.bytes()).collect();
    let mut next = assets.iter().map(|(_, asset)| &asset.key).peekable();
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        let takes: Vec<Option<AssetKey>> = line
            .keys
            .iter()
            .map(|key| if next.next_if(|own| *own == key).is_some() { None } else { Some(key.clone()) })
            .collect();
        let takes =
            if takes.iter().all(Option::is_none) { Takes::Next(takes.len()) } else { Takes::Mixed(takes) };
        rows.push((line.row, &line.id, takes, &line.cells));
    }
    packed.write_all(&serde_json::to_vec(&rows)?)?;
    Ok((keys, packed.finish()?))
}

/// The lines of a chunk.
pub(super) fn unpack(keys: &[u8], packed: &[u8]) -> io::Result<Vec<Line>> {
    let mut json = Vec::new();
    DeflateDecoder::new(packed).read_to_end(&mut json)?;
    let rows: Vec<PackedLine> = serde_json::from_slice(&json)?;
    let mut next = asset_keys(keys);
    let missing =
        || io::Error::new(io::ErrorKind::InvalidData, "a chunk has fewer assets than its lines ask for");
    let mut lines = Vec::with_capacity(rows.len());
    for PackedLine(row, id, takes, cells) in rows {
        let takes = match takes {
            Takes::Next(count) => vec![None; count],
            Takes::Mixed(takes) => takes,
        };
        let keys = takes
            .into_iter()
            .map(|key| key.or_else(|| next.next()).ok_or_else(missing))
            .collect::<io::Result<_>>()?;
        lines.push(Line { row, id, keys, cells });
    }
    Ok(lines)
}

/// Keys out of their bytes.
pub(super) fn asset_keys(bytes: &[u8]) -> impl Iterator<Item = AssetKey> {
    bytes.as_chunks::<32>().0.iter().map(|bytes| AssetKey::of_bytes(*bytes))
}

/// Longest value that keeps a small hash small on a server with the usual settings.
const SHORT: usize = 64;

/// What was made as Redis keeps it beside its own `model`.
#[derive(Serialize, Deserialize)]
struct Whole {
    #[serde(flatten)]
    made: Made,
    model: String,
}

/// What was made, short: `extension[:type] bytes WIDTHxHEIGHT cost at model`. Digest and request id are left out: they
/// stand on the object and in the ledger. What does not fit is JSON.
pub(super) fn made(key: &AssetKey, model: &str, made: &Made) -> serde_json::Result<String> {
    let plain = made.revised_prompt.is_none() && made.mismatch.is_none() && !model.contains(' ');
    let name = format!("assets/{}/{key}.", &key.as_str()[..2]);
    let extension = made.object.strip_prefix(&name).filter(|extension| !extension.contains([' ', ':', '{']));
    if let (true, Some(extension)) = (plain, extension) {
        let kind = made.content_type.as_str();
        let kind = if kind == type_of(extension) { String::new() } else { format!(":{kind}") };
        let Made { bytes, width, height, cost, at_ms, .. } = made;
        let short = format!("{extension}{kind} {bytes} {width}x{height} {} {at_ms} {model}", cost.0);
        if short.len() <= SHORT && !kind.contains(' ') {
            return Ok(short);
        }
    }
    serde_json::to_string(&Whole { made: made.clone(), model: model.to_owned() })
}

fn type_of(extension: &str) -> String {
    format!("image/{}", if extension == "jpg" { "jpeg" } else { extension })
}

/// What was made and the model that made it.
pub(super) fn made_of(key: &AssetKey, text: &str) -> Option<(Made, String)> {
    if text.starts_with('{') {
        let Whole { made, model } = serde_json::from_str(text).ok()?;
        return Some((made, model));
    }
    let mut parts = text.splitn(6, ' ');
    let mut part = || parts.next();
    let (file, bytes, pixels, cost, at, model) = (part()?, part()?, part()?, part()?, part()?, part()?);
    let (extension, kind) = file.split_once(':').map_or((file, None), |(ext, kind)| (ext, Some(kind)));
    let (width, height) = pixels.split_once('x')?;
    let made = Made {
        object: format!("assets/{}/{key}.{extension}", &key.as_str()[..2]),
        content_type: kind.map_or_else(|| type_of(extension), str::to_owned),
        bytes: bytes.parse().ok()?,
        width: width.parse().ok()?,
        height: height.parse().ok()?,
        cost: MicroUsd(cost.parse().ok()?),
        at_ms: at.parse().ok()?,
        ..Made::default()
    };
    Some((made, model.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Spec, batch::Route, spec::Operation};

    fn asset(n: u64) -> NewAsset {
        let spec = Spec { model: "m".into(), prompt: Some(n.to_string()), ..Spec::default() };
        let route = Route::new("m", Operation::Generate);
        NewAsset { key: AssetKey::of(&spec), spec, route, ceiling: MicroUsd(1), tokens: 0, made: None }
    }

    proptest! {
        #[test]
        fn lines_come_back(rows in prop::collection::vec((prop::collection::vec(0..40_u64, 0..4), "\\PC{0,9}"), 0..30)) {
            let mut seen = std::collections::HashSet::new();
            let (mut assets, mut lines) = (Vec::new(), Vec::new());
            for (row, (takes, cell)) in (7..).zip(rows) {
                // Assets below 10 came with an earlier chunk.
                let firsts = takes.iter().filter(|n| **n >= 10 && seen.insert(**n));
                assets.extend(firsts.map(|n| (row, asset(*n))));
                let keys = takes.iter().map(|n| asset(*n).key).collect();
                lines.push(Line { row, id: cell.clone(), keys, cells: vec![cell, String::new()] });
            }
            let (keys, packed) = pack(&assets, &lines).unwrap();
            prop_assert_eq!(unpack(&keys, &packed).unwrap(), lines);
            prop_assert_eq!(asset_keys(&keys).collect::<Vec<_>>(), assets.into_iter().map(|(_, a)| a.key).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_was_made_is_short_where_it_can_be() {
        let key = asset(1).key;
        let plain = Made {
            object: format!("assets/{}/{key}.jpg", &key.as_str()[..2]),
            content_type: "image/jpeg".into(),
            bytes: 18_432_210,
            width: 1536,
            height: 1024,
            cost: MicroUsd(167_000),
            at_ms: 1_795_244_400_123,
            ..Made::default()
        };
        let kept = made(&key, "gpt-image-2", &plain).unwrap();
        assert_eq!(kept, "jpg 18432210 1536x1024 167000 1795244400123 gpt-image-2");
        assert_eq!(made_of(&key, &kept), Some((plain.clone(), "gpt-image-2".to_owned())));

        let known_elsewhere =
            Made { digest: "d".repeat(64), request_id: Some("req_1".into()), ..plain.clone() };
        assert_eq!(made(&key, "gpt-image-2", &known_elsewhere).unwrap(), kept);
        let odd_type = Made { content_type: "image/png".into(), ..plain.clone() };
        for (odd, short) in [
            (odd_type, true),
            (Made { object: "rejected/x.bin".into(), ..plain.clone() }, false),
            (Made { revised_prompt: Some("a mug".into()), ..plain.clone() }, false),
            (Made { mismatch: Some("asked for png".into()), ..plain.clone() }, false),
        ] {
            let kept = made(&key, "m", &odd).unwrap();
            assert_eq!(kept.len() <= SHORT, short, "{kept}");
            assert_eq!(made_of(&key, &kept), Some((odd, "m".to_owned())));
        }
        let long = made(&key, &"m".repeat(90), &plain).unwrap();
        assert_eq!(made_of(&key, &long), Some((plain, "m".repeat(90))));
    }
}
