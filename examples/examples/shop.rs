//! Pages of a shop, tagged with the products on them: when a price changes, exactly the pages that
//! show it are gone, without a list of them anywhere.
//!
//! `cargo run --release -p examples --example shop`

use std::collections::BTreeMap;
use std::error::Error;

use memcore::{Attrs, Cache, mib};

struct Shop {
    cache: Cache,
    prices: BTreeMap<&'static str, u32>,
}

impl Shop {
    /// A page that shows these products; from the cache if it is there.
    fn page(&self, path: &str, products: &[&str]) -> Result<String, Box<dyn Error>> {
        if let Some(page) = self.cache.get(path) {
            return Ok(String::from_utf8(page)?);
        }
        // The tags come first: if a price changes while the page is drawn, the page is not kept.
        let tagged = self.cache.tagged(products)?;
        let lines = products.iter().map(|&name| format!("{name} {}", self.prices[name]));
        let page = format!("[{path}: {}]", lines.collect::<Vec<_>>().join(", "));
        tagged.set(path, page.as_bytes(), Attrs::new())?;
        Ok(page)
    }

    fn change_price(&mut self, product: &'static str, price: u32) {
        self.prices.insert(product, price);
        self.cache.invalidate_tag(product);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let prices = BTreeMap::from([("hat", 20), ("shoes", 80), ("socks", 5)]);
    let mut shop = Shop { cache: Cache::new(mib(8))?, prices };
    let pages =
        [("/", &["hat", "shoes"][..]), ("/feet", &["shoes", "socks"]), ("/heads", &["hat"])];
    for (path, products) in pages {
        println!("{}", shop.page(path, products)?);
    }

    shop.change_price("shoes", 75);
    for (path, products) in pages {
        let source = if shop.cache.contains(path) { "cached" } else { "drawn again" };
        println!("{} {source}", shop.page(path, products)?);
    }
    Ok(())
}
