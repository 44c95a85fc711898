//! The text form of slices: `hosts=0,gpus=0:8:2`.

use std::fmt;

use super::Take;
use super::{Region, sets};
use crate::extent::Extent;
use crate::parse_error::{ParseReason, ParseShapeError};
use crate::shape_error::ShapeError;
use crate::slice::Slice;
use crate::text::{self, Cursor};

/// Slices `region` as `text` says; the dims of `text` are those of the region, each at most once.
pub(super) fn parse_slice(region: &Region, text: &str) -> Result<Region, ParseShapeError> {
    let mut cursor = Cursor::new(text, "a slice such as hosts=0,gpus=0:8:2")?;
    let mut sliced = region.clone();
    let mut named = vec![false; region.extent().ndim()];
    if !is_named(text) {
        return parse_positional(region, cursor);
    }
    let mut goes_on = !cursor.take(text::NO_DIMS);
    while goes_on {
        let (at, name) = cursor.key()?;
        let axis = region.extent().axis(&name);
        let Some(was_named) = axis.and_then(|axis| named.get_mut(axis)) else {
            return Err(cursor.error_at(at, region.extent().unknown_dim(&name)));
        };
        if std::mem::replace(was_named, true) {
            return Err(cursor.error_at(at, ShapeError::DuplicateDim { name }));
        }
        let at = cursor.at();
        let slice = Slice::read(&mut cursor)?;
        sliced = sliced.slice(&name, slice).map_err(|refused| cursor.error_at(at, refused))?;
        goes_on = cursor.another()?;
    }
    if cursor.at_end() { Ok(sliced) } else { Err(cursor.error(ParseReason::MissingComma)) }
}

/// Whether the text names dims. What has no `=` is slices by position.
fn is_named(text: &str) -> bool {
    text.contains('=') || text.trim_start().starts_with(text::NO_DIMS)
}

/// Slices by position: `0,...,::2`.
fn parse_positional(region: &Region, mut cursor: Cursor<'_>) -> Result<Region, ParseShapeError> {
    let mut takes = Vec::new();
    loop {
        let at = cursor.at();
        let is_name = cursor.peek().is_some_and(|c| c.is_alphabetic() || matches!(c, '_' | '"'));
        if is_name {
            // A name without a value, rather than a bad number.
            cursor.key()?;
        }
        let take =
            if cursor.take("...") { Take::Rest } else { Take::At(Slice::read(&mut cursor)?) };
        takes.push((at, take));
        if !cursor.another()? {
            break;
        }
    }
    let all: Vec<Take<'_>> = takes.iter().map(|(_, take)| *take).collect();
    region.take(&all).map_err(|refused| {
        let wrong = wrong_one(region, &all, &refused);
        let at = wrong.and_then(|wrong| takes.get(wrong)).map_or(0, |(at, _)| *at);
        cursor.error_at(at, refused)
    })
}

