"""The audit log: one line per decision, each sealed to the line before it, so that an edit shows."""

from fedmce.audit.line import KINDS, Head, seal
from fedmce.audit.log import AuditLog
from fedmce.audit.verify import Problem, Verdict, heads_in_ledger, judge, verify

__all__ = ["KINDS", "AuditLog", "Head", "Problem", "Verdict", "heads_in_ledger", "judge", "seal", "verify"]
