"""What is kept: the file, the history, its lock, and the log that puts entries into one order.

An entry that is proposed to the log is committed, rejected, or its fate is not known yet; who has which name
follows from what is committed. This floor knows records and files; it knows no sockets, members or commands.
"""
