//! Benchmarks of `range-lock` beside its rivals.
