"""Distribution: the room, the broadcaster, and the delivery to each listener.

Only the broadcaster's thread proposes to the log and writes to listeners. To this layer a socket is something
to write bytes of the file to; it knows no protocol, commands or permissions.
"""
