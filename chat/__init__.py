"""What the server is made of, in floors; imports run downwards only (docs/design.md has the picture).

Standard library only, save what an option asks for.
"""