/// The place of the first of several slices that makes them refused.
fn wrong_one(region: &Region, all: &[Take<'_>], refused: &ShapeError) -> Option<usize> {
    let places = all.iter().enumerate().map(|(at, take)| (at, *take == Take::Rest));
    match refused {
        ShapeError::TwoRests => places.filter(|(_, is_rest)| *is_rest).nth(1).map(|(at, _)| at),
        ShapeError::TooManySlices { ndim, .. } => {
            places.filter(|(_, is_rest)| !is_rest).nth(*ndim).map(|(at, _)| at)
        }
        _ => {
            // Those after it take everything, so that positions stay what they are.
            let whole = all.iter().map(|take| match take {
                Take::At(_) => Take::At(Slice::ALL),
                other => *other,
            });
            let mut some: Vec<Take<'_>> = whole.collect();
            (0..all.len()).find(|at| {
                if let (Some(slot), Some(take)) = (some.get_mut(*at), all.get(*at)) {
                    *slot = *take;
                }
                region.take(&some).is_err()
            })
        }
    }
}

/// Reads what [`write_region`] writes.
pub(super) fn parse_region(text: &str, base: &Extent) -> Result<Region, ParseShapeError> {
    if !text.split_once('+').is_some_and(|(offset, _)| is_number(offset)) {
        return parse_slice(&Region::all(base.clone()), text);
    }
    let mut cursor = Cursor::new(text, "a region such as hosts=0,gpus=0:8:2")?;
    let start = cursor.number()?;
    cursor.take("+");
    let (mut dims, mut strides, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut goes_on = !cursor.take(text::NO_DIMS);
    while goes_on {
        let (at, name) = cursor.key()?;
        places.push(at);
        let size = cursor.number()?;
        if !cursor.take("@") {
            return Err(cursor.error(ParseReason::MissingStride));
        }
        dims.push((name, size));
        strides.push(cursor.signed()?);
        goes_on = cursor.another()?;
    }
    if !cursor.at_end() {
        return Err(cursor.error(ParseReason::MissingComma));
    }
    let extent = Extent::new(dims.iter().cloned()).map_err(|refused| {
        // The first dim that makes them refused.
        let is_refused = |n_dims: &usize| Extent::new(dims.iter().take(*n_dims).cloned()).is_err();
        let wrong = (1..=dims.len()).find(is_refused).and_then(|n_dims| places.get(n_dims - 1));
        cursor.error_at(wrong.copied().unwrap_or_default(), refused)
    })?;
    Region::checked(base, &extent, (start, &strides))
        .ok_or_else(|| cursor.error_at(0, ShapeError::NotAView))
}

fn is_number(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// As slices of the dims of the base where that is what it is, else by offset and strides.
pub(super) fn write_region(f: &mut fmt::Formatter<'_>, region: &Region) -> fmt::Result {
    if let Some(slices) = sets::slices(region) {
        let entries = region.base().names().zip(slices);
        return text::write_entries(f, entries, |f, (name, slice)| {
            text::write_name(f, name)?;
            write!(f, "={slice}")
        });
    }
    write!(f, "{}+", region.offset())?;
    let entries = region.extent().dims().zip(region.strides());
    text::write_entries(f, entries, |f, ((name, size), stride)| {
        text::write_name(f, name)?;
        write!(f, "={size}@{stride}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Region {
        Region::all(Extent::new([("hosts", 2), ("gpus", 8)]).expect("it is an extent"))
    }

    #[test]
    fn every_wrong_text_is_refused_at_its_byte() {
        let dim = || "gpus".to_owned();
        let known = vec!["hosts".to_owned(), "gpus".to_owned()];
        let unknown = ShapeError::UnknownDim { name: "racks".to_owned(), known };
        let outside = ShapeError::IndexOutOfBounds { dim: dim(), index: -9, size: 8 };
        let duplicate = ShapeError::DuplicateDim { name: dim() };
        let too_large = ParseReason::NumberTooLarge { limit: isize::MAX.unsigned_abs() };
        let cases = [
            ("", 0, ParseReason::Empty { example: "a slice such as hosts=0,gpus=0:8:2" }),
            ("gpus", 4, ParseReason::MissingEquals),
            ("gpus=", 5, ParseReason::MissingNumber),
            ("gpus=a", 5, ParseReason::MissingNumber),
            ("gpus=1:b", 7, ParseReason::MissingNumber),
            ("gpus=1:2:3:4", 10, ParseReason::MissingComma),
            ("gpus=1,", 7, ParseReason::TrailingComma),
            ("gpus=-9", 5, outside.into()),
            ("gpus=1:2:0", 5, ShapeError::ZeroStep { dim: dim() }.into()),
            ("gpus=1,gpus=2", 7, duplicate.into()),
            ("hosts=0,racks=0", 8, unknown.into()),
            ("gpus=9223372036854775808", 5, too_large),
        ];
        for (text, at, reason) in cases {
            let error = all().parse_slice(text).expect_err("the text is wrong");
            assert_eq!((error.at, error.reason), (at, reason), "{text}");
        }
    }

    #[test]
    fn slices_are_written_with_their_bounds() {
        let cases = [
            ("()", "hosts=0:2,gpus=0:8"),
            ("hosts=0,gpus=0:8:2", "hosts=0,gpus=0:7:2"),
            ("hosts=-1,gpus=::-1", "hosts=1,gpus=7::-1"),
            ("gpus=5:2:-2", "hosts=0:2,gpus=5:2:-2"),
            ("gpus=5:5", "hosts=0:2,gpus=0:0"),
            ("gpus=-1:", "hosts=0:2,gpus=7:8"),
        ];
        for (text, written) in cases {
            let region = all().parse_slice(text).expect("the text is right");
            assert_eq!(region.to_string(), written);
            assert_eq!(all().parse_slice(written), Ok(region));
        }
    }
}
