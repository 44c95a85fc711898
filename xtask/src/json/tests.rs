//! What the JSON reader takes and what it refuses.

use super::{DEPTH_MAX, Json};

#[test]
fn every_kind_of_value_is_read() {
    let read =
        Json::parse(r#" { "a" : [ null, true, false, -1.5e2 ], "b": {}, "c": [], "d": "x" } "#)
            .expect("it is JSON");
    let a = [Json::Null, Json::Bool(true), Json::Bool(false), Json::Number(-150.0)];
    assert_eq!(read.list("a"), Some(a.as_slice()));
    assert_eq!(read.get("b"), Some(&Json::Object([].into())));
    assert_eq!(read.list("c"), Some([].as_slice()));
    assert_eq!(read.text("d"), Some("x"));
    assert_eq!(read.text("e"), None);
    assert_eq!(Json::Null.get("a"), None);
}

#[test]
fn escapes_are_resolved() {
    let read = Json::parse(r#""a\"\\\/\b\f\n\r\t\u00e9\ud83e\udd80 é""#);
    assert_eq!(read, Ok(Json::Text("a\"\\/\u{8}\u{c}\n\r\té🦀 é".to_owned())));
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (text, why) in [
        ("", "expected a value at byte 0"),
        ("[1,]", "expected a value at byte 3"),
        ("[1 2]", "expected a comma or a closing bracket at byte 3"),
        ("{1:2}", "expected a string at byte 1"),
        (r#"{"a" 1}"#, "expected a colon at byte 5"),
        (r#"{"a":1"#, "expected a comma or a closing brace at byte 6"),
        (r#""a"#, "expected a closing quote at byte 1"),
        (r#""\x""#, "expected an escape at byte 2"),
        (r#""\ud83e""#, "expected a whole character at byte 7"),
        (r#""\ud83e\u0041""#, "expected a whole character at byte 13"),
        (r#""\u+123""#, "expected four hexadecimal digits at byte 3"),
        (r#""\u12é""#, "expected four hexadecimal digits at byte 3"),
        ("nul", "expected null at byte 0"),
        ("1 2", "expected the end at byte 2"),
    ] {
        let refused = Json::parse(text).map_err(|error| error.to_string());
        assert_eq!(refused, Err(why.to_owned()), "{text}");
    }
}

#[test]
fn depth_is_limited() {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Json::parse(&nested(DEPTH_MAX)).is_ok());
    assert!(Json::parse(&nested(DEPTH_MAX + 1)).is_err());
}
