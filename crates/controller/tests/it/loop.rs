//! loop
