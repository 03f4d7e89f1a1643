"""Repartee: voice agents that answer in under half a second."""
