//! What a mutant's file may say, and what is said of one that is wrong.

use super::{Edit, Mutant};

const HEAD: &str = "\
what: It is wrong,
  in two lines.
breaks: H1, ST4
file: src/a.rs
package: controller
killed-by: it_is_right
";

fn parse(text: &str) -> Result<Mutant, String> {
    Mutant::parse("mutants/wrong.mutant", text)
}

fn why(text: &str) -> String {
    parse(text).expect_err("it is wrong")
}

#[test]
fn every_part_is_read() {
    let text = format!(
        "{HEAD}test: one:: two::\n\n<<<<\n  a\n\n====\n>>>>\nfile: b.rs\n<<<<\nb\n====\nc\n>>>>\n"
    );
    let edit = |line, file: &str, old: &str, new: &str| Edit {
        file: file.to_owned(),
        line,
        old: old.to_owned(),
        new: new.to_owned(),
    };
    let expected = Mutant {
        name: "wrong".to_owned(),
        path: "mutants/wrong.mutant".to_owned(),
        what: "It is wrong, in two lines.".to_owned(),
        breaks: vec!["H1".to_owned(), "ST4".to_owned()],
        package: "controller".to_owned(),
        filters: vec!["one::".to_owned(), "two::".to_owned()],
        killed_by: "it_is_right".to_owned(),
        hangs: false,
        edits: vec![edit(9, "src/a.rs", "  a\n\n", ""), edit(15, "b.rs", "b\n", "c\n")],
    };
    assert_eq!(parse(&text), Ok(expected));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases = [
        (
            format!("{HEAD}why: so\n"),
            "7: `why` is no key: there are what, breaks, file, package, test, killed-by, \
             hangs",
        ),
        (format!("{HEAD}what: again\n"), "7: `what:` stands in line 1 already"),
        (format!("{HEAD}test:\n"), "7: `test:` has no value"),
        (format!("{HEAD}hangs: no\n"), "7: `hangs:` is `yes` or is not there, not `no`"),
        (format!("{HEAD}\nand so on\n"), "8: neither `key: value` nor `<<<<`: `and so on`"),
        (HEAD.replace("H1", "h1"), "3: `h1` is no id of a sentence, like H3"),
        (HEAD.replace("what: It is wrong,\n  in two lines.\n", ""), "4: there is no `what:`"),
        (HEAD.to_owned(), "6: there is no block: `<<<<`"),
        ("<<<<\n".to_owned(), "1: a block before `file:`"),
    ];
    for (text, expected) in cases {
        assert_eq!(why(&text), format!("mutants/wrong.mutant:{expected}"));
    }
}

#[test]
fn a_block_that_is_not_closed_is_told_with_its_line() {
    let cases = [
        ("<<<<\na\n====\nb\n", "7: the block has no end: `>>>>`"),
        ("<<<<\na\n>>>>\n", "9: the block ends before its `====`"),
        ("<<<<\na\n<<<<\n", "9: a block in a block"),
        ("<<<<\na\n====\n====\n", "10: a block has one `====`"),
        ("<<<<\n====\na\n>>>>\n", "8: the old text is empty"),
        ("<<<<\na\n====\na\n>>>>\n", "11: old and new are the same"),
    ];
    for (block, expected) in cases {
        assert_eq!(why(&format!("{HEAD}{block}")), format!("mutants/wrong.mutant:{expected}"));
    }
}

#[test]
fn blocks_of_one_file_are_applied_one_after_the_other() {
    let blocks = "<<<<\na\n====\nb\n>>>>\n<<<<\nb\n====\nc\n>>>>\n";
    let mutant = parse(&format!("{HEAD}{blocks}")).expect("it is right");
    let planted = mutant.planted(|_| Ok("a\nx\n".to_owned())).expect("both fit");
    assert_eq!(planted.into_values().collect::<Vec<_>>(), ["c\nx\n"]);
    assert_eq!(
        mutant.planted(|_| Ok("x\n".to_owned())),
        Err("mutants/wrong.mutant:7: the block does not stand in src/a.rs: no line there is `a`"
            .to_owned())
    );
    assert_eq!(
        mutant.planted(|path| Err(format!("{path}: gone"))),
        Err("mutants/wrong.mutant:7: the block cannot be tried: src/a.rs: gone".to_owned())
    );
}

#[test]
fn a_test_is_named_by_its_end() {
    let mutant =
        parse(&format!("{HEAD}test: health::\n<<<<\na\n====\n>>>>\n")).expect("it is right");
    assert!(mutant.names("health::it_is_right") && mutant.names("it_is_right"));
    assert!(!mutant.names("health::so_it_is_right") && !mutant.names("it_is_right::too"));
    assert!(mutant.runs("health::it_is_right") && !mutant.runs("stop::it_is_right"));
}
