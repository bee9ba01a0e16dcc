"""From rows of the record to lines of the audit log: who joined, was granted what, asked, believed, benched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedmce.audit import AuditLog


class Chronicle:
    """Writes decisions of a run into its audit log.

    Args:
        audit: the log.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._benched: dict[str, int] = {}
        self._expelled: set[str] = set()

    def asked(self, number: int, sites: tuple[str, ...]) -> None:
        """These sites are sent the messages of a round."""
        self._audit.write("ask", round=number, sites=list(sites))

    def take(self, row: Mapping[str, Any], digests: Mapping[str, str]) -> None:
        """Log what a row of the record says was decided.

        Args:
            row: of any event.
            digests: of the accepted updates, by site.
        """
        if row["event"] == "start":
            self._audit.write("plan", rounds=row["rounds"], seed=row["seed"], fingerprint=row["fingerprint"])
            self._audit.write("roster", sites=row["sites"], masks_sha256=row["masks_sha256"])
        elif row["event"] == "profile":
            self._audit.write("join", round=0, site=row["site"])
            self._audit.write("grant", round=0, site=row["site"], components=row["components"])
        elif row["event"] == "round":
            self._round(row, digests)

    def _round(self, row: Mapping[str, Any], digests: Mapping[str, str]) -> None:
        number = row["round"]
        for told in row.get("operator", ()):
            self._audit.write("readmit" if told["word"] == "readmit" else "key_revoke", round=number, site=told["site"])
        for site in row.get("joined", ()):
            self._audit.write("join", round=number, site=site)
        for site, told in sorted(row["sites"].items()):
            if told["verdict"] == "accepted":
                weights = {c: by_site[site] for c, by_site in row["weights"].items() if site in by_site}
                data = {"verdict": "accepted", "digest": digests.get(site, ""), "weights": weights}
            else:
                data = {"verdict": "refused", "reason": told["verdict"], "detail": told["detail"]}
            self._audit.write("reply", round=number, site=site, **data)
        for stray in row.get("strays", ()):
            self._audit.write("reply", round=number, site=stray["site"], verdict="refused", reason=stray.get("reason"))
        if row["void"]:
            self._audit.write("void", round=number)
        for site, until in row.get("benched", {}).items():
            if self._benched.get(site) != until:
                self._audit.write("bench", round=number, site=site, until=until)
        self._benched = dict(row.get("benched", {}))
        for site in sorted(set(row.get("expelled", ())) - self._expelled):
            self._audit.write("expel", round=number, site=site)
        self._expelled = set(row.get("expelled", ()))
