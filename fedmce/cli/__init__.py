"""The command line. Nothing here is imported by the rest of the package."""
