//! The program `dax-sim`.
fn main() {}
