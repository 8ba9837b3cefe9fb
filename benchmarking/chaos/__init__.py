"""Attacks on a run and on what it talks to: kills, damaged files, hostile replies, bad input."""
