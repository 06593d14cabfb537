"""What the server is made of: the record, the file of records, the room, and one client's session.

Standard library only. Imports run downwards; docs/design.md has the layers.
"""
