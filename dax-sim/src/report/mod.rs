//! Tables, plots and JSON.
