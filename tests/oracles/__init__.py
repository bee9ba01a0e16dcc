"""Readable slow twins, written from the equations of the method and not from the code that they check."""
