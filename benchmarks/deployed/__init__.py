"""Rounds between real processes on one machine: seconds, their parts, memory, and Flower's own empty round beside them."""
