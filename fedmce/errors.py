"""The errors a user can cause, one class per door, each with its exit code (docs/cli.md)."""


class FedMCEError(Exception):
    """Base of all errors with a message for the user; the command line prints it without a trace."""

    exit_code = 1


class RunError(FedMCEError):
    """The run itself failed: too few sites answered, a process died."""

    exit_code = 1


class ConfigError(FedMCEError):
    """The configuration is wrong; every problem is in the one message."""

    exit_code = 2


class PlanRefusedError(ConfigError):
    """A site refuses what the server asks: floors below its own, a plan that changed, or a request of it alone."""


class DeviceError(ConfigError):
    """The device that the configuration names is not there."""


class DataError(FedMCEError):
    """A data file is absent, malformed or not the one that its checksum promises."""

    exit_code = 3


class WireError(FedMCEError):
    """A message does not have the layout that both ends agreed on."""

    exit_code = 1


class VersionError(WireError):
    """The other end speaks another version of the wire."""


class NetworkError(FedMCEError):
    """A network, TLS or key problem, or sites that did not come."""

    exit_code = 4


class IdentityError(NetworkError):
    """A key, certificate, kit or clock is not what the other end will accept."""


class StateError(FedMCEError):
    """The state folder of a run is locked, damaged or of another plan."""

    exit_code = 5


class StoppedError(FedMCEError):
    """A run gave up after void rounds or restarts; its state is whole and can be resumed."""

    exit_code = 6
