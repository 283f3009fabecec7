//! Documentation beyond the single items: nothing here but text and examples.
//!
//! | page | answers |
//! |---|---|
//! | [`semantics`] | what exactly conflicts, what is granted when, what each verb promises |
//! | [`fairness`] | in which order, who may pass whom, and what that costs |
//! | [`patterns`] | how to do what users of range locks have asked for |
//! | [`performance`] | what it costs, where it loses, how to keep it cheap |
//! | [`internals`] | how it works, for those who read the code |

pub mod fairness;
pub mod internals;
pub mod patterns;
pub mod performance;
pub mod semantics;
