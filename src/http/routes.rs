//! What answers a request on one listener, and what every request and answer passes.

use std::convert::Infallible;

use axum::Router;
use axum::body::HttpBody;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::service::service_fn;
use tower::{BoxError, Service as _};

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

/// Serves requests from `listener` until `acceptor` is told to stop.
pub async fn serve(acceptor: Acceptor, listener: tokio::net::TcpListener, routes: Routes) {
    let service = service_fn(move |request| {
        Box::pin(routes.clone().answer(request)).map(Ok::<_, Infallible>)
    });
    acceptor.run(listener, service).await;
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
        let mut response = match door::check_form(&request) {
            Ok(()) => self.route(request).await,
            Err(refused) => {
                let mut response = refused.into_response();
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
                response
            }
        };
        add_headers(response.headers_mut());
        response
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

/// The headers of every answer that has none of its own.
fn add_headers(headers: &mut HeaderMap) {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
