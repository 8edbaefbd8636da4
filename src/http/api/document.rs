//! The description of the server API, OpenAPI 3.1. It is part of the binary, and
//! the tests below and at the socket hold it true both ways.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The document.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// `GET /api/openapi.json`. There is nothing secret in it, and it needs no key; but
/// it names the version and every door, which only helps those who look for one.
/// So it is served where operators are: on every listener but the public one, and in
/// development mode, where the page beside it reads it.
pub(in crate::http) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt;

    use serde::de::{Error as _, Visitor};
    use serde::{Deserialize, Deserializer};
    use serde_json::Value;

    use super::super::super::routes::API;
    use super::super::super::{metrics_routes, public_routes};
    use super::super::{ApiMethod, batch, channel, connection, limits, node, publish, request};
    use super::DOCUMENT;

    type Names = BTreeSet<String>;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("JSON")
    }

    /// The schema at a reference, or the schema itself.
    fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(place) => document.pointer(place.trim_start_matches('#')).expect(place),
            None => schema,
        }
    }

    fn properties(document: &Value, schema: &Value) -> Names {
        let schema = resolve(document, schema);
        let properties = schema["properties"].as_object();
        properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    fn request<'a>(document: &'a Value, method: &str) -> &'a Value {
        let content =
            &document["paths"][format!("/api/{method}")]["post"]["requestBody"]["content"];
        resolve(document, &content["application/json"]["schema"])
    }

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let others = public_routes().into_iter().chain(metrics_routes());
        let mut routes: Names = others.map(|(path, _)| path.to_owned()).collect();
        let methods = ApiMethod::ALL.iter().map(|method| method.name());
        routes.extend(methods.chain(["batch"]).map(|name| format!("{API}{name}")));
        let document = document();
        let described: Names = document["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(described, routes);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn every_member_that_is_read_is_described_and_nothing_else_is() {
        let document = document();
        let rows: &[(Names, &[&str])] = &[
            (members::<publish::Wish<'_>>(), &["publish", "broadcast"]),
            (
                members::<connection::Request<'_>>(),
                &["subscribe", "unsubscribe", "disconnect", "refresh"],
            ),
            (
                members::<channel::Named>(),
                &[
                    "presence",
                    "presence_stats",
                    "history_remove",
                    "map_publish",
                    "map_remove",
                    "map_read_state",
                    "map_read_stream",
                    "map_stats",
                    "map_clear",
                    "shared_poll_publish",
                ],
            ),
            (members::<channel::Page>(), &["history"]),
            (members::<channel::Pattern>(), &["channels"]),
            (members::<limits::Wish>(), &["limits_set"]),
            (members::<limits::Whom>(), &["limits_remove"]),
            (members::<node::Nothing>(), &["info", "limits_list"]),
            (members::<node::Rpc<'_>>(), &["rpc"]),
            (members::<batch::Batch<'_>>(), &["batch"]),
        ];
        let mut seen = BTreeMap::new();
        for (read, methods) in rows {
            // Methods that share what reads them describe its members together.
            let mut described = Names::new();
            for method in *methods {
                described.extend(properties(&document, request(&document, method)));
                seen.insert(*method, ());
            }
            assert_eq!(&described, read, "{methods:?}");
        }
        let all: BTreeMap<&str, ()> = ApiMethod::ALL
            .iter()
            .map(|method| (method.name(), ()))
            .chain([("batch", ())])
            .collect();
        assert_eq!(seen, all);

        let since = &request(&document, "history")["properties"]["since"];
        assert_eq!(properties(&document, since), members::<request::Position>());
        let since = &request(&document, "subscribe")["properties"]["recover_since"];
        assert_eq!(properties(&document, since), members::<request::Position>());
        let code = &request(&document, "disconnect")["properties"]["disconnect"];
        assert_eq!(properties(&document, code), members::<connection::Code>());
        let command = &request(&document, "batch")["properties"]["commands"]["items"];
        let methods: Names = ApiMethod::ALL.iter().map(|method| method.name().to_owned()).collect();
        assert_eq!(properties(&document, command), methods);
    }

    /// The names of the members that a type reads, as its derived `Deserialize`
    /// tells them to a deserializer.
    fn members<'de, T: Deserialize<'de>>() -> Names {
        let mut names = None;
        assert!(T::deserialize(Recorder(&mut names)).is_err());
        names.expect("a struct").iter().map(|name| (*name).to_owned()).collect()
    }

    struct Recorder<'a>(&'a mut Option<&'static [&'static str]>);

    impl<'de> Deserializer<'de> for Recorder<'_> {
        type Error = Told;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Told> {
            *self.0 = Some(fields);
            Err(Told)
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
            Err(Told::custom("not a struct"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    #[derive(Debug)]
    struct Told;

    impl fmt::Display for Told {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("told")
        }
    }

    impl std::error::Error for Told {}

    impl serde::de::Error for Told {
        fn custom<T: fmt::Display>(_: T) -> Told {
            Told
        }
    }
}
