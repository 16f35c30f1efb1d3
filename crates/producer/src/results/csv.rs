//! Results as CSV, safe to open in a spreadsheet.

use std::io;

use super::{ResultRow, Shape, dollars};
use crate::formula::defused;

/// Writes a header and one row a result; returns how many.
pub fn write_csv(
    out: impl io::Write,
    shape: &Shape,
    rows: impl IntoIterator<Item = ResultRow>,
) -> io::Result<u64> {
    let mut writer = ::csv::Writer::from_writer(out);
    for title in shape.titles() {
        writer.write_field(defused(title).as_bytes()).map_err(of_writing)?;
    }
    writer.write_record(None::<&[u8]>).map_err(of_writing)?;
    let mut count = 0;
    for row in rows {
        let mut field = |text: &str| writer.write_field(defused(text).as_bytes()).map_err(of_writing);
        for i in 0..shape.originals {
            field(row.cells.get(i).map_or("", String::as_str))?;
        }
        if shape.with.take {
            field(&row.take.to_string())?;
        }
        field(row.place.as_deref().unwrap_or_default())?;
        if shape.with_expiry {
            field(row.expires.as_deref().unwrap_or_default())?;
        }
        field(row.key.as_ref().map_or("", |key| key.as_str()))?;
        if shape.with.original_key {
            field(row.original_key.as_ref().map_or("", |key| key.as_str()))?;
        }
        field(&row.cost.map(dollars).unwrap_or_default())?;
        field(&row.model)?;
        field(row.revised_prompt.as_deref().unwrap_or_default())?;
        field(row.error.as_deref().unwrap_or_default())?;
        field(row.note.as_deref().unwrap_or_default())?;
        writer.write_record(None::<&[u8]>).map_err(of_writing)?;
        count += 1;
    }
    writer.flush()?;
    Ok(count)
}

/// What the writer met; made into a plain error by itself, its kind would be lost, such as that of a closed pipe.
fn of_writing(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Place, With};
    use super::*;
    use pictor_common::{AssetKey, MicroUsd, Spec};
    use proptest::prelude::*;

    /// A reader that went away.
    struct Gone;

    impl io::Write for Gone {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_told_as_one() {
        let shape = Shape::new(&[], Place::File, With::default());
        let rows = (0..100_000).map(|_| ResultRow { note: Some("long".to_owned()), ..ResultRow::default() });
        assert_eq!(write_csv(Gone, &shape, rows).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_row_holds_the_original_cells_and_ours() {
        let key = AssetKey::of(&Spec::default());
        let made = ResultRow {
            cells: vec!["1".to_owned(), "a \"red\" mug,\nlarge".to_owned()],
            take: 1,
            place: Some("out/1.png".to_owned()),
            key: Some(key.clone()),
            cost: Some(MicroUsd(40_000)),
            model: "dall-e-3".to_owned(),
            ..ResultRow::default()
        };
        let failed = ResultRow {
            cells: vec!["2".to_owned()],
            model: "dall-e-3".to_owned(),
            error: Some("-1 is refused".to_owned()),
            ..ResultRow::default()
        };
        let shape = Shape::new(
            &["id", "prompt"].map(str::to_owned),
            Place::File,
            With { take: true, ..With::default() },
        );
        let mut out = Vec::new();
        assert_eq!(write_csv(&mut out, &shape, [made, failed]).unwrap(), 2);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "id,prompt,take,file,key,cost,model,revised_prompt,error,note\n\
                 1,\"a \"\"red\"\" mug,\nlarge\",1,out/1.png,{key},0.04,dall-e-3,,,\n\
                 2,,0,,,,dall-e-3,,'-1 is refused,\n"
            )
        );
    }

    proptest! {
        #[test]
        fn cells_come_back(cells in prop::collection::vec("[a-z\",;=+@'\n\r\té-]{0,8}", 3)) {
            let shape = Shape::new(&["a", "b", "c"].map(str::to_owned), Place::Url, With::default());
            let mut out = Vec::new();
            write_csv(&mut out, &shape, [ResultRow { cells: cells.clone(), ..ResultRow::default() }]).unwrap();
            let mut reader = ::csv::Reader::from_reader(out.as_slice());
            let record = reader.records().next().unwrap().unwrap();
            for (read, cell) in record.iter().zip(&cells) {
                prop_assert_eq!(crate::formula::restored(read), cell.as_str());
                prop_assert!(!read.starts_with(['=', '+', '-', '@', '\t', '\r']));
            }
        }
    }
}
