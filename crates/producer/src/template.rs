//! Prompt templates: one text with variables, filled from the columns of each row.
//!
//! A template sees the row and nothing else: no files, no includes, bounded work.

use std::{collections::BTreeSet, sync::Arc};

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value, value::Object};

use crate::{manifest::normalized, written};

const NAME: &str = "prompt";
/// Instructions one rendering may take; a template of a page needs a few hundred.
const FUEL: u64 = 100_000;

/// A compiled prompt template.
#[derive(Debug)]
pub struct Template {
    source: String,
    engine: Environment<'static>,
    variables: Arc<[String]>,
    optional: BTreeSet<String>,
}

/// A row as the engine sees it: the template's variables and their values.
#[derive(Debug)]
struct Row {
    variables: Arc<[String]>,
    values: Vec<Value>,
}

impl Object for Row {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        if name == written::NUMBERS {
            return written::numbers(&self.values);
        }
        let same = |name: &str| self.variables.iter().position(|variable| variable == name);
        let at = same(name).or_else(|| same(&normalized(name)))?;
        self.values.get(at).filter(|value| !value.is_undefined()).map(written::plain)
    }
}

/// Why a template cannot be used, or not for one row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template line {line}: {message}")]
pub struct TemplateError {
    /// Line of the template, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Template {
    /// Compiles a template.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        let mut engine = Environment::new();
        // A cell may be empty: `{% if colour %}` must work for it, while printing it is an error.
        // A variable that no column gives is found by name before any row is rendered.
        engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        engine.set_auto_escape_callback(|_name| AutoEscape::None);
        engine.set_formatter(written::print);
        engine.set_fuel(Some(FUEL));
        engine.add_template_owned(NAME, source.to_owned()).map_err(|error| explained(&error, &[]))?;
        let compiled = engine.get_template(NAME).map_err(|error| explained(&error, &[]))?;
        let globals: BTreeSet<_> = engine.globals().map(|(name, _)| name.to_owned()).collect();
        let used: BTreeSet<_> = compiled.undeclared_variables(false).into_iter().collect();
        let named: BTreeSet<_> = used.difference(&globals).map(|name| normalized(name)).collect();
        let variables = named.into_iter().collect();
        Ok(Self { source: source.to_owned(), engine, variables, optional: BTreeSet::new() })
    }

    /// The text it was made from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Names of the columns it uses, as they are [compared](normalized), in order of the alphabet.
    #[must_use]
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// The same, of which these variables need no column.
    #[must_use]
    pub fn with_optional(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { optional: names.into_iter().collect(), ..self }
    }

    /// Whether a variable needs no column.
    pub(crate) fn is_optional(&self, name: &str) -> bool {
        self.optional.contains(name)
    }

    /// Fills the template; `values` follows [`Template::variables`], undefined where a cell is empty.
    pub fn render(&self, values: Vec<Value>) -> Result<String, TemplateError> {
        let row = Arc::new(Row { variables: Arc::clone(&self.variables), values });
        let compiled = self.engine.get_template(NAME).map_err(|error| explained(&error, &[]))?;
        compiled.render(Value::from_dyn_object(Arc::clone(&row))).map_err(|error| {
            let empty = row.variables.iter().zip(&row.values).filter(|(_, value)| value.is_undefined());
            explained(&error, &empty.map(|(name, _)| name.as_str()).collect::<Vec<_>>())
        })
    }
}

