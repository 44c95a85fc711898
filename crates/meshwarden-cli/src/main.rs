//! The program meshwarden: any command, supervised as a mesh.
#![forbid(unsafe_code)]
fn main() {}
