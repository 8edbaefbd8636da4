//! What to do about the codes that clients are given, for those who develop against
//! a node: in its log and on its pages in development mode. The codes' own texts
//! are the protocol's and say no more than clients may know.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// By code: errors below 1000, the closing of connections above.
const HINTS: &[(u32, &str)] = &[
    (100, "The server failed at this. Look at its log."),
    (101, "Connect with a token before anything else."),
    (
        102,
        "The server does not know this kind of channel: the text before the colon must be the \
         name of a namespace in channel.namespaces.",
    ),
    (
        103,
        "The server does not allow this here. Allow it in the options of the channel's namespace, \
         such as allow_subscribe_for_client or allow_publish_for_client; a channel that begins \
         with $ needs a subscription token.",
    ),
    (104, "The server has no such method."),
    (105, "This connection is subscribed to the channel already: keep one subscription for it."),
    (
        106,
        "A limit is reached: of the message's size, of channels for one connection \
         (client.channel_limit), or of something else in the section limits.",
    ),
    (107, "The request is not acceptable. Compare it with the protocol, and names with the rules."),
    (108, "This is switched off: see history_size, presence and others in the namespace."),
    (109, "The token has expired. Give the SDK a getToken function, which fetches a new one."),
    (110, "What the token granted is over. Fetch a new token, and compare both clocks."),
    (111, "Too much in a short time. Wait a few seconds and try again."),
    (112, "The channel's history no longer reaches back to this position. Load the state anew."),
    (3004, "The server failed. Look at its log."),
    (3005, "The connection's token is over and no new one came. Give the SDK a getToken function."),
    (3008, "The client reads more slowly than messages come. Send it less, or smaller ones."),
    (3009, "The client took nothing for seconds: the network is gone, or the page is stopped."),
    (3010, "The client's state cannot be continued. SDKs reconnect and recover by themselves."),
    (3012, "A ping was not answered in time: the network is gone, or the page is stopped."),
    (3013, "Too much in a short time, or too many connections of one user. SDKs try again later."),
    (3014, "What the client holds is void. SDKs reconnect and load the state anew."),
    (
        3500,
        "The token is refused. `sealcast check-token` says why, and so does the server's log; \
         after a restart of `serve --dev` tokens from before are void.",
    ),
    (3501, "A frame is not what the protocol allows, or connect came without a token."),
    (3502, "There was no successful connect command in time."),
    (3503, "The backend ended the connection."),
    (3504, "Too many connections, of this user or of the node: client.user_connection_limit."),
    (3505, "The token makes more subscriptions than client.channel_limit allows."),
    (3506, "A JSON client was to be given bytes, or sent a binary frame. Use Protobuf."),
    (
        3507,
        "The origin of the page is not allowed, as the reason says; or tokens without a user are \
         refused: client.disallow_anonymous_connection_tokens.",
    ),
    (3508, "The server does not have this feature."),
    (1002, "A frame breaks the WebSocket protocol; a proxy may change what passes."),
    (1007, "A text frame is not UTF-8."),
    (1008, "A message came too slowly or in too many fragments."),
    (1009, "A message is larger than websocket.message_size_limit."),
];

/// What to do about a code.
#[must_use]
pub fn hint(code: u32) -> Option<&'static str> {
    HINTS.iter().find(|(known, _)| *known == code).map(|(_, hint)| *hint)
}

/// All of them as one JSON object, for the pages of development mode.
pub(super) async fn all() -> Response {
    let hints = HINTS.iter().map(|(code, hint)| (code.to_string(), (*hint).into()));
    let body = serde_json::Value::Object(hints.collect()).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use sealcast_wire::Disconnect;

    use super::*;

    #[test]
    fn every_code_that_means_something_is_wrong_has_a_hint() {
        // A client's own wish, the node's leave, and an operator's wish.
        let fine = [1000, 3000, 3001, 3006, 3011, 3509];
        let codes = Disconnect::ALL.iter().map(|disconnect| disconnect.code);
        for code in codes.filter(|code| !fine.contains(code)).chain(100..=112) {
            assert!(hint(code.into()).is_some_and(|hint| hint.ends_with('.')), "{code}");
        }
        let mut codes: Vec<_> = HINTS.iter().map(|(code, _)| code).collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), HINTS.len());
    }
}
