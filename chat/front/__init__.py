"""How one gets in: what comes from a connection, a browser or the console becomes requests, and is answered.

`session` and `login` are pure: bytes in, requests out, with no socket and no clock. The drivers beside them
(`lines` for TCP, `console` for the host's terminal) own the sockets and the waiting.
"""
