//! Collects everything that the vendors know of a ticker on a day, for a pack.

use jiff::{Span, civil::Date};

use super::{Live, Need, not_for};
use crate::{
    Dataset,
    routing::{Category, Walked, walk},
    vendor::Vendor,
};

/// A data set and what it lacks.
#[derive(Debug)]
pub struct Gathered {
    /// The data.
    pub data: Dataset,
    /// Category and why it is missing.
    pub gaps: Vec<(Category, String)>,
    /// The vendors' names by category.
    pub from: Vec<(Category, String)>,
}

impl Live {
    /// Asks for every kind of data once: ten years of bars, thirty days of texts, all statements.
    ///
    /// Nothing in it is dated after the run's date. What cannot be had is listed, not made up.
    pub async fn gather(&self) -> Gathered {
        let identity = self.identity().await;
        let mut data = Dataset {
            ticker: self.ticker.to_string(),
            name: identity.name,
            sector: identity.sector,
            exchange: identity.exchange,
            date: Some(self.as_of),
            origin: "the vendors".into(),
            ..Dataset::default()
        };
        let (mut gaps, mut from) = (Vec::new(), Vec::new());
        let (symbol, asset) = self.ticker.canonical();
        let back = |span: Span| self.as_of.checked_sub(span).unwrap_or(Date::MIN);
        for (category, start, transactions) in [
            (Category::Prices, back(Span::new().years(10)), false),
            (Category::CompanyNews, back(Span::new().days(30)), false),
            (Category::GlobalNews, back(Span::new().days(7)), false),
            (Category::Posts, back(Span::new().days(30)), false),
            (Category::Messages, back(Span::new().days(7)), false),
            (Category::Fundamentals, back(Span::new().days(30)), false),
            (Category::Insiders, back(Span::new().days(90)), false),
            (Category::Insiders, back(Span::new().days(90)), true),
        ] {
            let words = match category {
                Category::GlobalNews => "stock market economy".into(),
                _ => symbol.to_string(),
            };
            let need = Need {
                category,
                symbol: symbol.clone(),
                asset,
                words,
                start,
                end: self.as_of,
                transactions,
                statement: None,
                look_back: 365,
            };
            self.add(&mut data, need, &mut gaps, &mut from).await;
        }
        for kind in crate::dataset::StatementKind::ALL {
            for frequency in ["annual", "quarterly"] {
                let statement = Some((kind, frequency.to_owned()));
                let need = Need {
                    category: Category::Statements,
                    symbol: symbol.clone(),
                    asset,
                    words: symbol.to_string(),
                    start: back(Span::new().years(5)),
                    end: self.as_of,
                    transactions: false,
                    statement,
                    look_back: 365,
                };
                self.add(&mut data, need, &mut gaps, &mut from).await;
            }
        }
        // A vendor gives all kinds at once: the same statement may have come several times.
        let mut seen = std::collections::BTreeSet::new();
        data.statements.retain(|s| {
            s.publish_date <= self.as_of && seen.insert((s.kind as u8, s.frequency.clone(), s.report_date))
        });
        gaps.dedup();
        from.dedup();
        Gathered { data, gaps, from }
    }

    async fn add(
        &self,
        data: &mut Dataset,
        need: Need,
        gaps: &mut Vec<(Category, String)>,
        from: &mut Vec<(Category, String)>,
    ) {
        let category = need.category;
        if let Some(why) = not_for(need.asset, category) {
            gaps.push((category, why.into()));
            return;
        }
        let ask = |vendor: Vendor| -> crate::vendor::fetch::BoxFuture<'_, _> {
            let need = need.clone();
            Box::pin(async move { self.part(vendor, &need).await })
        };
        match walk(self.vendors.routes.chain("", category), ask).await {
            Walked::Found(found, _) => {
                let vendor = found.sources.first().map(|s| s.vendor.clone()).unwrap_or_default();
                from.push((category, vendor));
                found.value.put(data);
                if category == Category::Posts {
                    // What was searched by ticker is about the company.
                    data.global_social.clear();
                }
            }
            Walked::Nothing(said) | Walked::Failed(said) => gaps.push((category, super::said_lines(&said))),
        }
    }
}
