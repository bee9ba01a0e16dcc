"""Round 0: ask every node who it is and what it holds."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.serverapp import Grid

from fedmce.config.schema import ContributionsConfig, RunConfig
from fedmce.errors import RunError, WireError
from fedmce.flower_compat import ConfigRecord, Message, RecordDict, arrays_of, payload_bytes
from fedmce.models import NetworkSpec
from fedmce.wire import ORDER, REPORT, STAMP, STATISTICS, Order
from server.exchange import exchange, wait_for_nodes
from server.roster import Roster, SiteProfile, make_roster, read_profile

WAIT_FOR_NODES_S = 60.0


@dataclass(frozen=True)
class ProfileRound:
    """The roster, and the bytes that the profile messages took per site."""

    roster: Roster
    bytes_down: dict[str, int]
    bytes_up: dict[str, int]


def profile_round(grid: Grid, config: RunConfig, spec: NetworkSpec, sites: int) -> ProfileRound:
    """Profile all nodes.

    Args:
        grid: Flower's grid.
        config: sent to every node.
        spec: the network that the roster grants parts of.
        sites: how many nodes are expected.

    Raises:
        RunError: a node is missing, fails, or two nodes claim one name; all problems in one message.
    """
    nodes = wait_for_nodes(grid, sites, WAIT_FOR_NODES_S)
    if len(nodes) != sites:
        raise RunError(
            f"{len(nodes)} nodes are connected for {sites} sites; start one node per site "
            f'(flwr run: --federation-config "num-supernodes={sites} client-resources-num-cpus=1")'
        )
    order = Order(round=0, train=False, site="", config=config.to_json())
    content = RecordDict({ORDER: ConfigRecord(order.to_record())})
    messages = [Message(content, node, "query.profile", group_id="0") for node in nodes]
    replies = exchange(grid, messages, config.exchange.deadline_s)
    by_message = {reply.metadata.reply_to_message_id: reply for reply in replies}
    profiles: dict[str, SiteProfile] = {}
    problems: list[str] = []
    up: dict[str, int] = {}
    for message in messages:
        node, reply = message.metadata.dst_node_id, by_message.get(message.metadata.message_id)
        try:
            found = _read(node, reply, spec, config.contributions)
        except WireError as error:
            problems.append(str(error))
            continue
        if found.site in profiles:
            problems.append(f"two nodes say that they are site {found.site!r}")
        profiles[found.site] = found
        up[found.site] = payload_bytes(reply.content) if reply is not None else 0
    if problems:
        raise RunError("profile round: " + "; ".join(sorted(problems)))
    roster = make_roster(profiles, spec, config)
    if not roster.profiles:
        raise RunError("profile round: no site has training rows")
    return ProfileRound(roster, dict.fromkeys(up, payload_bytes(content)), up)


def _read(node: int, reply: Message | None, spec: NetworkSpec, contributions: ContributionsConfig) -> SiteProfile:
    if reply is None:
        raise WireError("a node did not answer in time")
    if reply.has_error():
        raise WireError(f"a node failed: {reply.error.reason}")
    sums, reports, stamps = reply.content.array_records, reply.content.metric_records, reply.content.config_records
    if STATISTICS not in sums or REPORT not in reports or STAMP not in stamps:
        raise WireError(f"a node sent {sorted(reply.content)}; needed {[STATISTICS, REPORT, STAMP]}")
    try:
        return read_profile(node, stamps[STAMP], reports[REPORT], arrays_of(sums[STATISTICS]), spec, contributions)
    except WireError:
        raise
    except Exception as error:  # bytes that are no arrays, numbers that are none
        raise WireError(f"a node's profile cannot be read: {type(error).__name__}: {error}") from error
