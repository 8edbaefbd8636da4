//! Two numbers that were given and cannot both be meant.

use super::super::build::fault;
use super::super::{Fault, settings::Setting};
use super::{CONN_MEMORY, is_given};
use crate::limit::{Limits, Rate};

/// Says so of every such pair.
pub(super) fn contradictions(limits: &Limits, settings: &[Setting], faults: &mut Vec<Fault>) {
    let given = |place: &str| is_given(settings, place);
    let Limits { conn_commands, node_commands, ip_connects, node_connects, .. } = limits;
    let Limits { user_messages, tenant_messages, tenant_connections, .. } = limits;
    let faster = |one: &Rate, all: &Rate| !one.is_none() && one.per_second() > all.per_second();
    let frame = u64::try_from(limits.frame_bytes).unwrap_or(u64::MAX);
    let pairs = [
        (
            !limits.conn_bytes.is_none() && u64::from(limits.conn_bytes.burst()) < frame,
            "limits.conn_bytes",
            "websocket.message_size_limit",
            "its burst is less than websocket.message_size_limit: such a frame would never pass",
        ),
        (
            limits.waiting_connections > limits.websocket_connections,
            "limits.waiting_connections",
            "client.connection_limit",
            "more than client.connection_limit, of which they are a part",
        ),
        (
            limits.message_bytes > limits.queue_bytes,
            "limits.message_bytes",
            "client.queue_max_size",
            "more than client.queue_max_size: such a message would reach nobody",
        ),
        (
            limits.queue_bytes > limits.conn_memory,
            "client.queue_max_size",
            CONN_MEMORY,
            "more than limits.conn_memory_max, of which it is a part",
        ),
        (
            limits.frame_bytes > limits.conn_memory,
            "websocket.message_size_limit",
            CONN_MEMORY,
            "more than limits.conn_memory_max: such a frame would never pass",
        ),
        (
            limits.queue_bytes > limits.node_queue_bytes,
            "client.queue_max_size",
            "limits.node_queue_bytes",
            "more than limits.node_queue_bytes, of which it is a part",
        ),
        (
            limits.pong_timeout >= limits.ping_interval,
            "client.pong_timeout",
            "client.ping_interval",
            "not shorter than client.ping_interval: the next ping would come before",
        ),
        (
            faster(conn_commands, node_commands),
            "limits.conn_commands",
            "limits.node_commands",
            "faster than limits.node_commands: one connection alone could use them up",
        ),
        (
            faster(user_messages, tenant_messages),
            "limits.user_messages",
            "limits.tenant_messages",
            "faster than limits.tenant_messages: one user alone could use them up",
        ),
        (
            *tenant_connections > 0 && limits.user_connections > *tenant_connections,
            "client.user_connection_limit",
            "limits.tenant_connections",
            "more than limits.tenant_connections: one user alone could take them all",
        ),
        (
            faster(ip_connects, node_connects),
            "limits.ip_connects",
            "limits.node_connects",
            "faster than limits.node_connects: one address alone could use them up",
        ),
    ];
    for (contradict, place, other, problem) in pairs {
        if contradict && given(place) && given(other) {
            fault(faults, place, problem);
        }
    }
}
