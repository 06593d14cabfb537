"""What the server is made of: the record, the file of records, the room, and one client's session.

Standard library only. Imports run downwards:
session -> commands -> room -> broadcaster -> delivery -> history -> record.
"""
