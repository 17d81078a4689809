"""A vLLM server's own queue, from its metrics page."""

from __future__ import annotations

import pytest

from kindcache.adapters.upstream.vllm_metrics import MetricsError, VllmMetrics, queues
from kindcache.policies.load import Queue
from tests.drivers.replies import Reply, Seen
from tests.drivers.scripted_upstream import ScriptedUpstream

pytestmark = pytest.mark.anyio

PAGE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta/Llama-3"} 12.0
vllm:num_requests_running{engine="1",model_name="meta/Llama-3"} 8.0
vllm:num_requests_waiting{engine="0",model_name="meta/Llama-3"} 3.0
vllm:num_requests_waiting{engine="1",model_name="meta/Llama-3"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="meta/Llama-3"} 0.41
vllm:kv_cache_usage_perc{engine="1",model_name="meta/Llama-3"} 0.93
vllm:num_requests_waiting_by_reason{reason="capacity",model_name="meta/Llama-3"} 99.0
vllm:time_to_first_token_seconds_bucket{le="0.1",model_name="meta/Llama-3"} 7.0
"""


def test_engines_of_a_model_are_added_and_the_fullest_cache_counts() -> None:
    assert queues(PAGE) == {"meta/Llama-3": Queue(3.0, 20.0, 0.93)}


def test_older_servers_call_the_cache_otherwise() -> None:
    old = PAGE.replace("kv_cache", "gpu_cache")
    assert queues(old) == queues(PAGE)


@pytest.mark.parametrize("bad", ["NaN", "+Inf", "-1", "many", ""])
def test_what_is_no_number_is_absent(bad: str) -> None:
    page = f"vllm:num_requests_running 4\nvllm:num_requests_waiting {bad}"
    assert queues(page) == {}


@pytest.mark.parametrize("page", ["", "<html>no metrics</html>", "vllm:", "\x00\ud7ff" * 9])
def test_another_page_has_no_queue(page: str) -> None:
    assert queues(page) == {}


async def test_it_is_read_over_http() -> None:
    def script(_seen: Seen) -> Reply:
        return Reply([PAGE.encode()], 200, [("content-type", "text/plain")])

    with ScriptedUpstream(script) as server:
        metrics = VllmMetrics(f"{server.origin}/metrics", 5.0)
        assert await metrics.read() == {"meta/Llama-3": Queue(3.0, 20.0, 0.93)}
        assert server.requests[0].path == "/metrics"
        await metrics.aclose()
        await metrics.aclose()


async def test_a_server_that_is_away_or_has_no_such_page_is_an_error_of_ours() -> None:
    with ScriptedUpstream() as server:
        metrics = VllmMetrics(f"{server.origin}/metrics", 5.0)
        with pytest.raises(MetricsError, match="404"):
            await metrics.read()
        await metrics.aclose()
    gone = VllmMetrics(f"{server.origin}/metrics", 5.0)
    with pytest.raises(MetricsError):
        await gone.read()
    await gone.aclose()
