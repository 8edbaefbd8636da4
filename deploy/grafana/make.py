#!/usr/bin/env python3
"""Makes dashboards/*.json; a test holds them to this. A panel that shows what an alert is about names
it: it gets the alert's threshold as its red line, and the way to its page of the runbooks.

    deploy/grafana/make.py      needs PyYAML
"""

import json
import pathlib
import re

import yaml

HERE = pathlib.Path(__file__).parent
NODES = '{job="$job",instance=~"$instance"}'


def alerts():
    files = (HERE.parent / "prometheus/rules").glob("*.yml")
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def threshold(alert):
    """The number that an alert compares with: the first one behind a comparison."""
    found = re.search(r"([<>])\s*(\d[\d.]*)(?:\s*\*\s*([\d.]+))?", alert["expr"])
    return None if found is None else float(found[2]) * float(found[3] or 1)


def panel(title, queries, unit="short", alert=None, kind="timeseries", width=8, height=7):
    """`queries`: pairs of a legend and an expression, in which NODES stands for the chosen nodes."""
    return locals()


def or_none(query):
    """By instance, with 0 for a node that has not counted any yet."""
    return f"{query} or sum by (instance) (sealcast_build_info{NODES}) * 0"


def rate(metric, by="", labels="", window="$__rate_interval"):
    chosen = NODES[:-1] + ("," + labels if labels else "") + "}"
    inner = f"rate({metric}{chosen}[{window}])"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def quantile(share, metric, labels=""):
    return f"histogram_quantile({share}, {rate(metric + '_bucket', 'le', labels)})"


def latency(metric, labels=""):
    return [(f"p{int(share * 100)}", quantile(share, metric, labels)) for share in (0.5, 0.95, 0.99)]


