//! The control thread, and later the typed actors, of Meshwarden.
#![forbid(unsafe_code)]
