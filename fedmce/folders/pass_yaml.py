"""Pass Y: the folder itself and its ``site.yaml``."""

from __future__ import annotations

import os
from pathlib import Path

from fedmce.folders import strict_yaml
from fedmce.folders.declared import Declared, declared
from fedmce.folders.findings import Findings
from fedmce.folders.keys import check_keys
from fedmce.folders.layout import SITE_FILE
from fedmce.folders.strict_yaml import YamlError


def read_declaration(folder: Path, findings: Findings) -> Declared | None:
    """What ``site.yaml`` declares, as far as it is right.

    Returns:
        None where there is no folder, or no mapping to go on with.
    """
    if not _is_folder(folder, findings):
        return None
    text = _text(folder / SITE_FILE, findings)
    if text is None:
        return None
    try:
        parsed = strict_yaml.parse(text)
    except YamlError as whole:
        findings.error(whole.case, SITE_FILE, whole.where, whole.given, whole.allowed, whole.fix)
        return None
    for fault in parsed.faults:
        findings.error(fault.case, SITE_FILE, fault.where, fault.given, fault.allowed, fault.fix)
    if not isinstance(parsed.tree, dict):
        given = "empty" if parsed.tree is None else f"a {type(parsed.tree).__name__}"
        findings.error("D02", SITE_FILE, "", given, "a mapping of keys", "run `fedmce site init`")
        return None
    check_keys(parsed, findings)
    return declared(parsed.tree)


def _is_folder(folder: Path, findings: Findings) -> bool:
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
        readable = os.access(folder, os.R_OK | os.X_OK, effective_ids=True)
        problem = "" if readable else "not readable"
    except OSError as error:
        problem = {
            FileNotFoundError: "not there",
            NotADirectoryError: "not a folder",
            PermissionError: "not readable",
        }.get(type(error), f"not readable ({type(error).__name__})")
    except ValueError:  # a NUL in the path
        problem = "not a path"
    if problem:
        fix = "give the path of the site folder; check permissions"
        findings.error("D01", "", "", f"{folder}: {problem}", "a readable folder", fix)
    return not problem


def _text(path: Path, findings: Findings) -> str | None:
    given = ""
    try:
        if not path.is_file():
            given = "not there" if not path.exists() else "no regular file"
        elif path.stat().st_size > strict_yaml.MOST_BYTES:
            given = f"{path.stat().st_size:,} bytes"
            findings.error(
                "D03", path.name, "", given, f"at most {strict_yaml.MOST_BYTES:,} bytes", "cut the file down"
            )
            return None
        elif text := path.read_bytes().decode("utf-8"):
            return text
        else:
            given = "empty"
    except UnicodeDecodeError as error:
        given = f"no UTF-8 at byte {error.start}"
    except PermissionError:
        allowed, fix = "readable by the user that trains", f"chmod u+r {path.name} (uid {os.geteuid()})"
        findings.error("D50", path.name, "", "not readable", allowed, fix)
        return None
    except OSError as error:
        given = f"not readable ({type(error).__name__})"
    findings.error("D02", path.name, "", given, "a UTF-8 YAML mapping", "run `fedmce site init`")
    return None
