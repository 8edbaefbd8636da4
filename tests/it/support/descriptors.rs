//! Sockets are descriptors, and some tests need thousands.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the test's process open as many as the system grants.
pub(crate) fn raise() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