def content():
    yield "overview", "Overview", [
        panel("Nodes that answer", [("nodes", 'sum(up{job="$job"})')], alert="QuorumAtRisk", kind="stat", width=4, height=4),
        panel("Connections", [("all", "job:sealcast_connections:sum")], kind="stat", width=4, height=4),
        panel("Alerts that fire", [("alerts", 'count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)')], kind="stat", width=4, height=4),
        panel("Failed connects, 1 h", [("of all", "job:sealcast_connect_errors:ratio_rate1h")], "percentunit", "ErrorBudgetFastBurn", "stat", 4, 4),
        panel("Error budget left, 3 d at this rate", [("left", "1 - job:sealcast_connect_errors:ratio_rate3d / 0.001")], "percentunit", kind="stat", width=4, height=4),
        panel("Delivery, p99", [("p99", quantile(0.99, "sealcast_delivery_latency_seconds"))], "s", "DeliveryLatency", "stat", 4, 4),
        panel("Connections by node", [("{{instance}}", f"sum by (instance) (sealcast_connections{NODES})")], alert=None),
        panel("How full", [("{{instance}}", f"sealcast_connections{NODES} / sealcast_connection_limit{NODES}")], "percentunit", "ConnectionCapNear"),
        panel("Attempts to connect", [("{{result}}", rate("sealcast_connect_attempts_total", "result"))], "cps"),
        panel("Ended connections, by code", [("{{code}}", rate("sealcast_disconnects_total", "code"))], "cps"),
        panel("Publications", [("in", rate("sealcast_messages_total", labels='dir="in"')), ("out", rate("sealcast_messages_total", labels='dir="out"'))], "cps"),
        panel("Delivery within a node", latency("sealcast_delivery_latency_seconds"), "s", "DeliveryLatency"),
        panel("Publishing, until acknowledged", latency("sealcast_command_duration_seconds", 'method="publish"'), "s", "PublishAckLatency"),
        panel("Ping and answer", latency("sealcast_ping_rtt_seconds"), "s", "PingRtt"),
        panel("Commands, by method", [("{{method}}", rate("sealcast_commands_total", "method"))], "cps"),
    ]
    yield "delivery", "Delivery", [
        panel("Fan-out", [("out for one in", rate("sealcast_messages_total", labels='dir="out"') + " / " + rate("sealcast_messages_total", labels='dir="in"'))]),
        panel("Bytes", [("{{dir}}", rate("sealcast_bytes_total", "dir"))], "Bps"),
        panel("Messages in one write", [("messages", rate("sealcast_messages_total", labels='dir="out"') + " / " + rate("sealcast_writes_total"))]),
        panel("Publications, by how far they got", [("{{state}}", rate("sealcast_message_state_total", "state"))], "cps"),
        panel("Recoveries", [("recovered: {{recovered}}", rate("sealcast_recover_total", "recovered")), ("from the node's tail", rate("sealcast_recover_from_tail_total"))], "cps"),
        panel("Gaps and repairs", [("gaps", rate("sealcast_gaps_total")), ("{{result}}", rate("sealcast_gap_repairs_total", "result"))], "cps", "GapRepairs"),
        panel("Dropped before they were taken", [("{{instance}}", or_none(rate("sealcast_pubsub_dropped_total", "instance")))], "cps"),
        panel("Held for slow clients", [("{{instance}}", f"sealcast_outbound_queue_bytes{NODES} / sealcast_outbound_queue_limit_bytes{NODES}")], "percentunit", "OutboundQueueHigh"),
        panel("Longest queue", [("{{instance}}", f"sealcast_outbound_queue_messages_max{NODES}")]),
        panel("Closed for being slow", [("3008", rate("sealcast_disconnects_total", labels='code="3008"'))], "cps", "SlowConsumers"),
        panel("Error replies", [("{{method}} {{code}}", rate("sealcast_command_errors_total", "method, code"))], "cps"),
        panel("Server API, by method", [("{{method}}", rate("sealcast_api_calls_total", "method"))], "cps"),
        panel("Messages of shaped channels, by step", [("{{step}}", rate("sealcast_shaped_total", "step") + " or vector(0)")], "cps"),
        panel("Server API, by key and result", [("{{key}} {{result}}", rate("sealcast_api_calls_total", "key, result"))], "cps"),
    ]
    yield "security", "Security", [
        panel("Tokens, by reason", [("{{reason}}", rate("sealcast_auth_total", "reason"))], "cps"),
        panel("Share of tokens refused, expired apart", [("refused", rate("sealcast_auth_total", labels='result="failure",reason!="expired"') + " / " + rate("sealcast_auth_total"))], "percentunit"),
        panel("Origins refused", [("in 10 minutes", f"sum(increase(sealcast_origin_rejected_total{NODES}[10m]))")], alert="OriginRejected"),
        panel("Not allowed", [("{{action}}", rate("sealcast_permission_denied_total", "action"))], "cps"),
        panel("API keys refused", [("in 10 minutes", f"sum(increase(sealcast_api_unauthorized_total{NODES}[10m]))")], alert="ApiKeyRefused"),
        panel("Rate limits, by scope", [("{{scope}}", rate("sealcast_rate_limited_total", "scope"))], "cps", "RateLimitSurge"),
        panel("Limits that operators have set for one", [("{{instance}}", or_none(f"sum by (instance) (sealcast_limit_overrides{NODES})"))]),
        panel("Input against the protocol", [("{{kind}}", rate("sealcast_protocol_violations_total", "kind"))], "cps"),
        panel("Messages between nodes that were not believed", [("{{reason}}", rate("sealcast_control_refused_total", "reason") + " or vector(0)")], "cps"),
        panel("Less strict than it should be", [("development {{instance}}", f"sealcast_insecure_mode{NODES}"), ("compat {{instance}}", f"sealcast_compat_mode{NODES}"), ("limits off {{instance}}", f"sealcast_ratelimit_mode{NODES[:-1]},mode=\"off\"}}")]),
        panel("Days until a certificate ends", [("{{instance}}", "(probe_ssl_earliest_cert_expiry - time()) / 86400")], "d"),
        panel("A WebSocket can be opened", [("{{instance}}", 'probe_success{job="handshake"}')]),
    ]
    yield "resources", "Resources", [
        panel("Memory of the limit", [("{{instance}}", f"process_resident_memory_bytes{NODES} / sealcast_memory_limit_bytes{NODES}")], "percentunit", "MemoryHigh"),
        panel("Memory that is allocated, and resident", [("allocated {{instance}}", f"sealcast_allocated_bytes{NODES}"), ("resident {{instance}}", f"process_resident_memory_bytes{NODES}")], "bytes"),
        panel("Memory for one connection", [("{{instance}}", f"process_resident_memory_bytes{NODES} / on (instance) sum by (instance) (sealcast_connections{NODES})")], "bytes"),
        panel("CPU of the limit", [("{{instance}}", f"rate(process_cpu_seconds_total{NODES}[$__rate_interval]) / sealcast_cpu_limit_cores{NODES}")], "percentunit", "CpuSaturated"),
        panel("Descriptors of the limit", [("{{instance}}", f"process_open_fds{NODES} / process_max_fds{NODES}")], "percentunit", "DescriptorsHigh"),
        panel("Timers are late", [("{{instance}}", f"sealcast_runtime_lag_seconds{NODES}")], "s", "EventLoopLag"),
        panel("Tasks and sockets", [("tasks {{instance}}", f"sealcast_tasks{NODES}"), ("sockets {{instance}}", f"sealcast_sockets{NODES}")]),
        panel("Waiting to authenticate", [("{{instance}}", f"sealcast_connections_waiting{NODES}")]),
        panel("Sockets turned away", [("{{instance}}", rate("sealcast_sockets_refused_total", "instance"))], "cps"),
        panel("What a full node gives up", [("stage {{instance}}", f"sealcast_shedding_stage{NODES}")], alert="NodeFull"),
        panel("Given up, by what", [("{{what}}", rate("sealcast_shed_total", "what") + " or vector(0)")], "cps"),
        panel("Expensive work of the limit", [("{{work}} {{instance}}", f"sealcast_work_running{NODES} / sealcast_work_limit{NODES}")], "percentunit"),
        panel("Expensive work without a turn", [("{{work}}", rate("sealcast_work_refused_total", "work") + " or vector(0)")], "cps", "WorkRefused"),
        panel("Running since", [("{{instance}}", f"time() - process_start_time_seconds{NODES}")], "s"),
        panel("Disk left", [("{{instance}} {{mountpoint}}", 'node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|overlay|squashfs"} / node_filesystem_size_bytes')], "percentunit", "DiskFull"),
        panel("Machine: CPU", [("{{mode}}", 'sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval]))')]),
        panel("Machine: network", [("in {{device}}", 'rate(node_network_receive_bytes_total{device!="lo"}[$__rate_interval])'), ("out {{device}}", 'rate(node_network_transmit_bytes_total{device!="lo"}[$__rate_interval])')], "Bps"),
    ]
    yield "redis", "Redis", [
        panel("Nodes with Redis", [("{{instance}}", f"sealcast_redis_up{NODES}")]),
        panel("Nodes that refuse what needs Redis", [("{{instance}}", or_none(f"sum by (instance) (sealcast_redis_breaker_state{NODES})"))]),
        panel("Failed trips", [("{{kind}}", rate("sealcast_redis_errors_total", "kind"))], "cps", "RedisErrors"),
        panel("Until Redis answers", latency("sealcast_redis_op_seconds"), "s", "RedisLatency"),
        panel("Until Redis answers, p99 by operation", [("{{op}}", f"histogram_quantile(0.99, {rate('sealcast_redis_op_seconds_bucket', 'le, op')})")], "s"),
        panel("Memory of the limit", [("{{instance}}", "redis_memory_used_bytes / redis_memory_max_bytes")], "percentunit", "RedisMemoryHigh"),
        panel("Keys thrown away", [("{{instance}}", "increase(redis_evicted_keys_total[5m])")], alert="RedisEvictions"),
        panel("Commands", [("{{instance}}", "rate(redis_commands_processed_total[$__rate_interval])")], "cps"),
        panel("Clients", [("{{instance}}", "redis_connected_clients")]),
        panel("Channels that nodes listen to", [("{{instance}}", "redis_pubsub_channels")]),
        panel("Keys", [("{{instance}}", "sum by (instance) (redis_db_keys)")]),
        panel("Appending works", [("{{instance}}", "redis_aof_last_write_status")]),
        panel("Network", [("in", "rate(redis_net_input_bytes_total[$__rate_interval])"), ("out", "rate(redis_net_output_bytes_total[$__rate_interval])")], "Bps"),
        panel("Streams begun anew after a loss, in 10 minutes", [("{{cause}}", "sum by (cause) (increase(sealcast_epoch_changes_total" + NODES[:-1] + ',cause=~"rewritten|incarnation"}[10m])) or vector(0)')], alert="HistoryRewritten"),
        panel("Clocks of node and Redis apart", [("{{instance}}", f"abs(sealcast_clock_skew_seconds{NODES})")], "s", "ClockSkew"),
        panel("Nodes with only their share of the limits", [("{{instance}}", f"sealcast_limits_local_share{NODES}")]),
        panel("Link lost", [("{{instance}}", rate("sealcast_pubsub_reconnects_total", "instance"))], "cps"),
    ]
    yield "load-balancer", "Load balancer", [
        panel("Nodes that get clients", [("{{server}}", 'haproxy_server_status{proxy="nodes",state="UP"}')]),
        panel("Sessions by node", [("{{server}}", 'haproxy_server_current_sessions{proxy="nodes"}')]),
        panel("Connections of the limit", [("{{instance}}", "haproxy_process_current_connections / haproxy_process_max_connections")], "percentunit", "LoadBalancerSessionsHigh"),
        panel("New connections", [("public", 'rate(haproxy_frontend_connections_total{proxy="public"}[$__rate_interval])')], "cps"),
        panel("Answers, by code", [("{{code}}", 'rate(haproxy_frontend_http_responses_total{proxy="public"}[$__rate_interval])')], "cps"),
        panel("Share of 5xx of nodes", [("5xx", 'sum(rate(haproxy_backend_http_responses_total{proxy="nodes",code="5xx"}[$__rate_interval])) / sum(rate(haproxy_backend_http_responses_total{proxy="nodes"}[$__rate_interval]))')], "percentunit", "LoadBalancerErrors"),
        panel("Refused before a node", [("requests", 'rate(haproxy_frontend_requests_denied_total{proxy="public"}[$__rate_interval])'), ("connections", 'rate(haproxy_frontend_denied_connections_total{proxy="public"}[$__rate_interval])')], "cps"),
        panel("Waiting for a node", [("nodes", 'haproxy_backend_current_queue{proxy="nodes"}')], alert="LoadBalancerQueue"),
        panel("Tried again elsewhere", [("retries {{server}}", 'rate(haproxy_server_retry_warnings_total{proxy="nodes"}[$__rate_interval])'), ("another node", 'rate(haproxy_backend_redispatch_warnings_total{proxy="nodes"}[$__rate_interval])')], "cps"),
        panel("Failed checks", [("{{server}}", 'rate(haproxy_server_check_failures_total{proxy="nodes"}[$__rate_interval])')], "cps"),
        panel("Addresses with a count", [("addresses", 'haproxy_sticktable_used{name="addresses"}')]),
    ]


