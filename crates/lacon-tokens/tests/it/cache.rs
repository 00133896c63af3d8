//! The count cache: figures, bound, bypass, switch.

use lacon_tokens::{CountCache, CountCacheOptions, EncodingName, encoding};

#[test]
fn hits_are_equal_and_counted() {
    let cache = CountCache::new(CountCacheOptions { threshold: 8, ..Default::default() });
    let (o200k, cl100k) = (encoding(EncodingName::O200kBase), encoding(EncodingName::Cl100kBase));
    let text = "the same text, asked for again and again ☕";
    for _ in 0..3 {
        assert_eq!(cache.count(o200k, text), o200k.count(text));
        assert_eq!(cache.count(cl100k, text), cl100k.count(text));
    }
    cache.count(o200k, "short");
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.bypassed, stats.entries), (4, 2, 1, 2));
    cache.clear();
    assert_eq!(cache.stats(), Default::default());
}

#[test]
fn stays_within_its_bytes() {
    let max_bytes = 64 << 10;
    let cache = CountCache::new(CountCacheOptions { max_bytes, threshold: 0, enabled: true });
    for i in 0..20_000 {
        cache.count(encoding(EncodingName::R50kBase), &format!("text {i}"));
    }
    let stats = cache.stats();
    assert!(stats.bytes <= max_bytes && stats.evictions > 15_000, "{stats:?}");
}

#[test]
fn off_means_off() {
    let cache = CountCache::new(CountCacheOptions { enabled: false, ..Default::default() });
    let text = "x ".repeat(10_000);
    cache.count(encoding(EncodingName::R50kBase), &text);
    cache.count(encoding(EncodingName::R50kBase), &text);
    assert_eq!((cache.stats().bypassed, cache.stats().entries), (2, 0));
}

/// The original's cache knew a text by its first 100 characters and its length.
#[test]
fn defect_10_texts_with_equal_beginning_and_length_do_not_collide() {
    let cache = CountCache::new(CountCacheOptions { threshold: 0, ..Default::default() });
    let o200k = encoding(EncodingName::O200kBase);
    let start = "x".repeat(100);
    let (plain, odd) = (format!("{start} the the the the"), format!("{start}%&$ §=)(/&%$§!\"+"));
    let odd = odd.chars().take(plain.chars().count()).collect::<String>();
    assert_eq!(plain.chars().count(), odd.chars().count());
    for _ in 0..2 {
        assert_eq!(cache.count(o200k, &plain), o200k.count(&plain));
        assert_eq!(cache.count(o200k, &odd), o200k.count(&odd));
    }
    assert_ne!(o200k.count(&plain), o200k.count(&odd));
}
