//! Which schedules of a model are tried, with locks that are whole and with locks that are cut.

use super::guarded::CUT;

/// Tries the schedules with at most three preemptions, or `LOOM_MAX_PREEMPTIONS`: with locks that
/// are whole, then with locks that are cut.
pub(crate) fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(3));
    check_whole_and_cut(&model, &model, f);
}

/// The same for a model that with locks that are cut has too many schedules: with them at most two
/// preemptions.
pub(crate) fn model_of_many_schedules(f: impl Fn() + Send + Sync + 'static) {
    let [whole, cut] = [3, 2].map(|bound| {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = model.preemption_bound.or(Some(bound));
        model
    });
    check_whole_and_cut(&whole, &cut, f);
}

/// Tries all schedules, unless `LOOM_MAX_PREEMPTIONS` says otherwise; likewise.
pub(crate) fn exhaustive(f: impl Fn() + Send + Sync + 'static) {
    let model = loom::model::Builder::new();
    check_whole_and_cut(&model, &model, f);
}

fn check_whole_and_cut(
    whole: &loom::model::Builder,
    cut: &loom::model::Builder,
    f: impl Fn() + Send + Sync + 'static,
) {
    let f = std::sync::Arc::new(f);
    for (model, is_cut) in [(whole, false), (cut, true)] {
        CUT.set(is_cut);
        let f = std::sync::Arc::clone(&f);
        model.check(move || f());
    }
}
