"""Whether a kit is whole, from the right project, in time, and for this site (T04, T08-T12, T20, D61)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedmce import __version__
from fedmce.config.schema import RunConfig
from fedmce.kits.app_code import app_digest
from fedmce.kits.certificate import certificate_problems
from fedmce.kits.digest import plan_digest
from fedmce.kits.keys import PRIVATE, node_key_problems, read_node_key
from fedmce.kits.kit import AUTHORITY, KitFile
from fedmce.kits.private_files import open_to_others
from fedmce.kits.problem import Problem, refuse
from fedmce.kits.read_kit import files_of, kit_of, manifest_of, plan_of


@dataclass(frozen=True)
class Kit:
    """A kit that was checked.

    Attributes:
        folder: where it lies.
        file: content of ``kit.yaml``.
        plan: the plan that the site agrees to by joining.
        node_key: path of the private key that the site's node uses.
        is_pinned: the project's fingerprint was given by another channel and is the manifest's.
        warnings: what does not forbid to go on.
    """

    folder: Path
    file: KitFile
    plan: RunConfig
    node_key: Path
    is_pinned: bool
    warnings: tuple[Problem, ...] = ()

    @property
    def authority(self) -> Path:
        """Certificate of the authority that the site trusts."""
        return self.folder / AUTHORITY


def verify_kit(
    folder: Path,
    fingerprint: str | None = None,
    now: datetime | None = None,
    *,
    site: str | None = None,
    node_key: Path | None = None,
    app: str | None = None,
) -> Kit:
    """Check a kit before anything is sent.

    Args:
        folder: the unpacked kit.
        fingerprint: of the project's key, told by another channel; None: any project's kit passes, and
            ``is_pinned`` is False.
        now: aware time; default the clock's.
        site: name in ``site.yaml``; the kit must be for it.
        node_key: the site's private key where it is not ``node.key`` in the kit.
        app: digest of the code at this site; default that of this installation.

    Raises:
        IdentityError: everything that is wrong, in one message.
    """
    kit, problems = examine_kit(folder, fingerprint, now, site=site, node_key=node_key, app=app)
    refuse(problems, f"kit {folder}")
    assert kit is not None
    return kit


def kit_problems(
    folder: Path,
    fingerprint: str | None = None,
    now: datetime | None = None,
    *,
    site: str | None = None,
    node_key: Path | None = None,
    app: str | None = None,
) -> list[Problem]:
    """All findings of :func:`verify_kit`, warnings with them; empty if there is nothing to say."""
    return examine_kit(folder, fingerprint, now, site=site, node_key=node_key, app=app)[1]


def examine_kit(
    folder: Path,
    fingerprint: str | None = None,
    now: datetime | None = None,
    *,
    site: str | None = None,
    node_key: Path | None = None,
    app: str | None = None,
) -> tuple[Kit | None, list[Problem]]:
    """The kit, if manifest, ``kit.yaml`` and plan can be read, and all findings; arguments of :func:`verify_kit`."""
    folder, now = Path(folder), datetime.now(UTC) if now is None else now
    if not folder.is_dir():
        fix = f"Unpack it: tar xf {folder}" if folder.is_file() else "Give the folder that the kit was unpacked to."
        return None, [Problem("T10", str(folder), "is no folder; needed an unpacked kit", fix)]
    problems = []
    if exposed := open_to_others(folder):
        what = f"mode {exposed}, so others on this machine can enter the kit; needed 0700"
        problems.append(Problem("T08", str(folder), what, f"chmod 700 {folder}"))
    manifest, found = manifest_of(folder, fingerprint)
    problems += found
    if manifest is None:
        return None, problems
    files, found = files_of(folder, manifest)
    problems += found
    file, found = kit_of(folder, files, manifest)
    problems += found
    plan, found = plan_of(folder, files)
    problems += found
    if AUTHORITY in files:
        problems += certificate_problems(folder / AUTHORITY, now=now)
    if file is None:
        return None, problems
    problems += _agreement(file, plan, now, site, app_digest() if app is None else app)
    own = node_key or folder / PRIVATE
    # A key that was changed or removed is named already, and its content is nobody's key.
    if node_key is not None or PRIVATE in files or PRIVATE not in manifest.files:
        problems += _key(own, file)
    if plan is None:
        return None, problems
    warnings = tuple(problem for problem in problems if problem.is_warning)
    return Kit(folder, file, plan, own, is_pinned=fingerprint is not None, warnings=warnings), problems


def _agreement(kit: KitFile, plan: RunConfig | None, now: datetime, site: str | None, app: str) -> list[Problem]:
    """Dates, digests and the name of the site."""
    where, problems = f"kit of {kit.site}", []
    if now >= kit.not_after:
        what = f"expired on {kit.not_after:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}"
        fix = f"Ask the operator for a new one (`fedmce server kit {kit.site}`); your node key stays as it is."
        problems.append(Problem("T12", where, what, fix))
    if plan is not None and plan_digest(plan) != kit.plan_digest:
        what = f"plan.yaml has digest {plan_digest(plan)[:12]}, kit.yaml was made for {kit.plan_digest[:12]}"
        fix = f"Install fedmce {kit.fedmce}, which made the kit; this is {__version__}."
        problems.append(Problem("T20", where, what, fix))
    if app != kit.app_digest:
        what = (
            f"the code of fedmce {__version__} here has digest {app[:12]}, the kit was made for {kit.app_digest[:12]}"
        )
        fix = f"Install fedmce {kit.fedmce} unchanged, or ask the operator for a kit made with this one."
        problems.append(Problem("T20", where, what, fix))
    if site is not None and site != kit.site:
        what = f"is for the site {kit.site}, and site.yaml is of {site}"
        problems.append(Problem("D61", where, what, f"Use the kit of {site}, or the folder of {kit.site}."))
    return problems


def _key(path: Path, kit: KitFile) -> list[Problem]:
    if problems := node_key_problems(path):
        return problems
    own = read_node_key(path).fingerprint
    if kit.node_key is not None and own != kit.node_key:
        what = f"is the key {own}, and the server knows {kit.site} by {kit.node_key}"
        fix = "Use the key that the operator registered, or send node.pub of this one to the operator."
        return [Problem("T06", str(path), what, fix)]
    return []
