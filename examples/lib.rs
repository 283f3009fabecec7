//! Programs that a user of `range-lock` would copy from.
