//! Plain tables.

use std::fmt::Write;

/// Sets rows under a head, in columns as wide as their widest cell. The names of columns of numbers
/// begin with `>`: they stand to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let names = head.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
    let rows: Vec<&Vec<String>> = std::iter::once(&names).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for ((cell, width), name) in row.iter().zip(&widths).zip(head) {
            let written = if name.starts_with('>') {
                write!(line, "  {cell:>width$}")
            } else {
                write!(line, "  {cell:<width$}")
            };
            debug_assert!(written.is_ok(), "a string takes everything");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number with its thousands apart: `12 345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [vec!["the".to_owned(), "12 345".to_owned()], vec!["a".to_owned(), "1".to_owned()]];
        let expected = "  word       n\n  the   12 345\n  a          1\n";
        assert_eq!(table(&["word", ">n"], &rows), expected);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    }
}
