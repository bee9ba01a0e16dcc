"""A whole federation as the server sees it: data set facts, profile, rounds, result, model, record."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from flwr.serverapp import Grid

import fedmce.data as data
from fedmce import __version__
from fedmce.config.schema import EngineConfig, RunConfig
from fedmce.contributions import is_exact, measured_how
from fedmce.data import FederatedDataset
from fedmce.errors import FedMCEError, StateError
from fedmce.folders.plan import planned
from fedmce.kits.environment import flower_environment
from fedmce.missingness import MaskSet, draw_masks
from fedmce.networks import spec_for
from fedmce.record import RecordWriter, build_result, read_record, write_result
from fedmce.record.model_file import save_model
from fedmce.record.writer import SCHEMA, Observer
from fedmce.scope import nodes, participants
from server.committed.keeper import Keeper
from server.committed.lock import HeldError
from server.committed.state_keeper import open_keeper
from server.operator_word import Words
from server.profile_round import Introductions, ProfileRound, Register, profile_round
from server.referee import ServerRows
from server.robustness import bearable_fields
from server.rounds import Progress, RoundLoop
from server.scoring import TestRows
from server.state import first_state
from server.strategy import ComponentStrategy

LIBRARIES = ("flwr", "torch", "numpy", "pydantic", "hydra-core", "safetensors")


def federate(grid: Grid, config: RunConfig, folder: Path, observer: Observer | None = None) -> None:
    """Train across the grid's nodes and leave the record, the model and the result in ``folder``.

    A run of which rounds are committed in ``folder`` goes on after the last. Whatever ends the run, the record is
    closed by an ``end`` event that says how, unless the state folder could not be taken: then it is another server's.
    """
    try:
        keeper = open_keeper(folder, config, grid)
    except HeldError:
        raise
    except StateError as error:
        RecordWriter(folder, observer).write("end", **_ended("failed", error, folder), total_s=None)
        raise
    began = time.perf_counter() - keeper.seconds
    record = keeper.record(folder, observer)
    try:
        _federate(grid, config, folder, record, keeper)
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        record.write("end", **_ended(status, error, folder), total_s=time.perf_counter() - began)
        keeper.close(status)
        raise
    record.write("end", status="finished", reason="", rounds_done=config.rounds, total_s=time.perf_counter() - began)
    keeper.close("finished")
    write_result(folder, build_result(read_record(folder)))


def _federate(grid: Grid, config: RunConfig, folder: Path, record: RecordWriter, keeper: Keeper) -> None:
    torch.set_num_threads(config.training.threads)
    dataset = data.dataset_of(config)
    sites = participants(config, dataset.sites)
    masks = draw_masks(dataset, config.missingness, config.seed, sites)
    masks.save(folder / "masks.npz")
    spec = spec_for(dataset, config)
    is_exact(config.contributions, len(spec.names))  # refuses what cannot be measured before a site is asked
    shared = shared_part(config, sites)
    is_deployed = config.engine.name == "deployed"
    register = Register(grid, shared, spec, sites if is_deployed else ())
    found = keeper.found
    if found is not None and is_deployed:
        register.known = Introductions(found.profiles, keys=found.keys)  # who is not there now may come back
    profiled = profile_round(register, shared, spec, len(nodes(shared, sites)), strict=not is_deployed)
    roster = profiled.roster
    if found is None:
        _record_start(record, config, dataset, masks, profiled)
    else:
        record.write("resume", **keeper.resumed(), rounds=config.rounds, fingerprint=shared.fingerprint())
        _record_profiles(record, profiled, [site for site in roster.profiles if site not in found.profiles])
    statistics = roster.statistics(spec) if found is None else found.statistics
    keeper.begin(statistics, lambda: register.known.keys)
    by_server = config.contributions.source == "server"
    referee = ServerRows(dataset, config, spec, statistics) if by_server else None
    begun = first_state(config, spec) if found is None else found.state
    strategy = ComponentStrategy(shared, spec, roster, statistics, begun, referee)
    progress = Progress.resumed(found.progress, config.exchange) if found is not None else None
    del found, begun  # the model that the run goes on from need not stay in memory beside the one that it trains
    # Models and rows that only a site has are scored where they are.
    tests = None if config.scores_at_sites else TestRows(dataset, config, spec, statistics, roster.empty_value)
    score = tests.score if tests else None
    late = register if is_deployed else None
    words = Words(folder if is_deployed else None)
    RoundLoop(grid, strategy, record, score, dataset.task.metric, late, progress, keeper=keeper, words=words).run()
    save_model(folder, spec, strategy.state.model, statistics, config.aggregation.private)


def shared_part(config: RunConfig, sites: Sequence[str]) -> RunConfig:
    """The configuration as it travels: without the run's name, its folder and its engine, sites and plan named.

    They are no business of a site, and their length would be counted in the bytes of every message.
    """
    here = {"name": RunConfig.model_fields["name"].default, "out": None, "engine": EngineConfig.model_validate({})}
    return planned(config.model_copy(update=here | {"sites": tuple(sites)}))


def _record_start(
    record: RecordWriter, config: RunConfig, dataset: FederatedDataset, masks: MaskSet, profiled: ProfileRound
) -> None:
    info: dict[str, Any] = {
        m.name: {"kind": m.kind, "shape": m.shape, "units": m.units, "real": m.real} for m in dataset.modalities
    }
    record.write(
        "start",
        schema=SCHEMA,
        fedmce_version=__version__,
        versions={name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        environment=flower_environment(),
        name=config.name,
        method=config.method,
        dataset=dataset.name,
        provenance=dataset.provenance,
        caution=dataset.caution,
        modalities=[m.name for m in dataset.modalities],
        modality_info=info,
        sites=sorted(profiled.roster.profiles),
        classes=dataset.task.classes,
        metric=dataset.task.metric,
        seed=config.seed,
        rounds=config.rounds,
        engine=config.engine.name,
        masks_sha256=masks.sha256(),
        fingerprint=shared_part(config, tuple(masks.sites)).fingerprint(),
        empty_value=profiled.roster.empty_value,
        empty_accuracy=profiled.roster.empty_accuracy,
        contributions=measured_how(config.contributions, len(dataset.modalities)),
        rates={site: masks.rates[site] for site in sorted(masks.rates)},
        realised_rates={site: masks.realised[site] for site in sorted(masks.realised)},
        **bearable_fields(config, profiled.roster),
    )
    _record_profiles(record, profiled, list(profiled.roster.profiles))


def _record_profiles(record: RecordWriter, profiled: ProfileRound, sites: Sequence[str]) -> None:
    for site in sites:
        sizes = {"bytes_down": profiled.bytes_down[site], "bytes_up": profiled.bytes_up[site]}
        record.write("profile", **profiled.roster.record_row(site), **sizes)


def _ended(status: str, error: BaseException, folder: Path) -> dict[str, Any]:
    reason = "" if status == "interrupted" else f"{type(error).__name__}: {error}"
    code = error.exit_code if isinstance(error, FedMCEError) else 1
    return {"status": status, "reason": reason, "exit_code": code, "rounds_done": _rounds_done(folder)}


def _rounds_done(folder: Path) -> int:
    path = folder / "record.jsonl"
    return sum(row["event"] == "round" for row in read_record(folder)) if path.exists() else 0
