//! The app in force: a request sees one configuration from beginning to end.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::FromRef;

use super::App;

/// The app in force, which changes when the node is configured anew. Cheap to
/// clone.
#[derive(Clone)]
pub struct Live(Arc<ArcSwap<App>>);

impl Live {
    /// Begins with `app`.
    #[must_use]
    pub fn new(app: Arc<App>) -> Live {
        Live(Arc::new(ArcSwap::new(app)))
    }

    /// The app in force.
    #[must_use]
    pub fn app(&self) -> Arc<App> {
        self.0.load_full()
    }

    /// Puts `app` in force, for sessions too.
    pub fn replace(&self, app: Arc<App>) {
        app.policies.replace(Arc::clone(&app.policy));
        self.0.store(app);
    }
}

impl FromRef<Live> for Arc<App> {
    fn from_ref(live: &Live) -> Arc<App> {
        live.app()
    }
}
