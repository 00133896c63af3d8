//! A planted weakness: a simulated reader misreads one form, and the verdict has to find it.

use std::collections::HashSet;

use lacon_eval::experiment::{PlanOptions, plan, run, summary};
use lacon_eval::forms::named;
use lacon_eval::material::Material;
use lacon_eval::reader::{Reader, ReaderOptions};
use lacon_eval::verdict::Verdict;

use crate::reading::{o200k, orders};

/// How often each verdict fell on a form over 200 experiments.
#[derive(Debug, Default, Clone, Copy)]
struct Fell {
    proven: u32,
    worse: u32,
}

#[tokio::test]
async fn the_misread_form_is_found_and_the_others_are_not_blamed() {
    let materials = [Material::read("orders", &orders(120))];
    let forms = ["json", "csv"];
    let options = PlanOptions {
        model: "reader".into(),
        forms: forms.into_iter().filter_map(named).collect(),
        legend: false,
        questions: 150,
        window: 2500,
        seed: 11,
    };
    let plan = plan(&materials, &options, o200k());
    assert_eq!(plan.questions["json"], 150, "{:?}", plan.questions);
    let mut fell = [Fell::default(); 2];
    for seed in 0..200 {
        // It answers 85 of 100 questions, one answer in fifty goes wrong by chance, and @json costs it twelve points.
        let reader = Reader::new(ReaderOptions {
            seed,
            misses: 0.15,
            slips: 0.02,
            misreads: Some(("@json".into(), 0.14)),
        });
        let mut rows = Vec::new();
        run(&reader, &plan, &HashSet::new(), 1, None, |row| rows.push(row)).await;
        for arm in summary(&plan, &rows, 0.05) {
            let Some(at) = forms.iter().position(|form| *form == arm.name) else { continue };
            fell[at].proven += u32::from(arm.verdict == Some(Verdict::Proven));
            fell[at].worse += u32::from(arm.verdict == Some(Verdict::Worse));
        }
    }
    let [json, csv] = fell;
    // Stated: 5 % false verdicts of each kind; 18 of 200 is what chance gives in one of a hundred such tests.
    assert!(json.proven <= 18 && csv.worse <= 18, "json {json:?}, csv {csv:?}");
    // And it is found, while the harmless form is proven in most experiments.
    assert!(json.worse >= 190 && csv.proven >= 130, "json {json:?}, csv {csv:?}");
}