def json_panel(number, x, y, one, known):
    steps = [{"color": "green", "value": None}]
    description, links = "", []
    if one["alert"]:
        alert = known[one["alert"]]
        limit = threshold(alert)
        # Below the line is what is wrong where the alert says "less than".
        if "<" in re.search(r"[<>]", alert["expr"])[0]:
            steps = [{"color": "red", "value": None}, {"color": "green", "value": limit}]
        else:
            steps.append({"color": "red", "value": limit})
        description = f"Alert {one['alert']}: {alert['annotations']['runbook_url']}"
        links = [link("link", one["alert"], url=f"/alerting/list?search={one['alert']}")]
    defaults = {"unit": one["unit"], "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if one["kind"] == "timeseries":
        defaults["custom"] = {"thresholdsStyle": {"mode": "line" if one["alert"] else "off"}, "fillOpacity": 5}
    return {
        "id": number,
        "title": one["title"],
        "description": description,
        "links": links,
        "type": one["kind"],
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {"x": x, "y": y, "w": one["width"], "h": one["height"]},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": "ABCDEF"[place], "expr": expression, "legendFormat": legend, "datasource": {"type": "prometheus", "uid": "prometheus"}}
            for place, (legend, expression) in enumerate(one["queries"])
        ],
    }


def link(kind, title, **more):
    default = {"tags": [], "asDropdown": False, "icon": "external link", "tooltip": "", "targetBlank": False, "keepTime": True, "includeVars": False}
    return {"type": kind, "title": title, **default, **more}


