"""Storage: the file, the history, its lock, and the log that puts entries in order.

An entry proposed to the log is committed, rejected, or its fate is not known yet. Who has which name follows
from what is committed. This layer knows records and files; it knows no sockets, members or commands.
"""
