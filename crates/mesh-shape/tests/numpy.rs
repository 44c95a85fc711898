//! numpy: views behave as those of NumPy itself, whose answers `numpy/generate.py` wrote down.

use mesh_shape::{Extent, ParseReason, Rank, Region, ShapeError, Slice, Take};
use serde_json::Value;

/// The shape of the base, the steps, and of what they leave the shape, the strides, the first element
/// and all elements.
type Program = (Vec<usize>, String, Vec<usize>, Vec<Option<isize>>, Option<usize>, Vec<usize>);

/// The numbers of a list such as `2,0,1`.
fn numbers(text: &str) -> Vec<usize> {
    text.split(',').map(|number| number.parse().expect("it is a number")).collect()
}

/// Names for the axes a step makes: of one length, and never those of an earlier step.
fn fresh(step: usize, n: usize) -> Vec<String> {
    (0..n).map(|at| format!("s{step}x{at}")).collect()
}

fn one_take(text: &str) -> Take<'static> {
    if text == "..." {
        return Take::Rest;
    }
    let number = |text: &str| text.parse::<isize>().expect("it is a number");
    let bound = |text: &str| Some(text).filter(|text| !text.is_empty()).map(number);
    let parts: Vec<&str> = text.split(':').collect();
    Take::At(match *parts {
        [index] => Slice::Index(number(index)),
        [start, end] => Slice::Range { start: bound(start), end: bound(end), step: 1 },
        [start, end, step] => {
            Slice::Range { start: bound(start), end: bound(end), step: bound(step).unwrap_or(1) }
        }
        _ => unreachable!("a slice has three parts at most"),
    })
}

/// Basic indexing, as a list and as a text: they must agree.
fn index(view: &Region, text: &str) -> Result<Region, ShapeError> {
    let takes: Vec<Take<'_>> = text.split(',').map(one_take).collect();
    let taken = view.take(&takes);
    let read = view.parse_slice(text).map_err(|error| error.reason);
    assert_eq!(read, taken.clone().map_err(ParseReason::from), "{text}");
    taken
}

fn window(view: &Region, axis: &str, rest: &str) -> Result<Region, ShapeError> {
    let (len_and_at, count) = rest.split_once('/').expect("it says of how many");
    let (len_and_at, count) = (numbers(len_and_at), numbers(count));
    let mut parts = view.windows(axis, len_and_at[0])?;
    assert_eq!(parts.len(), count[0]);
    // NumPy refuses what leaves no window; here it is an empty list.
    let name = axis.to_owned();
    parts.nth(len_and_at[1]).ok_or(ShapeError::ZeroLength { dim: name })
}

fn run(view: &Region, step: &str, at: usize) -> Result<Region, ShapeError> {
    let names: Vec<&str> = view.extent().names().collect();
    let (kind, rest) = step.split_once(' ').unwrap_or((step, ""));
    match kind {
        "I" => index(view, rest),
        "T" if rest.is_empty() => view.permute(&[]),
        "T" => view.permute(&numbers(rest).iter().map(|axis| names[*axis]).collect::<Vec<_>>()),
        "F" => view.flip(names[numbers(rest)[0]]),
        "Q" => Ok(view.squeeze()),
        "M" => {
            let places = numbers(rest);
            view.flatten(&names[places[0]..places[0] + places[1]], &fresh(at, 1)[0])
        }
        "S" => {
            let (axis, sizes) = rest.split_once(':').expect("it has sizes");
            let sizes = numbers(sizes);
            let fresh = fresh(at, sizes.len());
            let into: Vec<_> = fresh.iter().map(String::as_str).zip(sizes).collect();
            view.split(names[numbers(axis)[0]], &into)
        }
        "W" => {
            let (axis, rest) = rest.split_once(',').expect("it has a length");
            window(view, names[numbers(axis)[0]], rest)
        }
        _ => unreachable!("there are no other steps"),
    }
}

/// Whether the refusal is the one that NumPy's stands for.
fn is_refusal(letter: &str, error: &ShapeError) -> bool {
    match letter {
        "I" => matches!(error, ShapeError::IndexOutOfBounds { .. }),
        "M" => matches!(error, ShapeError::TooManySlices { .. }),
        "E" => matches!(error, ShapeError::TwoRests),
        "Z" => matches!(error, ShapeError::ZeroStep { .. }),
        "C" => matches!(error, ShapeError::NotFlat { .. }),
        "S" => matches!(error, ShapeError::WrongSplit { .. }),
        "W" => matches!(error, ShapeError::ZeroLength { .. }),
        _ => false,
    }
}

fn view_of(sizes: &[usize], steps: &str) -> Region {
    let dims = sizes.iter().enumerate().map(|(axis, size)| (format!("d{axis}"), *size));
    let mut view = Region::all(Extent::new(dims).expect("the sizes are small"));
    for (at, step) in steps.split(';').enumerate() {
        let (step, refused) = step.split_once('!').unwrap_or((step, ""));
        match (run(&view, step, at), refused) {
            (Ok(next), "") => view = next,
            (Err(error), letter) if is_refusal(letter, &error) => (),
            (other, _) => panic!("{sizes:?} {steps}: step {at} gave {other:?}"),
        }
    }
    view
}

fn is_the_same((sizes, steps, shape, strides, offset, ranks): &Program) {
    let view = view_of(sizes, steps);
    let of = format!("{sizes:?} {steps}: {view:?}");
    assert_eq!(view.extent().sizes(), shape, "{of}");
    assert_eq!(view.iter().map(Rank::index).collect::<Vec<_>>(), *ranks, "{of}");
    assert_eq!(view.offset(), offset.unwrap_or(0), "{of}");
    let expected: Vec<isize> = strides.iter().map(|stride| stride.unwrap_or(0)).collect();
    assert_eq!(view.strides(), expected, "{of}");
    for base in 0..view.base().size() + 1 {
        let at = ranks.iter().position(|rank| *rank == base).map(Rank::new);
        assert_eq!(view.rank_of_base(Rank::new(base)), at, "{of}");
    }
    for at in 0..ranks.len() + 1 {
        let base = ranks.get(at).copied().map(Rank::new);
        assert_eq!(view.base_rank(Rank::new(at)), base, "{of}");
    }
}

#[test]
fn every_program_leaves_the_view_that_numpy_leaves() {
    let text = include_str!("numpy/vectors.json");
    let mut vectors: Value = serde_json::from_str(text).expect("the vectors are JSON");
    assert_eq!(vectors["numpy"], "2.4.6");
    let programs: Vec<Program> =
        serde_json::from_value(vectors["programs"].take()).expect("each is a program");
    assert!(programs.len() >= 5_000, "{} programs", programs.len());
    programs.iter().for_each(is_the_same);
}
