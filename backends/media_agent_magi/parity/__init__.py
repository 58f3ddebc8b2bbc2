"""Checks the engine against golden data: `python -m media_agent_magi.parity FOLDER`.

The folder holds tensors and tables made by running the reference with small random weights. All
sizes, ranges and modes are read from the cases.
"""
