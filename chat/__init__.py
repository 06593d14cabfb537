"""The server, in layers: imports run downwards only (docs/design.md has the picture).

Standard library only, except for what an option asks for.
"""
