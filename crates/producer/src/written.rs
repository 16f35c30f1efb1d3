//! Numbers that calculate as numbers and are printed as somebody wrote them: `2.50` stays 2.50 in a prompt.

use std::{fmt, sync::Arc};

use minijinja::{
    Error, Output, State, Value, escape_formatter,
    value::{Object, ObjectRepr, ValueKind},
};

/// Where a row keeps its numbers; no template can spell it.
pub(crate) const NUMBERS: &str = "\0numbers";

/// A number whose text is not what would be printed of it.
#[derive(Clone, Debug)]
struct Written {
    number: Value,
    text: Arc<str>,
}

/// The numbers of a row.
#[derive(Debug)]
struct Numbers(Vec<Written>);

impl Object for Written {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Object for Numbers {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// The value of a number; a text where it is none.
pub(crate) fn number(text: &str) -> Value {
    let whole = text.parse::<i64>().map(Value::from);
    let whole = whole.or_else(|_long| text.parse::<i128>().map(Value::from));
    let number = whole.ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        number.is_finite().then(|| Value::from(number))
    });
    match number {
        Some(number) if number.to_string() == text => number,
        Some(number) => Value::from_object(Written { number, text: text.into() }),
        None => Value::from(text),
    }
}

/// A variable as a template calculates with it.
pub(crate) fn plain(value: &Value) -> Value {
    value.downcast_object_ref::<Written>().map_or_else(|| value.clone(), |written| written.number.clone())
}

/// The numbers among some variables, if any is to be printed in another way than its value is.
pub(crate) fn numbers(values: &[Value]) -> Option<Value> {
    let all = values.iter().filter_map(|value| match value.downcast_object_ref::<Written>() {
        Some(written) => Some((true, written.clone())),
        None if value.kind() == ValueKind::Number => {
            Some((false, Written { number: value.clone(), text: value.to_string().into() }))
        }
        None => None,
    });
    let (other, all): (Vec<bool>, Vec<Written>) = all.unzip();
    other.contains(&true).then(|| Value::from_object(Numbers(all)))
}

/// Prints what a template gives out. Where a row writes one number in two ways, it is printed as its value is.
pub(crate) fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.kind() == ValueKind::Number
        && let Some(row) = state.lookup(NUMBERS)
        && let Some(Numbers(all)) = row.downcast_object_ref()
    {
        let mut same = all.iter().filter(|written| written.number == *value);
        if let Some(first) = same.next()
            && same.all(|other| other.text == first.text)
        {
            return out.write_str(&first.text).map_err(Error::from);
        }
    }
    escape_formatter(out, state, value)
}
