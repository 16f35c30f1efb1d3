//! What a checked manifest asks for, in few bytes: enough to look everything up and price it without
//! reading the manifest again.

use std::collections::{BTreeSet, HashMap};

use pictor_common::{
    AssetKey, Spec,
    batch::{NewAsset, Route},
    price::Estimate,
};

use crate::{manifest::Fallback, plan::PlannedAsset};

/// Entries of one piece; growing moves none of the others.
const PIECE: usize = 64 * 1024;

/// The different assets of a manifest in order, 36 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pieces: Vec<Vec<([u8; 32], u32)>>,
    kinds: Vec<Kind>,
    places: HashMap<String, Vec<u32>>,
    last: usize,
}

/// What many assets have in common: all but their prompts and takes.
#[derive(Debug, PartialEq)]
struct Kind {
    spec: Spec,
    route: Route,
    estimate: Estimate,
    fallback: Option<Fallback>,
}

impl Outline {
    /// Notes an asset that stands in the manifest for the first time.
    pub(crate) fn note(&mut self, planned: PlannedAsset) {
        let PlannedAsset { asset: NewAsset { key, mut spec, route, .. }, estimate, fallback } = planned;
        (spec.prompt, spec.take) = (None, 0);
        let kind = Kind { spec, route, estimate, fallback };
        if self.kinds.get(self.last) != Some(&kind) {
            self.last = self.place_of(kind);
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let place = u32::try_from(self.last).expect("four thousand million kinds do not fit in memory");
        self.pieces.last_mut().expect("one was pushed").push((key.bytes(), place));
    }

    fn place_of(&mut self, kind: Kind) -> usize {
        let Estimate { expected, ceiling, tokens } = kind.estimate;
        let name = format!("{} {} {} {} {:?}", kind.route, expected.0, ceiling.0, tokens, kind.spec.size);
        let alike = self.places.entry(name).or_default();
        if let Some(place) = alike.iter().find(|place| self.kinds[**place as usize] == kind) {
            return *place as usize;
        }
        alike
            .push(u32::try_from(self.kinds.len()).expect("four thousand million kinds do not fit in memory"));
        self.kinds.push(kind);
        self.kinds.len() - 1
    }

    /// Where the assets wait, or those of the other model where theirs cannot make them.
    pub(crate) fn routes(&self) -> BTreeSet<Route> {
        let others = self.kinds.iter().filter_map(|kind| kind.fallback.as_ref());
        let others = others.map(|other| other.route.clone());
        self.kinds.iter().map(|kind| kind.route.clone()).chain(others).collect()
    }

    /// The assets in order, without their prompts and takes.
    pub(crate) fn assets(&self) -> impl Iterator<Item = PlannedAsset> {
        self.pieces.iter().flatten().map(|(key, place)| {
            let Kind { spec, route, estimate, fallback } = &self.kinds[*place as usize];
            let Estimate { ceiling, tokens, .. } = *estimate;
            let (key, spec, route) = (AssetKey::of_bytes(*key), spec.clone(), route.clone());
            let asset = NewAsset { key, spec, route, ceiling, tokens, made: None };
            PlannedAsset { asset, estimate: *estimate, fallback: fallback.clone() }
        })
    }
}

#[cfg(test)]
mod tests {
    use pictor_common::{MicroUsd, spec::Operation};

    use super::*;

    #[test]
    fn tells_again_all_that_prices_and_places_depend_on() {
        let planned = |n: u32| {
            let spec = Spec {
                model: "m".into(),
                prompt: Some(n.to_string()),
                size: Some(format!("{}x16", n % 3)),
                format: n.is_multiple_of(2).then(|| "jpeg".into()),
                take: n % 5,
                ..Spec::default()
            };
            let estimate = Estimate { ceiling: MicroUsd(u64::from(n % 7)), ..Estimate::default() };
            let route = Route::new("m", Operation::Generate);
            let key = AssetKey::of(&spec);
            let asset = NewAsset { key, spec, route, ceiling: estimate.ceiling, tokens: 0, made: None };
            PlannedAsset { asset, estimate, fallback: None }
        };
        let mut outline = Outline::default();
        for n in 0..100_000 {
            outline.note(planned(n));
        }
        assert_eq!(outline.kinds.len(), 2 * 3 * 7);
        assert_eq!(outline.routes().len(), 1);
        let mut told = outline.assets();
        for n in 0..100_000 {
            let mut expected = planned(n);
            (expected.asset.spec.prompt, expected.asset.spec.take) = (None, 0);
            assert_eq!(told.next(), Some(expected));
        }
        assert_eq!(told.next(), None);
    }
}
