//! What answers a request on one listener, and what every request and answer passes.

use std::convert::Infallible;

use axum::Router;
use axum::body::HttpBody;
use axum::http::{HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper_util::service::TowerToHyperService;
use tower::{BoxError, Service as _, ServiceBuilder};
use tower_http::set_header::SetResponseHeaderLayer;

use super::{Live, Route, api, door};
use crate::net::Acceptor;

/// Where the server API is.
pub(super) const API: &str = "/api/";

/// The routes of a listener. Cheap to clone.
#[derive(Clone)]
pub struct Routes {
    others: Router,
    /// For the server API, if it is here.
    api: Option<Live>,
}

/// Serves requests from `listener` until `acceptor` is told to stop. Every answer has
/// these headers, if it has none of its own.
pub async fn serve(acceptor: Acceptor, listener: tokio::net::TcpListener, routes: Routes) {
    let unless_there =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let service = ServiceBuilder::new()
        .layer(unless_there(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(unless_there(header::REFERRER_POLICY, "no-referrer"))
        .layer(unless_there(header::CACHE_CONTROL, "no-store"))
        .service_fn(move |request| {
            Box::pin(routes.clone().answer(request)).map(Ok::<_, Infallible>)
        });
    acceptor.run(listener, TowerToHyperService::new(service)).await;
}

impl Routes {
    pub(super) fn new(routes: Vec<Route>, live: Live, with_api: bool) -> Routes {
        let api = with_api.then(|| live.clone());
        let unknown = with_api.then(|| ("/api/{method}", any(api::unknown)));
        let routes = routes.into_iter().chain(unknown);
        let others =
            routes.fold(Router::new(), |router, (path, answers)| router.route(path, answers));
        Routes { others: others.with_state(live), api }
    }

    /// Answers a request.
    pub async fn answer<B>(self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        match door::check_form(&request) {
            Ok(()) => self.route(request).await,
            Err(refused) => ([(header::CONNECTION, "close")], refused).into_response(),
        }
    }

    /// A call of the server API is found by its path alone: to axum's routing it would be
    /// a good part of what it costs.
    async fn route<B>(mut self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let call = request.uri().path().strip_prefix(API).and_then(api::Call::parse);
        if let (Some(live), Some(call)) = (&self.api, call) {
            return api::call(&live.app(), call, request).await;
        }
        // Apart, so that it does not make a call's state larger.
        match Box::pin(self.others.call(request)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
