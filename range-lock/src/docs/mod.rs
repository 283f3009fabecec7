//! Documentation that is too long for the page of one item. The modules below contain only text and
//! examples.
//!
//! | page | answers |
//! |---|---|
//! | [`semantics`] | what exactly conflicts, what is granted when, what each method promises |
//! | [`fairness`] | in which order requests are granted, which may pass others, what strict order costs |
//! | [`patterns`] | how to do what users of range locks have asked for |
//! | [`performance`] | what the lock costs, where other locks are faster, how to keep it cheap |
//! | [`internals`] | how the lock works, for readers of the code |

pub mod fairness;
pub mod internals;
pub mod patterns;
pub mod performance;
pub mod semantics;
