//! What a model would refuse, said before anything is queued.

use super::{Model, Problem, size};
use crate::{Spec, spec::Operation};

/// What is put before a prompt that is to be used verbatim.
pub const VERBATIM_PREAMBLE: &str = "I NEED to test how the tool works with extremely simple prompts. \
                                     DO NOT add any detail, just use it AS-IS: ";

/// Length in characters of the prompt as it is sent, with the preamble where one is asked for.
#[must_use]
pub fn sent_prompt_chars(spec: &Spec) -> usize {
    let preamble = if spec.verbatim { VERBATIM_PREAMBLE.chars().count() } else { 0 };
    spec.prompt.as_deref().map_or(0, |prompt| prompt.chars().count() + preamble)
}

impl Model {
    /// Everything about a spec that this model would refuse; empty when it is fine.
    #[must_use]
    pub fn check(&self, spec: &Spec) -> Vec<Problem> {
        let mut check = Check { model: self, spec, problems: Vec::new() };
        check.operation();
        check.prompt();
        check.size();
        check.choices();
        check.format();
        check.inputs();
        check.problems
    }
}

struct Check<'a> {
    model: &'a Model,
    spec: &'a Spec,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn refuse(&mut self, field: &'static str, message: String) {
        self.problems.push(Problem { field, message });
    }

    /// Refuses a field that the model has no use for at all.
    fn takes_no(&mut self, field: &'static str) {
        self.refuse(field, format!("{} takes no {field}; leave it out", self.model.id));
    }

    fn operation(&mut self) {
        let known = &self.model.operations;
        if !known.contains(&self.spec.operation) {
            let names = known.iter().map(|operation| operation.as_str());
            let message =
                format!("{} can {}, not {}", self.model.id, any_of(names), self.spec.operation.as_str());
            self.refuse("operation", message);
        }
    }

    fn prompt(&mut self) {
        let (limit, id) = (self.model.prompt_limit, &self.model.id);
        let prompt = self.spec.prompt.as_deref().unwrap_or_default();
        if self.spec.operation == Operation::Variation {
            if !prompt.is_empty() {
                self.refuse(
                    "prompt",
                    "a variation is made from its input image alone; leave the prompt out".to_owned(),
                );
            }
        } else if prompt.trim().is_empty() {
            self.refuse("prompt", format!("a prompt is missing: {id} takes 1 to {limit} characters"));
        } else {
            let length = sent_prompt_chars(self.spec);
            let counted = if self.spec.verbatim { " with the verbatim preamble" } else { "" };
            if length > limit {
                self.refuse(
                    "prompt",
                    format!("{id} takes at most {limit} characters, not {length}{counted}"),
                );
            }
        }
        if self.spec.verbatim && !self.model.verbatim {
            self.refuse(
                "verbatim",
                format!("{id} does not rewrite prompts, so takes no verbatim; leave it out"),
            );
        }
    }

    fn size(&mut self) {
        let Some(asked) = self.spec.size.as_deref() else { return };
        let Model { id, sizes, size_rule, .. } = self.model;
        if sizes.iter().any(|known| known == asked) {
            return;
        }
        let message = match (size_rule, size::parse(asked)) {
            (None, _) => format!("{id} makes {}, not {asked}", any_of(sizes)),
            (Some(rule), Some((width, height))) => match rule.broken_by(width, height) {
                None => return,
                Some(broken) => format!("{id} {broken}"),
            },
            (Some(_), None) => format!("size is written as in 1024x1536, or auto; not {asked:?}"),
        };
        self.refuse("size", message);
    }

    /// The fields whose values are a list of words.
    fn choices(&mut self) {
        let (model, spec) = (self.model, self.spec);
        for (field, asked, allowed) in [
            ("quality", &spec.quality, &model.qualities),
            ("style", &spec.style, &model.styles),
            ("background", &spec.background, &model.backgrounds),
            ("moderation", &spec.moderation, &model.moderations),
            ("input_fidelity", &spec.input_fidelity, &model.input_fidelities),
            ("complexity", &spec.complexity, &model.complexities),
        ] {
            let Some(asked) = asked else { continue };
            if allowed.is_empty() {
                self.takes_no(field);
            } else if !allowed.contains(asked) {
                self.refuse(field, format!("{} takes {field} {}, not {asked}", model.id, any_of(allowed)));
            } else if field == "input_fidelity" && spec.operation != Operation::Edit {
                self.refuse(field, "input_fidelity is for edits; leave it out".to_owned());
            }
        }
    }

    fn format(&mut self) {
        let (model, spec) = (self.model, self.spec);
        let format = spec.format.as_deref().unwrap_or("png");
        if !model.formats.iter().any(|known| known == format) {
            self.refuse("format", format!("{} makes {}, not {format}", model.id, any_of(&model.formats)));
            return;
        }
        if spec.background.as_deref() == Some("transparent") && !matches!(format, "png" | "webp") {
            let message = format!("a transparent background needs format png or webp, not {format}");
            self.refuse("background", message);
        }
        self.compression(format);
        self.frames(format);
        for (field, asked) in [("svg_model", &spec.svg_model), ("svg_effort", &spec.svg_effort)] {
            if asked.is_some() && format != "svg" {
                self.only_for(field, "svg");
            }
        }
    }

    fn compression(&mut self, format: &str) {
        let Some(asked) = self.spec.compression else { return };
        if !self.model.compression {
            self.takes_no("compression");
        } else if !matches!(format, "jpeg" | "webp") {
            let message = format!("compression is for format jpeg or webp, not {format}; leave it out");
            self.refuse("compression", message);
        } else if asked > 100 {
            self.refuse("compression", format!("compression is 0 to 100, not {asked}"));
        }
    }

    fn frames(&mut self, format: &str) {
        let (count, duration) = (self.spec.frame_count, self.spec.frame_duration_ms);
        if format == "gif" {
            if let Some(count) = count.filter(|n| !(2..=16).contains(n)) {
                self.refuse("frame_count", format!("a gif has 2 to 16 frames, not {count}"));
            }
            if let Some(ms) = duration.filter(|ms| !(10..=655_350).contains(ms) || !ms.is_multiple_of(10)) {
                let message = format!("a frame lasts 10 to 655350 ms in steps of 10, not {ms}");
                self.refuse("frame_duration_ms", message);
            }
            return;
        }
        for (field, asked) in [("frame_count", count), ("frame_duration_ms", duration)] {
            if asked.is_some() {
                self.only_for(field, "gif");
            }
        }
    }

    fn only_for(&mut self, field: &'static str, format: &str) {
        if self.model.formats.iter().any(|known| known == format) {
            self.refuse(field, format!("{field} is for format {format}; leave it out"));
        } else {
            self.takes_no(field);
        }
    }

    fn inputs(&mut self) {
        let (model, spec) = (self.model, self.spec);
        let (given, most) = (spec.inputs.len(), model.max_inputs);
        let message = match spec.operation {
            Operation::Generate if given > 0 => {
                "input images are for edits; ask for operation edit".to_owned()
            }
            Operation::Edit if given == 0 => "an edit needs an input image".to_owned(),
            Operation::Edit if given > most => {
                format!("{} takes at most {most} input images, not {given}", model.id)
            }
            Operation::Variation if given != 1 => format!("a variation needs one input image, not {given}"),
            _ => String::new(),
        };
        if !message.is_empty() {
            self.refuse("inputs", message);
        }
        self.overlay("mask", spec.mask.is_some(), model.mask);
        self.overlay("markup", spec.markup.is_some(), model.markup);
        if spec.markup.is_some() && spec.mask.is_some() {
            self.refuse("markup", "an edit takes a mask or a markup, not both".to_owned());
        }
        if spec.mask.is_some() && spec.format.as_deref() == Some("gif") {
            self.refuse("mask", "a gif takes no mask; leave it out".to_owned());
        }
        let digests = [("mask", &spec.mask), ("markup", &spec.markup)].into_iter();
        let digests = digests.filter_map(|(field, digest)| Some((field, digest.as_ref()?)));
        for (field, digest) in digests.chain(spec.inputs.iter().map(|digest| ("inputs", digest))) {
            if digest.parse::<crate::AssetKey>().is_err() {
                self.refuse(
                    field,
                    format!("{digest:?} is not a SHA-256 digest of 64 lower-case hexadecimal digits"),
                );
            }
        }
    }

    fn overlay(&mut self, field: &'static str, given: bool, supported: bool) {
        if given && self.spec.operation != Operation::Edit {
            self.refuse(field, format!("a {field} is for edits; leave it out"));
        } else if given && !supported {
            self.takes_no(field);
        }
    }
}

/// `a, b or c`.
fn any_of(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut words: Vec<String> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
    match words.pop() {
        None => "nothing".to_owned(),
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests;
