//! Market data: offline packs, folder layouts, point-in-time rules, indicators.
