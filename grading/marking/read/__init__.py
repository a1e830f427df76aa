"""Reads the parts of a hand-in, behind the wall: nothing here trusts a file, or is trusted."""
