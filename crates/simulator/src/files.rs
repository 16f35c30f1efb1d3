//! Pictures that are answered by address: recipes for an hour, drawn when they are fetched.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use crate::picture::Recipe;

#[derive(Debug)]
pub(crate) struct Files {
    lifetime: Duration,
    recipes: HashMap<String, Arc<Recipe>>,
    /// Names by the time they expire.
    expiry: VecDeque<(Duration, String)>,
}

impl Files {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, recipes: HashMap::new(), expiry: VecDeque::new() }
    }

    pub(crate) fn put(&mut self, name: String, recipe: Recipe, now: Duration) {
        self.sweep(now);
        self.expiry.push_back((now + self.lifetime, name.clone()));
        self.recipes.insert(name, Arc::new(recipe));
    }

    pub(crate) fn get(&mut self, name: &str, now: Duration) -> Option<Arc<Recipe>> {
        self.sweep(now);
        self.recipes.get(name).map(Arc::clone)
    }

    pub(crate) fn clear(&mut self) {
        self.recipes.clear();
        self.expiry.clear();
    }

    fn sweep(&mut self, now: Duration) {
        while let Some((_, name)) = self.expiry.pop_front_if(|(at, _)| *at <= now) {
            self.recipes.remove(&name);
        }
    }
}
