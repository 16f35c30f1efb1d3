//! Results as JSON objects, one a line.

use std::io;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::{ResultRow, Shape, dollars};

/// Writes one object a result; returns how many. What is not known is null.
pub fn write_jsonl(
    mut out: impl io::Write,
    shape: &Shape,
    rows: impl IntoIterator<Item = ResultRow>,
) -> io::Result<u64> {
    let mut count = 0;
    for row in rows {
        serde_json::to_writer(&mut out, &Object { shape, row: &row })?;
        out.write_all(b"\n")?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}

struct Object<'a> {
    shape: &'a Shape,
    row: &'a ResultRow,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { shape, row } = self;
        let (originals, ours) = shape.titles.split_at(shape.originals);
        let mut map = serializer.serialize_map(Some(shape.titles.len()))?;
        for (i, title) in originals.iter().enumerate() {
            map.serialize_entry(title, row.cells.get(i).map_or("", String::as_str))?;
        }
        // An exact decimal number: money is never rounded to a binary fraction on our side.
        let cost = row.cost.map(|cost| RawValue::from_string(dollars(cost)).expect("digits are JSON"));
        for title in ours {
            match title.as_str() {
                "take" => map.serialize_entry(title, &row.take)?,
                "key" => map.serialize_entry(title, &row.key)?,
                "original_key" => map.serialize_entry(title, &row.original_key)?,
                "cost" => map.serialize_entry(title, &cost)?,
                "model" => map.serialize_entry(title, &row.model)?,
                "revised_prompt" => map.serialize_entry(title, &row.revised_prompt)?,
                "error" => map.serialize_entry(title, &row.error)?,
                "note" => map.serialize_entry(title, &row.note)?,
                "url_expires" => map.serialize_entry(title, &row.expires)?,
                _ => map.serialize_entry(title, &row.place)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Place, With};
    use super::*;
    use pictor_common::MicroUsd;

    #[test]
    fn one_object_a_line_in_the_order_of_the_columns() {
        let shape = Shape::new(&["sku", "cost"].map(str::to_owned), Place::Url, With::default());
        let row = ResultRow {
            cells: vec!["=1".to_owned()],
            place: Some("s3://b/a.png".to_owned()),
            cost: Some(MicroUsd(40_000)),
            model: "dall-e-3".to_owned(),
            ..ResultRow::default()
        };
        let mut out = Vec::new();
        assert_eq!(write_jsonl(&mut out, &shape, [row]).unwrap(), 1);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"sku\":\"=1\",\"cost_original\":\"\",\"url\":\"s3://b/a.png\",\"key\":null,\"cost\":0.04,\
             \"model\":\"dall-e-3\",\"revised_prompt\":null,\"error\":null,\"note\":null}\n"
        );
    }
}
