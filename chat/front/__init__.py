"""Ways in: input from a connection, a browser or the console becomes requests, which are answered.

`session` and `login` are pure: bytes in, requests out, without sockets or clocks. The drivers beside them
(`lines` for TCP, `console` for the host's terminal) own the sockets and do the waiting.
"""
