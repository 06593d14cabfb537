"""Who hears what is kept: the room, the broadcaster, and the delivery to each listener.

The broadcaster's thread alone proposes to the log and writes to listeners. This floor knows sockets as
something to write bytes of the file to; it knows no protocol, commands or permissions.
"""
