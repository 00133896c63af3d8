//! What a server does so that memory goes back to the system after a burst.

use std::time::Duration;

/// Time between two rounds of giving back.
const EVERY: Duration = Duration::from_secs(10);

/// Returns what the allocator holds and nobody uses to the system, again and again until it is dropped.
///
/// glibc keeps up to 64 MiB in each of 16 heaps once large blocks were freed, and any page below a block that is in use.
/// A round takes about a millisecond. Elsewhere than on glibc the allocator's own rules stay.
pub(crate) async fn give_back() {
    loop {
        tokio::time::sleep(EVERY).await;
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        if tokio::task::spawn_blocking(trim).await.is_err() {
            return;
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no safe interface for this")]
fn trim() {
    // SAFETY: `malloc_trim` takes a number of bytes, locks each heap that it works on and touches free memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}
