"""The composition root: the only place that picks concrete adapters and puts them together.

A module for each thing that is asked for; what only staying processes need is loaded by them alone.
"""
