"""FedMCE: federated learning for sites whose data miss modalities."""

__version__ = "0.1.0"
