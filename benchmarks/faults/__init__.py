"""The figures G1 to G23 of the fault suite: measured, or read from what long runs left."""