/// Says what went wrong; `empty` names the variables that are empty in the row.
fn explained(error: &minijinja::Error, empty: &[&str]) -> TemplateError {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let message = match (error.kind(), empty) {
        (ErrorKind::UndefinedError, [first, ..]) => {
            let said = detail.to_lowercase();
            let name = empty.iter().find(|name| said.contains(&format!("`{name}`"))).unwrap_or(first);
            format!(
                "it needs {name}, which is empty in this row; fill the cell, \
                 or write {{{{ {name} or \"…\" }}}} or {{% if {name} %}}"
            )
        }
        (ErrorKind::OutOfFuel, _) => "it takes too many steps; shorten its loops".to_owned(),
        (ErrorKind::TemplateNotFound, _) => "it cannot include or extend other templates".to_owned(),
        _ => detail,
    };
    TemplateError { line: error.line().unwrap_or(1), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, values: &[Value]) -> Result<String, String> {
        let template = Template::new(source).map_err(|error| error.to_string())?;
        template.render(values.to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_the_columns_it_uses() {
        let template = Template::new(
            "{% set x = title %}{{ x }}{% for i in range(2) %}{{ i }}{{ loop.index }}{% endfor %}{{ colour|upper }}",
        )
        .unwrap();
        assert_eq!(template.variables(), ["colour", "title"]);
    }

    #[test]
    fn names_are_those_of_the_columns_in_any_case() {
        let template =
            Template::new("{{ Title }} in {{ Variant_SKU }}, {{ title }}{% set X = 1 %}{{ X }}").unwrap();
        assert_eq!(template.variables(), ["title", "variant_sku"]);
        let values = || vec![Value::from("Mug"), written::number("2.50")];
        assert_eq!(template.render(values()), Ok("Mug in 2.50, Mug1".to_owned()));
        let error = template.render(vec![Value::from("Mug"), Value::UNDEFINED]).unwrap_err().message;
        assert!(error.starts_with("it needs variant_sku, which is empty in this row"), "{error}");
    }

    #[test]
    fn leaves_special_characters_alone() {
        assert_eq!(
            render("{{ a }} & co", &[Value::from("<b>\"5\" 'x'")]),
            Ok("<b>\"5\" 'x' & co".to_owned())
        );
    }

    #[test]
    fn an_empty_cell_can_be_asked_for_but_not_printed() {
        let source = "{% if colour %}a {{ colour }} {% endif %}mug{{ note or '' }}{{ note|default('!') }}";
        assert_eq!(render(source, &[Value::UNDEFINED, Value::UNDEFINED]), Ok("mug!".to_owned()));
        for source in [
            "{% if b %}{% endif %}\n{{ colour }}",
            "{{ b or 1 }}\n{{ colour|upper }}",
            "{{ b or 1 }}\n{{ 'a' ~ colour }}",
        ] {
            assert_eq!(
                render(source, &[Value::UNDEFINED, Value::UNDEFINED]).unwrap_err(),
                "template line 2: it needs colour, which is empty in this row; fill the cell, \
                 or write {{ colour or \"…\" }} or {% if colour %}"
            );
        }
    }

    #[test]
    fn numbers_are_printed_as_written_and_calculate() {
        let source = "{{ a }} {{ a * 2 }} {% if a < 3 %}cheap{% endif %}{% if b %} b{% endif %}";
        let given = |a: &str, b: &str| render(source, &[written::number(a), written::number(b)]).unwrap();
        for (a, b, prompt) in [
            ("2.50", "0.00", "2.50 5.0 cheap"),
            ("2.5", "0", "2.5 5.0 cheap"),
            ("2.0", "7", "2.0 4.0 cheap b"),
            ("25e-1", "-0", "25e-1 5.0 cheap"),
            ("18446744073709551617", "0", "18446744073709551617 36893488147419103234 "),
            ("1e39", "0", "1e39 2000000000000000000000000000000000000000.0 "),
            ("2.50", "2.5", "2.5 5.0 cheap b"),
        ] {
            assert_eq!(given(a, b), prompt);
        }
        let aside = "{% set x = a %}{% for y in [x] %}{{ y }}{% endfor %}";
        assert_eq!(render(aside, &[written::number("2.50")]), Ok("2.50".to_owned()));
        assert_eq!(render("{{ a }}", &[written::number("1e999")]), Ok("1e999".to_owned()));
    }

    #[test]
    fn endless_work_and_other_files_are_refused() {
        let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}";
        assert_eq!(
            render(loops, &[]).unwrap_err(),
            "template line 1: it takes too many steps; shorten its loops"
        );
        assert_eq!(
            render("{% include 'secret.txt' %}", &[]).unwrap_err(),
            "template line 1: it cannot include or extend other templates"
        );
    }

    #[test]
    fn a_broken_template_names_its_line() {
        let error = Template::new("a\nb {{ c").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.message.contains("end of"), "{}", error.message);
    }
}