def json_board(name, title, panels, known):
    placed, x, y, height = [], 0, 0, 0
    for number, one in enumerate(panels, 1):
        if x + one["width"] > 24:
            x, y = 0, y + height
        height = one["height"]
        placed.append(json_panel(number, x, y, one, known))
        x += one["width"]
    variables = [
        {"name": "job", "type": "query", "query": {"query": "label_values(sealcast_build_info, job)", "refId": "job"}, "refresh": 2, "current": {"text": "sealcast", "value": "sealcast"}},
        {"name": "instance", "type": "query", "query": {"query": 'label_values(sealcast_build_info{job="$job"}, instance)', "refId": "instance"}, "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}},
    ]
    for variable in variables:
        variable["datasource"] = {"type": "prometheus", "uid": "prometheus"}
    return {
        "uid": f"sealcast-{name}",
        "title": f"Sealcast: {title}",
        "tags": ["sealcast"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "links": [link("dashboards", "Sealcast", tags=["sealcast"], includeVars=True)],
        "templating": {"list": variables},
        "annotations": {"list": []},
        "panels": placed,
    }


def boards():
    known = alerts()
    return {name: json_board(name, title, panels, known) for name, title, panels in content()}


def text(board):
    return json.dumps(board, indent=1) + "\n"


if __name__ == "__main__":
    for name, board in boards().items():
        (HERE / f"dashboards/{name}.json").write_text(text(board))
