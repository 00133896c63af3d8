//! How often an invented figure finds a source, and how often a true one does, on the answers of the bundled packs.

use lacon_monitor::evidence::{Counted, Found};
use lacon_trading::{decide, sources};

use crate::support::{Scripted, says, settings_for};

/// Numbers that look random and are the same each time.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn share(&mut self) -> f64 {
        self.below(1 << 30) as f64 / f64::from(1 << 30)
    }
}

/// What a model would write around a figure; `D` is a day.
const SENTENCES: [&str; 14] = [
    "The stock closed at N on D.",
    "Support lies at N, and resistance at N.",
    "The RSI of N shows momentum.",
    "The price fell from N to N, which is P % in a month.",
    "Analysts name a price target of N USD.",
    "Revenue was N million, up P % on the year.",
    "The 50-day mean stands at N, P % below the close.",
    "Its MACD is N and the ATR is N.",
    "Volume on D reached N million shares.",
    "Earnings per share came to N, a margin of P %.",
    "The high of D was N.",
    "| Close | N | P % |",
    "Entry near N, stop at N, target N.",
    "The market value is $N billion at N times earnings.",
];

fn invented(draws: &mut Draws, real: &[f64]) -> String {
    let mut text = SENTENCES[draws.below(SENTENCES.len() as u64) as usize].to_owned();
    let day = format!("2025-07-{:02}", 1 + draws.below(28));
    text = text.replace('D', &day).replace(&format!("Its MAC{day}"), "Its MACD");
    while let Some(at) = text.find(['N', 'P']) {
        // The letters of names are no places.
        let is_percent = text[at..].starts_with('P');
        let value = if is_percent {
            draws.share() * 60.0
        } else {
            real[draws.below(real.len() as u64) as usize] * (0.8 + 0.45 * draws.share())
        };
        let decimals = if is_percent { 1 } else { draws.below(3) as usize };
        text.replace_range(at..=at, &format!("{value:.decimals$}"));
    }
    text
}

#[tokio::test(start_paused = true)]
async fn an_invented_figure_finds_a_source_once_in_a_hundred_and_a_true_one_nearly_always() {
    let mut draws = Draws(2026);
    for ticker in ["CRCL", "AAPL", "NVDA"] {
        let name = format!("sources-{ticker}");
        let mut settings =
            settings_for(ticker, &name, "lacon", Scripted::new(|role, _, _| Ok(says(role, "x"))));
        settings.journal = true;
        let out = settings.out.clone();
        let decided = decide(settings).await;
        let (sources, shown) = sources::of_run(&decided.folder, &decided.record);
        std::fs::remove_dir_all(out).unwrap();
        let real: Vec<f64> = shown
            .iter()
            .flat_map(|answer| lacon_monitor::figures::figures(&answer.text))
            .filter(lacon_monitor::figures::Figure::is_checked)
            .map(|figure| figure.value())
            .collect();
        let mut counted = Counted::default();
        for _ in 0..3_000 {
            counted = counted.and(sources.counted("market", &invented(&mut draws, &real)));
        }
        let checked = counted.shown + counted.computed + counted.nowhere;
        let found = (counted.shown + counted.computed) as f64 / checked as f64;
        assert!(checked > 2_500 && found <= 0.01, "{ticker}: {found:.4} of {checked}: {counted:?}");
        let mut told = Counted::default();
        for answer in shown.iter().filter(|answer| !answer.no_data) {
            for (text, expected) in restated(&answer.text) {
                for mark in sources.marks("market", &text).iter().filter(|m| text[m.start..m.end] == expected)
                {
                    told.add(mark.found);
                    assert!(mark.found != Found::Computed, "{text}");
                }
            }
        }
        assert!(told.shown >= 20 && told.nowhere == 0, "{ticker}: {:.3}: {told:?}", told.share());
    }
}

/// Each cell of a table of prices as a sentence, with the figure that it states.
fn restated(text: &str) -> Vec<(String, String)> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("Date,"));
    let Some(head) = lines.next() else { return Vec::new() };
    let names: Vec<&str> = head.split(',').collect();
    let mut told = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        for (name, cell) in names.iter().zip(&cells).skip(1) {
            told.push((
                format!("On {} the {} was {cell}.", cells[0], name.to_lowercase()),
                (*cell).to_owned(),
            ));
        }
    }
    told
}
