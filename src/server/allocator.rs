//! What gives out memory: jemalloc. It takes less time than the GNU C library's allocator,
//! and keeps less once many connections have come and gone; docs/performance.md has both.

use tikv_jemalloc_ctl::{Access, AsName, Error, background_thread};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How long memory that nobody uses is kept for whoever wants it next, milliseconds.
const KEPT: isize = 1_000;

/// What is free goes back to the system soon, also while nothing is asked for. To be called
/// before there are threads: those that there are keep memory ten times as long.
///
/// # Errors
/// If the allocator does not take it. Then the process is larger than it need be, and well
/// otherwise.
pub fn give_back_soon() -> Result<(), Error> {
    // Of threads to come, and of this one (jemalloc(3), section "MALLCTL NAMESPACE").
    b"arenas.dirty_decay_ms\0".name().write(KEPT)?;
    b"arena.0.dirty_decay_ms\0".name().write(KEPT)?;
    background_thread::write(true)
}

#[cfg(test)]
mod tests {
    use tikv_jemalloc_ctl::{epoch, stats};

    use super::*;

    #[test]
    fn what_is_freed_is_counted_as_such_at_once() {
        give_back_soon().expect("an allocator that does as it is told");
        let kept: isize = b"arenas.dirty_decay_ms\0".name().read().expect("a setting");
        assert_eq!(kept, KEPT);
        let allocated = || {
            epoch::advance().expect("figures");
            stats::allocated::read().expect("a figure")
        };
        let before = allocated();
        let much = vec![1_u8; 64 << 20];
        let with = allocated();
        assert!(with > before + (32 << 20), "{before} {with}");
        drop(much);
        assert!(allocated() < with - (32 << 20));
    }
}
